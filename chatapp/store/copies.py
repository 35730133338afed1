"""The history file as a whole: copies of it, its size, its damage."""

import sqlite3
from pathlib import Path

from sqlite_utils import Database

from chatapp.errors import StoreError
from chatapp.gguf.replacing import replacement
from chatapp.paths import expand_home
from chatapp.store.faults import translate


def measure(path: Path) -> int:
    """Bytes of the file and its write-ahead log."""
    files = (path.with_name(path.name + suffix) for suffix in ("", "-wal", "-shm"))
    return sum(file.stat().st_size for file in files if file.exists())


def measure_memory(db: Database) -> int:
    """Bytes of the pages of a database in memory."""
    pages, size = (
        db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "page_size")
    )
    return int(pages * size)


def find_damage(db: Database) -> list[str]:
    """What SQLite's integrity check complains about; empty: nothing."""
    found = [str(row[0]) for row in db.execute("PRAGMA integrity_check(20)")]
    return [] if found == ["ok"] else found


def write_backup(db: Database, history: Path | None, path: Path) -> None:
    """Write a sound copy (mode 0600) to `path`, replacing a file there once it is whole.

    Raises `StoreError` when `path` is the history itself or cannot be written.
    """
    path = expand_home(path).absolute()
    if history is not None and path.exists() and path.samefile(history):
        raise StoreError("A backup cannot replace the history itself.", "Name another file.")
    try:
        with replacement(path) as part:
            _copy(db, part)
    except OSError as error:
        raise _cannot_write(path, error) from error


def _copy(db: Database, path: Path) -> None:
    with translate(str(path)):
        target = sqlite3.connect(path, isolation_level=None)
        try:
            db.conn.backup(target)
            # The copy would otherwise be in WAL mode and leave two more files behind.
            target.execute("PRAGMA journal_mode = DELETE")
        finally:
            target.close()


def _cannot_write(path: Path, error: OSError) -> StoreError:
    return StoreError(
        f"The backup {path} cannot be written: {error.strerror or error}.",
        "Name a file in a folder you can write.",
    )
