"""Removing for good: rows first, then every trace of them in the file.

What SQLite deletes it overwrites with zeros (`PRAGMA secure_delete`), but the words stay in the
search index until its segments are merged, and pages that an older chatapp freed without
overwriting stay as they were. So the index is merged, the file written anew (`VACUUM`) and the
write-ahead log emptied. `user_version` is 1 from the first removal until all of that was done:
while another program reads the file it cannot be, and is tried again.
"""

import sqlite3
import time
from pathlib import Path

from sqlite_utils import Database

from chatapp.errors import StoreError
from chatapp.store import drafts
from chatapp.store.conversations import find_deleted
from chatapp.store.cuts import find_old_cuts, list_cuts
from chatapp.store.messages import find_tree
from chatapp.store.rows import Purged
from chatapp.store.search import unindex_message, unindex_text
from chatapp.store.session import Session
from chatapp.store.upgrade import KEEP_COPY_DAYS, copy_of
from chatapp.store.words import join_words


def purge(session: Session, days: float) -> Purged:
    """Remove what was deleted at least `days` ago.

    While the copy from an upgrade is there nothing is removed, for it would still be in the copy.
    """
    copy = copy_of(session.path) if session.path else None
    if copy is not None and (made := _made_at(copy)):
        if time.time() - made < min(days, KEEP_COPY_DAYS) * 86_400:
            return Purged(0, swept=True)
        _drop(copy)
    return _remove(session, days, always=False)


def empty_bin(session: Session) -> Purged:
    """Remove all that was deleted, and the copy from an upgrade, and every trace."""
    if session.path is not None:
        _drop(copy_of(session.path))
    return _remove(session, 0.0, always=True)


def _made_at(copy: Path) -> float:
    """When the copy was made; 0: there is none."""
    try:
        return copy.stat().st_mtime
    except OSError:
        return 0.0


def _drop(copy: Path) -> None:
    try:
        copy.unlink(missing_ok=True)
    except OSError as error:
        raise StoreError(
            f"The copy from before the upgrade, {copy}, cannot be removed: {error.strerror}.",
            "It still holds what was deleted. Remove it yourself, then try again.",
        ) from error


def _remove(session: Session, days: float, *, always: bool) -> Purged:
    with session.browsing() as db:
        gone = find_deleted(db, time.time() - days * 86_400)
        cuts = find_old_cuts(db, time.time() - days * 86_400)
    # A transaction a conversation, so that another instance never waits long.
    for conversation_id in [row.id for row in gone] + cuts:
        with session.writing() as db:
            remove_conversation(db, conversation_id)
    # Our own searches would keep the file from being written anew: they are waited for.
    with session.browsing(), session.reading() as db:
        due = always or bool(db.execute("PRAGMA user_version").fetchone()[0])
        return Purged(len(gone), swept=not due or sweep(db))


def remove_conversation(db: Database, conversation_id: int) -> None:
    """Remove a deleted conversation with everything in it, inside the caller's transaction.

    Nothing happens if another instance has removed it, or brought it back.
    """
    row = db.execute(
        "SELECT title FROM conversations WHERE id = ? AND deleted_at IS NOT NULL",
        (conversation_id,),
    ).fetchone()
    if row is None:
        return
    for cut in list_cuts(db, conversation_id):
        remove_conversation(db, cut.id)
    db.execute("DELETE FROM cuts WHERE id = ?", (conversation_id,))
    db.execute("DELETE FROM tags WHERE conversation_id = ?", (conversation_id,))
    drafts.remove_all(db, conversation_id)
    unindex_text(db, "title_fts", conversation_id, join_words(row[0]))
    for message_id in find_tree(db, conversation_id):
        status = db.execute("SELECT status FROM messages WHERE id = ?", (message_id,)).fetchone()
        if status != ("streaming",):
            unindex_message(db, message_id)
    own = "SELECT id FROM messages WHERE conversation_id = ?"
    for table in ("generations", "parts"):
        db.execute(f"DELETE FROM {table} WHERE message_id IN ({own})", (conversation_id,))  # noqa: S608
    db.execute("DELETE FROM messages WHERE conversation_id = ?", (conversation_id,))
    db.execute("DELETE FROM conversations WHERE id = ?", (conversation_id,))
    db.execute("PRAGMA user_version = 1")


def sweep(db: Database) -> bool:
    """Remove every trace of what was removed, outside a transaction.

    False: another program is reading or writing the file, or the disk is full; a later sweep does
    it. Raises `sqlite3.Error` for anything else.
    """
    try:
        for index in ("message_fts", "reasoning_fts", "title_fts"):
            db.execute(f"INSERT INTO {index} ({index}) VALUES ('optimize')")  # noqa: S608
        db.execute("VACUUM")
        if db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
            return False
    except sqlite3.OperationalError as error:
        waits = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL)
        if error.sqlite_errorcode & 0xFF in waits:
            return False
        raise
    db.execute("PRAGMA user_version = 0")
    return True
