"""Texts that were begun and not sent: one for each conversation and one for the new chat.

A draft belongs to the process that writes it, as an answer does: two chatapps keep two drafts of
the same chat, and neither takes the other's. What a process that is gone has left is there for the
next one that asks. Surprising: asking is taking over, so that a draft which two would find goes to
one of them.
"""

import time
from typing import Any, NamedTuple

from sqlite_utils import Database

from chatapp.store.answers import this_process
from chatapp.store.owner import is_gone, parse_owner
from chatapp.store.rows import Draft

_NEW_CHAT = 0
"""Stands for the chat that is no conversation yet; no conversation has this id."""
_COLUMNS = "d.conversation_id, d.text, d.cursor, d.updated_at, d.replaces, d.waits"


class Found(NamedTuple):
    """A draft and who wrote it."""

    draft: Draft
    owner: str

    @property
    def is_ours(self) -> bool:
        """This process wrote it."""
        return self.owner == this_process()


def put(
    db: Database,
    conversation_id: int | None,
    text: str,
    cursor: int,
    replaces: int | None,
    waits: str,
) -> None:
    """Make a text our draft."""
    db.execute(
        "INSERT OR REPLACE INTO drafts"
        " (conversation_id, owner, text, cursor, updated_at, replaces, waits)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            conversation_id or _NEW_CHAT,
            this_process(),
            text,
            cursor,
            time.time(),
            replaces,
            waits,
        ),
    )


def find(db: Database, conversation_id: int | None) -> Found | None:
    """Our draft, or else the newest whose writer is gone."""
    now = time.time()
    rows = db.execute(
        f"SELECT {_COLUMNS}, d.owner FROM drafts d"  # noqa: S608
        " WHERE conversation_id = ? ORDER BY owner != ?, updated_at DESC",
        (conversation_id or _NEW_CHAT, this_process()),
    ).fetchall()
    for *row, owner in rows:
        found = Found(_read(row), owner)
        if found.is_ours or is_gone(parse_owner(owner), now - found.draft.updated_at):
            return found
    return None


def find_all(db: Database) -> list[Draft]:
    """Every draft of a conversation that is not deleted and of the new chat, newest first."""
    rows = db.execute(
        f"SELECT {_COLUMNS} FROM drafts d"  # noqa: S608
        " LEFT JOIN conversations c ON c.id = d.conversation_id"
        " WHERE c.deleted_at IS NULL ORDER BY d.updated_at DESC"
    ).fetchall()
    return [_read(row) for row in rows]


def take_over(db: Database, conversation_id: int | None) -> Draft | None:
    """The draft that `find` finds, made ours."""
    found = find(db, conversation_id)
    if found is None:
        return None
    db.execute(
        "UPDATE drafts SET owner = ? WHERE conversation_id = ? AND owner = ?",
        (this_process(), conversation_id or _NEW_CHAT, found.owner),
    )
    return found.draft


def remove_ours(db: Database, conversation_id: int | None) -> None:
    """Remove our draft."""
    db.execute(
        "DELETE FROM drafts WHERE conversation_id = ? AND owner = ?",
        (conversation_id or _NEW_CHAT, this_process()),
    )


def remove_all(db: Database, conversation_id: int) -> None:
    """Remove the drafts of a conversation, whoever wrote them."""
    db.execute("DELETE FROM drafts WHERE conversation_id = ?", (conversation_id,))


def _read(row: Any) -> Draft:
    return Draft(row[0] or None, *row[1:])
