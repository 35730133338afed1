"""One connection, one lock: what every part of the store stands on.

`reading` and `writing` are the only ways to the database. Both may be used from any thread. A
write is one short BEGIN IMMEDIATE transaction: it takes its lock at once and waits for another
instance, where a plain BEGIN would fail without waiting when it turns from reading to writing.
"""

import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import RLock
from typing import Any

from sqlite_utils import Database

from chatapp.errors import StoreError
from chatapp.store.faults import translate


class Session:
    """A migrated database that threads may share."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._lock = RLock()
        name = str(db.execute("PRAGMA database_list").fetchone()[2])
        self.path: Path | None = Path(name) if name else None
        """The file; None: in memory."""
        self._where = name or "in memory"

    @contextmanager
    def reading(self) -> Iterator[Database]:
        """The database, for statements that change nothing. Fetch before leaving."""
        with self._lock, translate(self._where):
            yield self._db

    @contextmanager
    def writing(self) -> Iterator[Database]:
        """The database inside a transaction: committed when left, undone by any exception."""
        with self._lock, translate(self._where):
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:  # Ctrl+C too may not leave a transaction open
                self._db.rollback()
                raise

    def close(self) -> None:
        """Close the database. Closing twice is harmless."""
        with self._lock, translate(self._where):
            self._db.close()


def clean(text: str) -> str:
    """`text` as SQLite can hold it: surrogate pairs joined, lone ones replaced by U+FFFD.

    Everything else is kept, NUL and other control characters included.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def make_uid() -> str:
    """A name that no other row anywhere has: 128 random bits in hexadecimal."""
    return secrets.token_hex(16)


def fetch_required(cursor: sqlite3.Cursor, what: str) -> Any:
    """The only row of `cursor`, a tuple. Raises `StoreError` naming `what` if there is none."""
    row = cursor.fetchone()
    if row is None:
        raise StoreError(f"There is no {what}.", "See: chatapp history list")
    return row
