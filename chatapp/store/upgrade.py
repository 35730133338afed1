"""Brings an older history file up to date: alone, with a copy beside it, whole or not at all.

The file is locked against every other program, older versions of chatapp too: an open connection
in WAL mode holds a shared lock on the file for as long as it lives, so the exclusive one is only
given to who is alone. (On a network file system without locks that is not so.) What the file was
stays beside it as `history.db.before-upgrade` until a purge finds it old enough. The steps
are one transaction in the write-ahead log: whoever is killed in it leaves the file as it was.
"""

import os
import shutil
import sqlite3
import time
from pathlib import Path

from sqlite_utils import Database

from chatapp.errors import StoreError
from chatapp.gguf.replacing import put_in_place
from chatapp.store.faults import damaged
from chatapp.store.migrations import MIGRATIONS

SPACE_FACTOR = 3
"""Free disk that is wanted, in sizes of the file. Measured: the copy 1, the write-ahead log 1.1,
and what the file itself grows by 0.9; the last two are given back."""


KEEP_COPY_DAYS = 7.0
"""How long the copy of what the file was stays, at most; nothing is purged meanwhile."""


def connect(path: Path, busy_timeout_s: float) -> Database:
    """A connection that threads may share and whose transactions are said."""
    conn = sqlite3.connect(
        path, timeout=busy_timeout_s, check_same_thread=False, isolation_level=None
    )
    return Database(conn, execute_plugins=False)


def copy_of(path: Path) -> Path:
    """Where the copy of the older file stands."""
    return path.with_name(f"{path.name}.before-upgrade")


def upgrade(path: Path, busy_timeout_s: float) -> None:
    """Run the steps that the file at `path` has not seen.

    Raises `StoreError`, and leaves the file as it was, when another program has it open, when the
    disk has too little room, and when the file is damaged.
    """
    _check_space(path)
    db = connect(path, busy_timeout_s)
    try:
        _lock(db, path, busy_timeout_s)
        if not MIGRATIONS.pending(db):  # another instance was quicker
            return
        _keep_copy(db, path)
        # Zeros over all the old pages would double the log; the sweep that becomes due does it.
        db.execute("PRAGMA secure_delete = OFF").fetchall()
        db.execute("PRAGMA synchronous = FULL")
        db.execute("BEGIN IMMEDIATE")
        try:
            MIGRATIONS.apply(db)
            db.execute("PRAGMA user_version = 1")
            _check_result(db, path)
        except BaseException:  # Ctrl+C too may not leave half a schema
            db.rollback()
            raise
        db.commit()
    finally:
        db.close()


def _check_result(db: Database, path: Path) -> None:
    complaint = str(db.execute("PRAGMA quick_check(1)").fetchone()[0])
    if complaint != "ok":
        raise damaged(str(path), complaint)


def _check_space(path: Path) -> None:
    log = path.with_name(path.name + "-wal")
    size = path.stat().st_size + (log.stat().st_size if log.exists() else 0)
    free = shutil.disk_usage(path.parent).free
    if free < SPACE_FACTOR * size:
        raise StoreError(
            f"The history {path} is of an older form, and there is no room to bring it up to"
            f" date: that takes {_megabytes(SPACE_FACTOR * size)} for a moment, and"
            f" {_megabytes(free)} are free.",
            "Free some space and try again. Or chat without saving: chatapp --temporary.",
        )


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB"


def _lock(db: Database, path: Path, busy_timeout_s: float) -> None:
    try:
        db.execute("PRAGMA locking_mode = EXCLUSIVE").fetchall()
        enable_wal(db, busy_timeout_s)
        db.execute("BEGIN EXCLUSIVE")
        db.execute("COMMIT")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
            raise
        raise StoreError(
            f"The history {path} is of an older form, and open in another program: it can only be"
            " brought up to date alone.",
            "Close the other chatapp and try again. Or chat without saving: chatapp --temporary.",
        ) from error


def _keep_copy(db: Database, path: Path) -> None:
    copy = copy_of(path)
    part = copy.with_name(f"{copy.name}.part")
    try:
        part.unlink(missing_ok=True)
        # VACUUM INTO takes an empty file, which has the right mode from its first byte on. The name
        # is always the same, so that what a killed upgrade left goes with the next one.
        os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        db.execute("VACUUM INTO ?", (str(part),))
        put_in_place(part, copy)
    except OSError as error:
        raise StoreError(
            f"The history was not brought up to date: its copy {copy} cannot be written: "
            f"{error.strerror}.",
            "Make room for a copy beside the history, then start again. Nothing was changed.",
        ) from error


def enable_wal(db: Database, busy_timeout_s: float) -> None:
    """Switch to write-ahead logging, waiting for another program that does the same."""
    # SQLite does not always wait for its busy timeout while two programs switch a new file to
    # WAL at once, so the waiting is done here.
    deadline = time.monotonic() + busy_timeout_s
    while True:
        try:
            db.enable_wal()
        except sqlite3.OperationalError as error:
            busy = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
            if not busy or time.monotonic() > deadline:
                raise
            time.sleep(0.02)
        else:
            return
