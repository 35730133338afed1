"""Opens the history file: folder, mode 0600, WAL, schema, the second connection.

Promises that a file it refuses (newer, damaged, somebody else's) is left byte for byte as it
was. Surprising: an existing file is never opened with open(); closing such a descriptor would
drop the POSIX locks of every SQLite connection this process has on that file.
"""

import os
import sqlite3
import stat
from pathlib import Path

from sqlite_utils import Database

from chatapp.errors import StoreError
from chatapp.paths import expand_home
from chatapp.store.faults import damaged, translate
from chatapp.store.migrations import MIGRATIONS
from chatapp.store.session import Session
from chatapp.store.upgrade import connect, enable_wal, upgrade

BUSY_TIMEOUT_S = 5.0
"""How long a write waits for another instance's write before it gives up."""


def open_file(path: Path, busy_timeout_s: float = BUSY_TIMEOUT_S) -> Session:
    """The migrated database at `path` (`~` is the home folder), made if it is missing.

    Raises `StoreError` when the file is locked, newer than this program, damaged, no history of
    ours, or cannot be written, when the disk is full, and when an older file cannot be brought up
    to date (see `upgrade.py`).
    """
    path = expand_home(path).absolute()
    _make_private(path)
    where = str(path)
    with translate(where):
        if _is_older(path, where, busy_timeout_s):
            upgrade(path, busy_timeout_s)
        db = connect(path, busy_timeout_s)
        try:
            enable_wal(db, busy_timeout_s)
            _prepare(db)
            browser = connect(path, busy_timeout_s)
            browser.execute("PRAGMA query_only = ON")
            browser.execute("PRAGMA trusted_schema = OFF")
        except BaseException:  # Ctrl+C too may not leave the file open
            db.close()
            raise
    return Session(db, browser)


def open_memory(first_id: int = 1) -> Session:
    """A migrated database that is gone when it is closed and never touches the disk.

    Its conversations and messages have ids from `first_id` on.
    """
    conn = sqlite3.connect(":memory:", check_same_thread=False, isolation_level=None)
    db = Database(conn, execute_plugins=False)
    # Sorting a large result would otherwise write text into a temporary file.
    db.execute("PRAGMA temp_store = MEMORY")
    _prepare(db)
    for table in ("conversations", "messages"):
        db.execute("DELETE FROM sqlite_sequence WHERE name = ?", (table,))
        db.execute("INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", (table, first_id - 1))
    return Session(db)


def _is_older(path: Path, where: str, busy_timeout_s: float) -> bool:
    db = connect(path, busy_timeout_s)
    try:
        return _refuse_foreign(db, where)
    finally:
        db.close()


def _prepare(db: Database) -> None:
    # FULL: a committed message survives a power cut, not only a killed process.
    db.execute("PRAGMA synchronous = FULL")
    db.execute("PRAGMA trusted_schema = OFF")
    # IMMEDIATE also when nothing is pending: it finds a read-only or locked file now, and keeps
    # two programs that start together from both creating the schema.
    db.execute("BEGIN IMMEDIATE")
    try:
        MIGRATIONS.apply(db)
    except BaseException:  # Ctrl+C too may not leave half a schema
        db.rollback()
        raise
    db.commit()
    # After the schema: its steps rename and drop tables that refer to each other.
    db.execute("PRAGMA foreign_keys = ON")
    # What is deleted is overwritten with zeros.
    db.execute("PRAGMA secure_delete = ON").fetchall()


def _make_private(path: Path) -> None:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        except FileExistsError:
            status = path.stat()
            if not stat.S_ISREG(status.st_mode):
                raise StoreError(
                    f"The history {path} is not a file.", "Move it away, or set CHATAPP_HOME."
                ) from None
            if stat.S_IMODE(status.st_mode) & 0o077 and _is_ours(status):
                path.chmod(stat.S_IMODE(status.st_mode) & 0o700)
    except OSError as error:
        raise StoreError(
            f"The history {path} cannot be made or opened: {error.strerror or error}.",
            "Set CHATAPP_HOME to a folder you can write, or chat without saving: "
            "chatapp --temporary, chatapp ask --no-save.",
        ) from error


def _refuse_foreign(db: Database, where: str) -> bool:
    # Whether it is ours and older.
    # One transaction, one snapshot: another instance may be making the schema at this moment.
    with db.atomic():
        tables = set(db.table_names())
        applied = {migration.name for migration in MIGRATIONS.applied(db)}
    if tables and not applied:
        raise StoreError(
            f"{where} is a database, but not a history of chatapp. It was left as it is.",
            "Move it away, or set CHATAPP_HOME to another folder.",
        )
    with Database(memory=True, execute_plugins=False) as empty:
        # In an empty database everything is pending: this is how the set lists its names.
        ours = {migration.name for migration in MIGRATIONS.pending(empty)}
    if applied - ours:
        raise StoreError(
            f"The history {where} was written by a newer version of chatapp.",
            "Update chatapp, or set CHATAPP_HOME to another folder.",
        )
    if applied and not {"conversations", "messages", "generations"} <= tables:
        raise damaged(where, "tables are missing")
    return bool(applied) and ours > applied


def _is_ours(status: os.stat_result) -> bool:
    return hasattr(os, "getuid") and status.st_uid == os.getuid()
