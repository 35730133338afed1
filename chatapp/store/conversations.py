"""Conversations as rows: made, listed, renamed. Listing reads no message.

Functions take the database inside the caller's transaction; `Store` says which that is.
"""

from typing import Any

from sqlite_utils import Database

from chatapp.store.rows import ConversationRow
from chatapp.store.search import build_match, index_text, parse_query, unindex_text
from chatapp.store.session import clean, fetch_required
from chatapp.store.words import join_words
from chatapp.text import cut_text, one_line

MAX_TITLE = 200
"""Characters of a title that are kept."""

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
    """A new row with its title indexed; its id."""
    title = clean_title(title)
    cursor = db.execute(
        "INSERT INTO conversations (title, system, created_at, updated_at) VALUES (?, ?, ?, ?)",
        (title, clean(system), created_at, updated_at),
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


def find_conversations(db: Database, query: str, limit: int, offset: int) -> list[ConversationRow]:
    """Conversations that are not deleted and match, the last used first."""
    phrases = parse_query(query)
    parameters = {"limit": limit, "offset": offset, "match": build_match(phrases)}
    rows = db.execute(_MATCHING if phrases else _RECENT, parameters).fetchall()
    return [ConversationRow(*row) for row in rows]


def find_deleted(db: Database, until: float) -> list[ConversationRow]:
    """Conversations that were deleted at `until` or before, the longest deleted first."""
    rows = db.execute(
        f"SELECT {_COLUMNS} FROM conversations WHERE deleted_at <= ?"  # noqa: S608
        " ORDER BY deleted_at, id",
        (until,),
    ).fetchall()
    return [ConversationRow(*row) for row in rows]


def rename(db: Database, conversation_id: int, title: str) -> None:
    """Give another title, in the row and in the index."""
    title = clean_title(title)
    old = fetch_conversation(db, conversation_id)
    unindex_text(db, "title_fts", conversation_id, join_words(old.title))
    db.execute("UPDATE conversations SET title = ? WHERE id = ?", (title, conversation_id))
    index_text(db, "title_fts", conversation_id, join_words(title))


def set_column(db: Database, conversation_id: int, column: str, value: object) -> None:
    """Change one column of one row. Raises `StoreError` if there is no such row."""
    fetch_conversation(db, conversation_id)
    db.execute(
        f"UPDATE conversations SET {column} = ? WHERE id = ?",  # noqa: S608
        (value, conversation_id),
    )
