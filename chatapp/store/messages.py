"""Messages: a tree by `parent_id`. Editing and regenerating add siblings; nothing is overwritten.

A child is always younger than its parent and has the greater id; walking up by decreasing id
therefore ends even in a damaged file. `tokens` are stored as little-endian 32-bit integers.
"""

import json
import sys
import time
from array import array
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from sqlite_utils import Database

from chatapp.conversation import Message
from chatapp.errors import StoreError
from chatapp.parts import parts_of
from chatapp.store.conversations import fetch_conversation
from chatapp.store.rows import ConversationTree, GenerationRow, MessageRow
from chatapp.store.search import index_text
from chatapp.store.session import Session, clean, fetch_required, make_uid
from chatapp.store.words import join_words


class Messages(Session):
    """The part of the store that knows the message tree."""

    def add_message(
        self, conversation_id: int, message: Message, parent_id: int | None = None
    ) -> MessageRow:
        """Add a finished message under `parent_id` (None: a first message) and go there.

        It is on the disk when this returns. Raises `StoreError` if the parent
        is no message of this conversation.
        """
        content, reasoning = clean(message.content), clean(message.reasoning)
        words = join_words(content)
        now = time.time()
        with self.writing() as db:
            check_parent(db, conversation_id, parent_id)
            cursor = db.execute(
                "INSERT INTO messages (conversation_id, parent_id, role, status, created_at,"
                " content, reasoning, uid) VALUES (?, ?, ?, 'complete', ?, ?, ?, ?)",
                (conversation_id, parent_id, message.role, now, content, reasoning, make_uid()),
            )
            message_id = cursor.lastrowid or 0
            index_text(db, "message_fts", message_id, words)
            go_to(db, conversation_id, message_id, now)
            return fetch_message(db, message_id)

    def get_message(self, message_id: int) -> MessageRow:
        """One message. Raises `StoreError` if there is none."""
        with self.reading() as db:
            return fetch_message(db, message_id)

    def get_path(
        self, conversation_id: int, leaf_id: int | None = None, limit: int | None = None
    ) -> list[MessageRow]:
        """The messages from the first down to `leaf_id` (None: the active leaf), oldest first.

        With `limit` only the last so many. Empty while nothing was said. Raises `StoreError`
        if the conversation, or the leaf in it, does not exist.
        """
        with self.reading() as db:
            conversation = fetch_conversation(db, conversation_id)
            leaf_id = conversation.active_leaf_id if leaf_id is None else leaf_id
            if leaf_id is None:
                return []
            # A negative LIMIT means none.
            parameters = (leaf_id, conversation_id, -1 if limit is None else limit)
            ids = [row[0] for row in db.execute(_PATH, parameters)]
            if not ids and limit != 0:
                raise _no_message(leaf_id, conversation_id)
            return fetch_messages(db, ids)

    def get_tree(self, conversation_id: int) -> ConversationTree:
        """A conversation with the messages of every branch."""
        with self.reading() as db:
            conversation = fetch_conversation(db, conversation_id)
            cursor = db.execute(
                "SELECT id FROM messages WHERE conversation_id = ? ORDER BY id", (conversation_id,)
            )
            ids = [row[0] for row in cursor]
            return ConversationTree(conversation, tuple(fetch_messages(db, ids)))

    def siblings(self, message_id: int) -> list[int]:
        """The messages with the same parent, itself included, oldest first."""
        with self.reading() as db:
            conversation_id, parent_id = _place(db, message_id)
            rows = db.execute(
                "SELECT id FROM messages WHERE conversation_id = ? AND parent_id IS ? ORDER BY id",
                (conversation_id, parent_id),
            ).fetchall()
        return [row[0] for row in rows]

    def leaf_below(self, message_id: int) -> int:
        """The newest message of the branches below `message_id`; itself if there is none."""
        with self.reading() as db:
            conversation_id, _ = _place(db, message_id)
            row = db.execute(_NEWEST_BELOW, (message_id, conversation_id)).fetchone()
        return int(row[0])

    def select_leaf(self, conversation_id: int, leaf_id: int) -> None:
        """Show the branch that ends at `leaf_id` from now on."""
        with self.writing() as db:
            check_parent(db, conversation_id, leaf_id)
            db.execute(
                "UPDATE conversations SET active_leaf_id = ? WHERE id = ?",
                (leaf_id, conversation_id),
            )

    def count_messages(self) -> int:
        """How many messages there are, deleted conversations left out."""
        with self.reading() as db:
            row = db.execute(
                "SELECT count(*) FROM conversations c CROSS JOIN messages m"
                " ON m.conversation_id = c.id WHERE c.deleted_at IS NULL"
            ).fetchone()
        return int(row[0])


_SIBLINGS = (
    "(SELECT count(*) FROM messages s WHERE s.conversation_id = m.conversation_id"
    " AND s.parent_id IS m.parent_id"
)
# The CROSS JOINs fetch by id, in the order of the list.
_MESSAGES = f"""
SELECT m.id, m.conversation_id, m.parent_id, m.role, m.content, m.reasoning, m.status,
  m.created_at, m.tokens, {_SIBLINGS} AND s.id < m.id), {_SIBLINGS}), m.uid
FROM json_each(?) wanted CROSS JOIN messages m ON m.id = wanted.value
"""  # noqa: S608
_GENERATIONS = """
SELECT g.id, g.message_id, g.model_path, g.model_name, g.fingerprint, g.template_hash,
  g.params_json, g.seed, g.prompt_tokens, g.reused_tokens, g.completion_tokens, g.load_s,
  g.ttft_s, g.prefill_tps, g.decode_tps, g.finish_reason, g.error, g.created_at, g.offset
FROM json_each(?) wanted CROSS JOIN generations g ON g.message_id = wanted.value ORDER BY g.id
"""
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


def fetch_message(db: Database, message_id: int) -> MessageRow:
    """One message. Raises `StoreError` if there is none."""
    for row in fetch_messages(db, [message_id]):
        return row
    raise StoreError(f"There is no message {message_id}.", "See: chatapp history list")


def fetch_messages(db: Database, ids: Sequence[int]) -> list[MessageRow]:
    """The messages with these ids, in their order; what is not there is left out."""
    wanted = (json.dumps(list(ids)),)
    generations: defaultdict[int, list[GenerationRow]] = defaultdict(list)
    for row in db.execute(_GENERATIONS, wanted):
        generations[row[1]].append(GenerationRow(*row))
    return [
        MessageRow(
            id=row[0],
            conversation_id=row[1],
            parent_id=row[2],
            role=row[3],
            parts=parts_of(row[4], row[5]),
            status=row[6],
            created_at=row[7],
            tokens=unpack_tokens(row[8]),
            sibling_index=row[9],
            sibling_count=row[10],
            generations=tuple(generations[row[0]]),
            uid=row[11],
        )
        for row in db.execute(_MESSAGES, wanted)
    ]


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
    if parent_id is not None and _place(db, parent_id)[0] != conversation_id:
        raise _no_message(parent_id, conversation_id)


def go_to(db: Database, conversation_id: int, message_id: int, now: float) -> None:
    """Make `message_id` the active leaf and the conversation the last used one."""
    db.execute(
        "UPDATE conversations SET active_leaf_id = ?, updated_at = ? WHERE id = ?",
        (message_id, now, conversation_id),
    )


def _place(db: Database, message_id: int) -> tuple[int, int | None]:
    row: Any = fetch_required(
        db.execute("SELECT conversation_id, parent_id FROM messages WHERE id = ?", (message_id,)),
        f"message {message_id}",
    )
    return row[0], row[1]


def _no_message(message_id: int, conversation_id: int) -> StoreError:
    return StoreError(f"There is no message {message_id} in conversation {conversation_id}.")
