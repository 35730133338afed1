"""Conversations as rows: made, listed, renamed. Listing reads no message.

Functions take the database inside the caller's transaction; `Store` says which that is.
"""

import json
from collections.abc import Sequence
from typing import Any

from sqlite_utils import Database

from chatapp.store.filtering import find_ids
from chatapp.store.rows import ConversationRow
from chatapp.store.search import index_text, parse_query, plan_query, unindex_text
from chatapp.store.session import clean, fetch_required
from chatapp.store.words import join_words
from chatapp.text import cut_text, one_line

MAX_TITLE = 200
"""Characters of a title that are kept."""

_TAGS = (
    "(SELECT group_concat(tag, char(10)) FROM"
    " (SELECT tag FROM tags WHERE conversation_id = c.id ORDER BY tag))"
)
_COLUMNS = (
    "c.id, c.title, c.system, c.created_at, c.updated_at, c.active_leaf_id, c.deleted_at, c.uid,"
    f" c.settings, c.pinned_at, c.archived_at, {_TAGS}"
)
_ONE = f"SELECT {_COLUMNS} FROM conversations c WHERE c.id = ?"  # noqa: S608
_LAST = f"""
SELECT {_COLUMNS} FROM conversations c WHERE c.deleted_at IS NULL AND c.archived_at IS NULL
ORDER BY c.updated_at DESC, c.id DESC LIMIT 1
"""  # noqa: S608
_DELETED = f"""
SELECT {_COLUMNS} FROM conversations c
WHERE c.deleted_at <= ? AND NOT EXISTS (SELECT 1 FROM cuts WHERE cuts.id = c.id)
ORDER BY c.deleted_at, c.id
"""  # noqa: S608
# As the index `conversations_listed` has it.
_SHELF = "(c.archived_at IS NOT NULL) = :archived"
_ORDER = "ORDER BY c.pinned_at IS NULL, c.updated_at DESC, c.id DESC"
_TAGGED = "c.id IN (SELECT conversation_id FROM tags WHERE tag = :tag)"
_BEGUN = (
    "c.id IN (SELECT conversation_id FROM tags"
    " WHERE tag >= :begun{0} AND substr(tag, 1, length(:begun{0})) = :begun{0})"
)
_LISTED = f"""
SELECT {_COLUMNS} FROM json_each(?) wanted CROSS JOIN conversations c ON c.id = wanted.value
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
    cursor = db.execute(_ONE, (conversation_id,))
    return _read_row(fetch_required(cursor, f"conversation {conversation_id}"))


def fetch_last(db: Database) -> ConversationRow | None:
    """The conversation that was used last, archived ones left out; None: there is none."""
    row = db.execute(_LAST).fetchone()
    return _read_row(row) if row else None


def find_conversations(
    db: Database,
    query: str,
    limit: int,
    offset: int,
    *,
    archived: bool | None,
    tag: str,
    begun: Sequence[str] = (),
) -> list[ConversationRow]:
    """Conversations that are not deleted and match: pinned ones, then the last used first.

    With each of `begun` one of their tags begins.
    """
    phrases = parse_query(query)
    conditions = ["c.deleted_at IS NULL"]
    conditions += [] if archived is None else [_SHELF]
    conditions += [_TAGGED] if tag else []
    conditions += [_BEGUN.format(number) for number in range(len(begun))]
    wanted = " AND ".join(conditions)
    parameters: dict[str, Any] = {
        "limit": limit,
        "offset": offset,
        "archived": archived,
        "tag": tag,
    } | {f"begun{number}": one for number, one in enumerate(begun)}
    if phrases:
        asked = plan_query(db, phrases)
        ids = find_ids(db, asked, wanted, _ORDER, parameters, limit, offset)
        rows = db.execute(_LISTED, (json.dumps(ids),))
    else:
        rows = db.execute(
            f"SELECT {_COLUMNS} FROM conversations c WHERE {wanted} {_ORDER}"  # noqa: S608
            " LIMIT :limit OFFSET :offset",
            parameters,
        )
    return [_read_row(row) for row in rows.fetchall()]


def find_deleted(db: Database, until: float) -> list[ConversationRow]:
    """Conversations that were deleted at `until` or before, the longest deleted first."""
    return [_read_row(row) for row in db.execute(_DELETED, (until,)).fetchall()]


def _read_row(row: Any) -> ConversationRow:
    *facts, tags = row
    return ConversationRow(*[*facts, tuple(tags.split("\n")) if tags else ()])


def rename(db: Database, conversation_id: int, title: str) -> None:
    """Give another title, in the row and in the index."""
    title = clean_title(title)
    old = fetch_conversation(db, conversation_id)
    unindex_text(db, "title_fts", conversation_id, join_words(old.title))
    db.execute("UPDATE conversations SET title = ? WHERE id = ?", (title, conversation_id))
    index_text(db, "title_fts", conversation_id, join_words(title))


def set_column(db: Database, conversation_ids: Sequence[int], column: str, value: object) -> None:
    """Change one column of these rows. Raises `StoreError` if one of them is not there."""
    for one in conversation_ids:
        fetch_conversation(db, one)
        db.execute(f"UPDATE conversations SET {column} = ? WHERE id = ?", (value, one))  # noqa: S608
