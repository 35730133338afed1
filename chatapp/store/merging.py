"""Conversations that come in again: what is known by its name (`uid`) is not added twice.

A conversation whose name the history has gets only the messages that it lacks, below the parents
that it has. Nothing that is stored is changed: neither texts nor titles. A message that was deleted
out of it here is not lacking: it lies in the bin, and what is new below it goes where its own
children went, into the bin with a branch, up to its parent where it was deleted alone.
"""

import hashlib
import json
from dataclasses import dataclass, replace

from sqlite_utils import Database

from chatapp.errors import StoreError
from chatapp.store.rows import ConversationTree, Merged
from chatapp.store.trees import insert_member, insert_tree


def merge_tree(db: Database, tree: ConversationTree) -> Merged:
    """Add a conversation, or what is new in it; without a name it is always new.

    Raises `StoreError` for a message whose parent does not stand before it, and for an active
    message that is none of them.
    """
    found = db.execute(
        "SELECT id, active_leaf_id, deleted_at FROM conversations WHERE uid = ?",
        (tree.conversation.uid,),
    ).fetchone()
    conversation_id = None if found is None else int(found[0])
    tree = _name_apart(db, tree, conversation_id)
    if conversation_id is None:
        return Merged(insert_tree(db, tree), len(tree.messages), is_new=True)
    known = _read_names(db, conversation_id)
    seen = len(known)
    ids = _add_missing(db, conversation_id, tree, known)
    if tree.conversation.active_leaf_id not in ids:
        raise StoreError("The active message of a conversation is missing.")
    added = len(known) - seen
    if added:
        _move_on(db, conversation_id, tree, ids, found[1])
    return Merged(conversation_id, added, is_new=False, is_deleted=found[2] is not None)


def _read_names(db: Database, conversation_id: int) -> dict[str, int]:
    rows = db.execute("SELECT uid, id FROM messages WHERE conversation_id = ?", (conversation_id,))
    return dict(rows.fetchall())


@dataclass(frozen=True, slots=True)
class _Deleted:
    """A message that was deleted out of the conversation."""

    id: int
    bin_id: int
    alone: bool
    """Nothing was deleted with it: what stood below it stands below its parent."""


def _read_deleted(db: Database, conversation_id: int) -> dict[str, _Deleted]:
    rows = db.execute(
        "SELECT m.uid, m.id, m.conversation_id,"
        " count(*) OVER (PARTITION BY m.conversation_id) = 1"
        " FROM cuts JOIN messages m ON m.conversation_id = cuts.id"
        " WHERE cuts.conversation_id = ?",
        (conversation_id,),
    )
    return {uid: _Deleted(one, bin_id, bool(alone)) for uid, one, bin_id, alone in rows.fetchall()}


@dataclass(frozen=True, slots=True)
class _Place:
    """Where children of a message go, and the nearest message up to it that is not deleted."""

    conversation_id: int
    message_id: int | None
    standing_id: int | None


def _add_missing(
    db: Database, conversation_id: int, tree: ConversationTree, known: dict[str, int]
) -> dict[int | None, int | None]:
    """The id in the history of every message of the tree, or of the nearest above it that is not
    deleted; `known` grows by what was added."""
    deleted = _read_deleted(db, conversation_id)
    places: dict[int | None, _Place] = {None: _Place(conversation_id, None, None)}
    for message in tree.messages:
        if message.parent_id not in places or message.id in places:
            raise StoreError(f"Message {message.id} has no place in its conversation.")
        above = places[message.parent_id]
        name = message.uid or f"unnamed {message.id}"
        gone = deleted.get(name)
        if gone is not None:
            here = _Place(gone.bin_id, gone.id, above.standing_id)
            places[message.id] = above if gone.alone else here
            continue
        if name not in known:
            added = insert_member(db, above.conversation_id, above.message_id, message)
            if above.conversation_id != conversation_id:
                places[message.id] = replace(above, message_id=added)
                continue
            known[name] = added
        places[message.id] = _Place(conversation_id, known[name], known[name])
    return {one: place.standing_id for one, place in places.items()}


def _move_on(
    db: Database,
    conversation_id: int,
    tree: ConversationTree,
    ids: dict[int | None, int | None],
    shown: int | None,
) -> None:
    """Show the branch that the source shows, unless somebody has gone on from it here."""
    leaf = ids[tree.conversation.active_leaf_id]
    follow = leaf is not None and (shown is None or shown in ids.values())
    db.execute(
        "UPDATE conversations SET active_leaf_id = ?, updated_at = max(updated_at, ?) WHERE id = ?",
        (leaf if follow else shown, tree.conversation.updated_at, conversation_id),
    )


def _name_apart(db: Database, tree: ConversationTree, here: int | None) -> ConversationTree:
    """The tree with other names for messages whose name another conversation has.

    The other name is always the same, so that the message is known when it comes again.
    """
    names = json.dumps([message.uid for message in tree.messages])
    taken = {
        row[0]
        for row in db.execute(
            "SELECT m.uid FROM json_each(?1) wanted CROSS JOIN messages m ON m.uid = wanted.value"
            " WHERE m.conversation_id IS NOT ?2"
            " AND m.conversation_id NOT IN (SELECT id FROM cuts WHERE conversation_id = ?2)",
            (names, here),
        )
    }
    if not taken:
        return tree
    whole = tree.conversation.uid
    messages = (
        replace(message, uid=_derive(whole, message.uid)) if message.uid in taken else message
        for message in tree.messages
    )
    return replace(tree, messages=tuple(messages))


def _derive(conversation: str, message: str) -> str:
    return hashlib.sha256(f"{conversation} {message}".encode()).hexdigest()[:32]
