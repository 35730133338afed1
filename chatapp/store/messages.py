"""Messages: a tree by `parent_id`. Editing and regenerating add siblings; nothing is overwritten.

A child is always younger than its parent and has the greater id; walking up by decreasing id
therefore ends even in a damaged file. `tokens` are stored as little-endian 32-bit integers.
Functions take the database inside the caller's transaction; `Store` says which that is.
"""

import json
import sys
from array import array
from collections.abc import Callable, Sequence
from typing import Any

from sqlite_utils import Database

from chatapp.conversation import Role
from chatapp.errors import StoreError
from chatapp.store.conversations import fetch_conversation
from chatapp.store.generations import read_runs
from chatapp.store.parts import read_parts
from chatapp.store.rows import MessageRow, Status
from chatapp.store.session import fetch_required

Mend = Callable[[MessageRow], MessageRow]
"""Makes of a row what it would be if this version had written it."""

_SIBLINGS = (
    "(SELECT count(*) FROM messages s WHERE s.conversation_id = m.conversation_id"
    " AND s.parent_id IS m.parent_id"
)
# The CROSS JOIN fetches by id, in the order of the list.
_MESSAGES = f"""
SELECT m.id, m.conversation_id, m.parent_id, m.role, m.status, m.created_at, m.tokens,
  {_SIBLINGS} AND s.id < m.id), {_SIBLINGS}), m.uid, m.by_hand, m.pinned
FROM json_each(?) wanted CROSS JOIN messages m ON m.id = wanted.value
"""  # noqa: S608
# The walk reads no text.
_PATH = """
WITH RECURSIVE path (id, parent_id, depth) AS (
  SELECT id, parent_id, 0 FROM messages WHERE id = ? AND conversation_id = ?
  UNION ALL
  SELECT m.id, m.parent_id, depth + 1 FROM path
  CROSS JOIN messages m ON m.id = path.parent_id AND m.id < path.id
  LIMIT ?
)
SELECT id FROM path ORDER BY depth DESC
"""
_NEWEST_BELOW = """
WITH RECURSIVE below (id) AS (
  VALUES (?1)
  UNION
  SELECT m.id FROM below
  CROSS JOIN messages m ON m.conversation_id = ?2 AND m.parent_id = below.id
)
SELECT max(id) FROM below
"""


def as_it_is(row: MessageRow) -> MessageRow:
    """Mends nothing."""
    return row


def insert_message(
    db: Database,
    conversation_id: int,
    parent_id: int | None,
    role: Role,
    status: Status,
    now: float,
    tokens: Sequence[int] = (),
    owner: str = "",
    *,
    by_hand: bool = False,
    pinned: bool = False,
) -> int:
    """A message that has no parts yet; its id."""
    cursor = db.execute(
        "INSERT INTO messages (conversation_id, parent_id, role, status, created_at, owner,"
        " heartbeat, tokens, by_hand, pinned) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            *(conversation_id, parent_id, role, status, now, owner, now),
            *(pack_tokens(tokens), by_hand, pinned),
        ),
    )
    return cursor.lastrowid or 0


def fetch_message(db: Database, message_id: int) -> MessageRow:
    """One message. Raises `StoreError` if there is none."""
    (row,) = fetch_messages(db, [message_id])
    return row


def fetch_messages(db: Database, ids: Sequence[int]) -> list[MessageRow]:
    """The messages with these ids, in their order. Raises `StoreError` if one is not there."""
    parts, runs = read_parts(db, ids), read_runs(db, ids)
    found = db.execute(_MESSAGES, (json.dumps(list(ids)),)).fetchall()
    if len(found) < len(ids):
        missing = next(iter(set(ids) - {row[0] for row in found}), None)
        raise StoreError(f"There is no message {missing}.", "See: chatapp history list")
    return [
        MessageRow(
            id=row[0],
            conversation_id=row[1],
            parent_id=row[2],
            role=row[3],
            parts=parts.get(row[0], ()),
            status=row[4],
            created_at=row[5],
            tokens=unpack_tokens(row[6]),
            sibling_index=row[7],
            sibling_count=row[8],
            generations=runs.get(row[0], ()),
            uid=row[9],
            by_hand=bool(row[10]),
            pinned=bool(row[11]),
        )
        for row in found
    ]


def find_path(
    db: Database, conversation_id: int, leaf_id: int | None = None, limit: int | None = None
) -> list[int]:
    """The messages from the first down to `leaf_id` (None: the active leaf), oldest first."""
    conversation = fetch_conversation(db, conversation_id)
    leaf_id = conversation.active_leaf_id if leaf_id is None else leaf_id
    if leaf_id is None:
        return []
    # A negative LIMIT means none.
    parameters = (leaf_id, conversation_id, -1 if limit is None else limit)
    ids = [row[0] for row in db.execute(_PATH, parameters)]
    if not ids and limit != 0:
        raise _no_message(leaf_id, conversation_id)
    return ids


def find_tree(db: Database, conversation_id: int) -> list[int]:
    """The messages of every branch; parents stand before their children."""
    cursor = db.execute(
        "SELECT id FROM messages WHERE conversation_id = ? ORDER BY id", (conversation_id,)
    )
    return [row[0] for row in cursor]


def find_siblings(db: Database, message_id: int) -> list[int]:
    """The messages with the same parent, itself included, oldest first."""
    cursor = db.execute(
        "SELECT id FROM messages WHERE conversation_id = ? AND parent_id IS ? ORDER BY id",
        place_of(db, message_id),
    )
    return [row[0] for row in cursor]


def find_newest_below(db: Database, message_id: int) -> int:
    """The newest message of the branches below `message_id`; itself if there is none."""
    conversation_id, _ = place_of(db, message_id)
    return int(db.execute(_NEWEST_BELOW, (message_id, conversation_id)).fetchone()[0])


def pack_tokens(tokens: Sequence[int]) -> bytes:
    """Token ids as little-endian 32-bit integers."""
    try:
        packed = array("i", tokens)
    except OverflowError as error:
        raise StoreError("A token id does not fit 32 bits.") from error
    if sys.byteorder == "big":
        packed.byteswap()
    return packed.tobytes()


def unpack_tokens(blob: bytes) -> tuple[int, ...]:
    """Undo `pack_tokens`. A torn last token of a damaged file is dropped."""
    packed = array("i")
    packed.frombytes(blob[: len(blob) - len(blob) % packed.itemsize])
    if sys.byteorder == "big":
        packed.byteswap()
    return tuple(packed)


def check_parent(db: Database, conversation_id: int, parent_id: int | None) -> None:
    """Raise `StoreError` unless `parent_id` is a message of the conversation, or None."""
    fetch_conversation(db, conversation_id)
    if parent_id is not None and place_of(db, parent_id)[0] != conversation_id:
        raise _no_message(parent_id, conversation_id)


def go_to(db: Database, conversation_id: int, message_id: int, now: float) -> None:
    """Make `message_id` the active leaf and the conversation the last used one.

    A conversation that was deleted elsewhere while somebody writes in it is there again.
    """
    db.execute(
        "UPDATE conversations SET active_leaf_id = ?, updated_at = ?, deleted_at = NULL"
        " WHERE id = ?",
        (message_id, now, conversation_id),
    )


def place_of(db: Database, message_id: int) -> tuple[int, int | None]:
    """The conversation and the parent of a message. Raises `StoreError` if there is none."""
    row: Any = fetch_required(
        db.execute("SELECT conversation_id, parent_id FROM messages WHERE id = ?", (message_id,)),
        f"message {message_id}",
    )
    return row[0], row[1]


def _no_message(message_id: int, conversation_id: int) -> StoreError:
    return StoreError(f"There is no message {message_id} in conversation {conversation_id}.")


def count(db: Database) -> int:
    """How many messages there are, deleted conversations left out."""
    row = db.execute(
        "SELECT count(*) FROM conversations c CROSS JOIN messages m"
        " ON m.conversation_id = c.id WHERE c.deleted_at IS NULL"
    ).fetchone()
    return int(row[0])
