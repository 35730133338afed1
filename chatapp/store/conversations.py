"""Conversations: made, listed, renamed, deleted with a way back, purged.

Listing reads no message. Deleting only marks; `purge_deleted` is what really removes.
"""

import time
from typing import Any

from sqlite_utils import Database

from chatapp.store.rows import ConversationRow
from chatapp.store.search import build_match, index_text, parse_query, unindex_text
from chatapp.store.session import Session, clean, fetch_required, make_uid
from chatapp.store.words import join_words
from chatapp.text import cut_text, one_line

MAX_TITLE = 200
"""Characters of a title that are kept."""


class Conversations(Session):
    """The part of the store that knows conversations as wholes."""

    def create_conversation(self, title: str = "", system: str = "") -> int:
        """A new empty conversation; its id."""
        title = clean_title(title)
        with self.writing() as db:
            return insert_conversation(db, title, clean(system), time.time(), time.time())

    def list_conversations(
        self, limit: int = 100, offset: int = 0, query: str = ""
    ) -> list[ConversationRow]:
        """Conversations that are not deleted, the last used first.

        With a `query`: those whose title or messages match it (see `search`); one without a
        word in it lists all.
        """
        phrases = parse_query(query)
        parameters = {"limit": limit, "offset": offset, "match": build_match(phrases)}
        with self.reading() as db:
            rows = db.execute(_MATCHING if phrases else _RECENT, parameters).fetchall()
        return [ConversationRow(*row) for row in rows]

    def last_conversation(self) -> ConversationRow | None:
        """The conversation that was used last; None: there is none."""
        rows = self.list_conversations(limit=1)
        return rows[0] if rows else None

    def get_conversation(self, conversation_id: int) -> ConversationRow:
        """One conversation, even a deleted one. Raises `StoreError` if there is none."""
        with self.reading() as db:
            return fetch_conversation(db, conversation_id)

    def rename_conversation(self, conversation_id: int, title: str) -> None:
        """Give a title: one line, at most `MAX_TITLE` characters."""
        title = clean_title(title)
        with self.writing() as db:
            old = fetch_conversation(db, conversation_id)
            unindex_text(db, "title_fts", conversation_id, join_words(old.title))
            db.execute("UPDATE conversations SET title = ? WHERE id = ?", (title, conversation_id))
            index_text(db, "title_fts", conversation_id, join_words(title))

    def set_system(self, conversation_id: int, text: str) -> None:
        """Give the system prompt; empty: none."""
        self._set(conversation_id, "system", clean(text))

    def delete_conversation(self, conversation_id: int) -> None:
        """Hide a conversation from lists and search; `undelete_conversation` brings it back."""
        self._set(conversation_id, "deleted_at", time.time())

    def undelete_conversation(self, conversation_id: int) -> None:
        """Undo `delete_conversation`."""
        self._set(conversation_id, "deleted_at", None)

    def purge_deleted(self, older_than_s: float = 0.0) -> int:
        """Remove for good what was deleted at least `older_than_s` seconds ago; how many.

        A transaction a conversation, so that another instance never waits long.
        """
        with self.reading() as db:
            ids = db.execute(
                "SELECT id FROM conversations WHERE deleted_at <= ?", (time.time() - older_than_s,)
            ).fetchall()
        for (conversation_id,) in ids:
            with self.writing() as db:
                _remove(db, conversation_id)
        if ids:
            with self.reading() as db:
                # Otherwise the removed text stays readable in the WAL file.
                db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        return len(ids)

    def _set(self, conversation_id: int, column: str, value: object) -> None:
        with self.writing() as db:
            fetch_conversation(db, conversation_id)
            db.execute(
                f"UPDATE conversations SET {column} = ? WHERE id = ?",  # noqa: S608
                (value, conversation_id),
            )


_COLUMNS = "id, title, system, created_at, updated_at, active_leaf_id, deleted_at, uid"
_ORDER = "ORDER BY updated_at DESC, id DESC LIMIT :limit OFFSET :offset"
_RECENT = f"SELECT {_COLUMNS} FROM conversations WHERE deleted_at IS NULL {_ORDER}"  # noqa: S608
_MATCHING = f"""
SELECT {_COLUMNS} FROM conversations
WHERE deleted_at IS NULL AND id IN (
  SELECT rowid FROM title_fts WHERE title_fts MATCH :match
  UNION
  SELECT m.conversation_id FROM message_fts CROSS JOIN messages m ON m.id = message_fts.rowid
  WHERE message_fts MATCH :match
) {_ORDER}
"""  # noqa: S608


def clean_title(title: str) -> str:
    """One line without controls and overrides, at most `MAX_TITLE` characters."""
    return cut_text(one_line(clean(title[:2000])), MAX_TITLE).rstrip()


def insert_conversation(
    db: Database, title: str, system: str, created_at: float, updated_at: float
) -> int:
    """A new row with its title indexed, inside the caller's transaction; its id."""
    cursor = db.execute(
        "INSERT INTO conversations (title, system, created_at, updated_at, uid)"
        " VALUES (?, ?, ?, ?, ?)",
        (title, system, created_at, updated_at, make_uid()),
    )
    conversation_id = cursor.lastrowid or 0
    index_text(db, "title_fts", conversation_id, join_words(title))
    return conversation_id


def fetch_conversation(db: Database, conversation_id: int) -> ConversationRow:
    """One row. Raises `StoreError` if there is none."""
    cursor = db.execute(
        f"SELECT {_COLUMNS} FROM conversations WHERE id = ?",  # noqa: S608
        (conversation_id,),
    )
    row: Any = fetch_required(cursor, f"conversation {conversation_id}")
    return ConversationRow(*row)


def _remove(db: Database, conversation_id: int) -> None:
    own = "SELECT id FROM messages WHERE conversation_id = ?"
    messages = db.execute(
        "SELECT id, content FROM messages WHERE conversation_id = ? AND status != 'streaming'",
        (conversation_id,),
    )
    for message_id, content in messages.fetchall():
        unindex_text(db, "message_fts", message_id, join_words(content))
    title = fetch_conversation(db, conversation_id).title
    unindex_text(db, "title_fts", conversation_id, join_words(title))
    db.execute(f"DELETE FROM generations WHERE message_id IN ({own})", (conversation_id,))  # noqa: S608
    db.execute("DELETE FROM messages WHERE conversation_id = ?", (conversation_id,))
    db.execute("DELETE FROM conversations WHERE id = ?", (conversation_id,))
