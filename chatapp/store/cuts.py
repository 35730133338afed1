"""Messages and branches that are deleted out of a conversation, and brought back.

They move into a conversation of their own, which lies in the bin from the beginning and is no
chat to anybody: lists of deleted chats leave it out, purging takes it. So nothing that reads a
conversation, searches or exports has to leave anything out, and what is brought back is what it
was, ids and all. A row of `cuts` says where it stood. A child's id stays greater than its parent's:
children of a deleted message go up to its parent, and what is brought back stands where it stood
or further up.
"""

import json
import time

from sqlite_utils import Database

from chatapp.errors import StoreError
from chatapp.store.conversations import fetch_conversation, insert_conversation
from chatapp.store.messages import find_newest_below, find_siblings, place_of
from chatapp.store.owner import is_gone, parse_owner
from chatapp.store.rows import Cut
from chatapp.store.search import unindex_text
from chatapp.store.session import fetch_required

_BELOW = """
WITH RECURSIVE below (id) AS (
  VALUES (?1)
  UNION
  SELECT m.id FROM below
  CROSS JOIN messages m ON m.conversation_id = ?2 AND m.parent_id = below.id
)
SELECT id FROM below
"""
_COLUMNS = "id, conversation_id, message_id, leaf_after"


def cut_branch(db: Database, message_id: int) -> Cut:
    """Delete a message and all below it, inside the caller's transaction."""
    conversation_id, parent_id = find_place(db, message_id)
    ids = [row[0] for row in db.execute(_BELOW, (message_id, conversation_id))]
    return _cut(db, message_id, conversation_id, parent_id, ids, [])


def cut_message(db: Database, message_id: int) -> Cut:
    """Delete one message; what stood below it stands below its parent then."""
    conversation_id, parent_id = find_place(db, message_id)
    children = [
        row[0]
        for row in db.execute(
            "SELECT id FROM messages WHERE conversation_id = ? AND parent_id = ? ORDER BY id",
            (conversation_id, message_id),
        )
    ]
    return _cut(db, message_id, conversation_id, parent_id, [message_id], children)


def find_place(db: Database, message_id: int) -> tuple[int, int | None]:
    """The conversation and the parent of a message. Raises `StoreError` for a deleted one."""
    conversation_id, parent_id = place_of(db, message_id)
    if fetch_conversation(db, conversation_id).deleted_at is not None:
        raise StoreError(f"Message {message_id} is deleted.")
    return conversation_id, parent_id


def _cut(
    db: Database,
    message_id: int,
    conversation_id: int,
    parent_id: int | None,
    ids: list[int],
    children: list[int],
) -> Cut:
    now = time.time()
    _refuse_streaming(db, ids, now)
    before = fetch_conversation(db, conversation_id).active_leaf_id
    versions = [one for one in find_siblings(db, message_id) if one != message_id]
    bin_id = insert_conversation(db, "", "", now, now)
    db.execute("UPDATE conversations SET deleted_at = ? WHERE id = ?", (now, bin_id))
    _hang(db, children, conversation_id, parent_id)
    _move(db, ids, message_id, bin_id, None)
    after = before
    if before in ids:
        after = _choose_leaf(db, message_id, versions, parent_id, children)
        db.execute(
            "UPDATE conversations SET active_leaf_id = ? WHERE id = ?", (after, conversation_id)
        )
    db.execute(
        "INSERT INTO cuts (id, conversation_id, message_id, parent_id, children, leaf_before,"
        " leaf_after) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (bin_id, conversation_id, message_id, parent_id, json.dumps(children), before, after),
    )
    return Cut(bin_id, conversation_id, message_id, after)


def _refuse_streaming(db: Database, ids: list[int], now: float) -> None:
    rows = db.execute(
        "SELECT m.owner, m.heartbeat FROM json_each(?) wanted"
        " CROSS JOIN messages m ON m.id = wanted.value WHERE m.status = 'streaming'",
        (json.dumps(ids),),
    ).fetchall()
    if any(not is_gone(parse_owner(owner), now - heartbeat) for owner, heartbeat in rows):
        raise StoreError("An answer in it is being written at the moment.", "Stop it first.")


def _choose_leaf(
    db: Database,
    message_id: int,
    versions: list[int],
    parent_id: int | None,
    children: list[int],
) -> int | None:
    # The version before it, else the one after it; else what stood below it, else above it.
    older = [one for one in versions if one < message_id]
    stays = older[-1:] or versions[:1] or children[-1:]
    return find_newest_below(db, stays[0]) if stays else parent_id


def list_cuts(db: Database, conversation_id: int) -> list[Cut]:
    """What was deleted out of a conversation and can be brought back, the last first."""
    rows = db.execute(
        f"SELECT {_COLUMNS} FROM cuts WHERE conversation_id = ? ORDER BY id DESC",  # noqa: S608
        (conversation_id,),
    )
    return [Cut(*row) for row in rows.fetchall()]


def find_old_cuts(db: Database, until: float) -> list[int]:
    """The cuts that were made at `until` or before."""
    rows = db.execute(
        "SELECT c.id FROM conversations c JOIN cuts ON cuts.id = c.id"
        " WHERE c.deleted_at <= ? ORDER BY c.deleted_at",
        (until,),
    )
    return [row[0] for row in rows.fetchall()]


def restore(db: Database, cut_id: int) -> Cut:
    """Bring back what was deleted. Raises `StoreError` if it is back, or purged.

    Where its parent was deleted meanwhile it stands below the next message above that is there.
    The leaf that was shown is shown again, unless another was chosen since.
    """
    cursor = db.execute(
        "SELECT conversation_id, message_id, parent_id, children, leaf_before, leaf_after"
        " FROM cuts WHERE id = ?",
        (cut_id,),
    )
    conversation_id, message_id, parent_id, children, before, after = fetch_required(
        cursor, "such deletion to undo: it is undone, or removed for good"
    )
    ids = [row[0] for row in db.execute(_BELOW, (message_id, cut_id))]
    was_below, parent_id = parent_id, _find_standing(db, conversation_id, parent_id)
    _move(db, ids, message_id, conversation_id, parent_id)
    mine = [
        child
        for child in json.loads(children)
        if _is_below(db, child, conversation_id, (was_below, parent_id))
    ]
    _hang(db, mine, conversation_id, message_id)
    leaf = fetch_conversation(db, conversation_id).active_leaf_id
    if leaf == after and _is_there(db, before, conversation_id):
        leaf = before
    elif leaf is None:
        leaf = find_newest_below(db, message_id)
    db.execute("UPDATE conversations SET active_leaf_id = ? WHERE id = ?", (leaf, conversation_id))
    remove_shell(db, cut_id)
    return Cut(cut_id, conversation_id, message_id, leaf)


def remove_shell(db: Database, cut_id: int) -> None:
    """Remove the empty conversation that held what was deleted."""
    db.execute("DELETE FROM cuts WHERE id = ?", (cut_id,))
    unindex_text(db, "title_fts", cut_id, "")
    db.execute("DELETE FROM conversations WHERE id = ?", (cut_id,))


def _find_standing(db: Database, conversation_id: int, message_id: int | None) -> int | None:
    # The message, or the next above it that was not deleted. Ids fall, so this ends.
    while message_id is not None and not _is_there(db, message_id, conversation_id):
        row = db.execute(
            "SELECT coalesce(m.parent_id, cuts.parent_id) FROM messages m"
            " JOIN cuts ON cuts.id = m.conversation_id WHERE m.id = ?",
            (message_id,),
        ).fetchone()
        message_id = row[0] if row else None
    return message_id


def _is_there(db: Database, message_id: int | None, conversation_id: int) -> bool:
    row = db.execute("SELECT conversation_id FROM messages WHERE id = ?", (message_id,)).fetchone()
    return bool(row == (conversation_id,)) or message_id is None


def _is_below(
    db: Database, message_id: int, conversation_id: int, parents: tuple[int | None, ...]
) -> bool:
    row = db.execute(
        "SELECT conversation_id, parent_id FROM messages WHERE id = ?", (message_id,)
    ).fetchone()
    return row is not None and row[0] == conversation_id and row[1] in parents


def _hang(db: Database, ids: list[int], conversation_id: int, parent_id: int | None) -> None:
    db.execute(
        "UPDATE messages SET parent_id = ? WHERE conversation_id = ?"
        " AND id IN (SELECT value FROM json_each(?))",
        (parent_id, conversation_id, json.dumps(ids)),
    )


def _move(
    db: Database, ids: list[int], top_id: int, conversation_id: int, parent_id: int | None
) -> None:
    # One statement: the reference of a child to its parent is whole before it and after it.
    db.execute(
        "UPDATE messages SET conversation_id = ?,"
        " parent_id = CASE id WHEN ? THEN ? ELSE parent_id END"
        " WHERE id IN (SELECT value FROM json_each(?))",
        (conversation_id, top_id, parent_id, json.dumps(ids)),
    )
