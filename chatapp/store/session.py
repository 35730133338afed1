"""Two connections to one file, a lock for each: what everything in the store stands on.

`writing` and `reading` share the first: short statements by id, and every change. `browsing` has
the second, which cannot write: lists, searches and exports may take long there and delay no
journal. All may be used from any thread. A write is one short BEGIN IMMEDIATE transaction: it
takes its lock at once and waits for another instance, where a plain BEGIN would fail without
waiting when it turns from reading to writing.

Beside the file there may be databases in memory (`temporary.py`), told apart by the ids of rows.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import RLock
from typing import Any

from sqlite_utils import Database

from chatapp.errors import StoreError
from chatapp.store.faults import translate
from chatapp.store.rows import temporary_range


class Session:
    """A migrated database that threads may share.

    `browser` is a second connection to the same file; without one (in memory there is only one)
    browsing waits for its turn like everything else.
    """

    def __init__(self, db: Database, browser: Database | None = None) -> None:
        self._db = db
        self._lock = RLock()
        self._browser = browser or db
        self._browser_lock = RLock() if browser else self._lock
        name = str(db.execute("PRAGMA database_list").fetchone()[2])
        self.path: Path | None = Path(name) if name else None
        """The file; None: in memory."""
        self._where = name or "in memory"
        self.beside: dict[int, Session] = {}
        """Databases in memory, by their range of ids."""

    def of(self, row_id: int | None) -> "Session":
        """Where the conversation or message with this id lies, if there is one."""
        return self.beside.get(temporary_range(row_id), self)

    @contextmanager
    def reading(self) -> Iterator[Database]:
        """The database, for short statements that change nothing. Fetch before leaving."""
        with self._lock, translate(self._where):
            yield self._db

    @contextmanager
    def browsing(self) -> Iterator[Database]:
        """The database as it was last committed, for what may take long."""
        with self._browser_lock, translate(self._where):
            yield self._browser

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
        """Close the database and those beside it. Closing twice is harmless."""
        while self.beside:
            self.beside.popitem()[1].close()
        # The writer last: the last connection to go folds the write-ahead log into the file.
        with self._browser_lock, translate(self._where):
            self._browser.close()
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


def fetch_required(
    cursor: sqlite3.Cursor, what: str, hint: str = "See: chatapp history list"
) -> Any:
    """The only row of `cursor`, a tuple. Raises `StoreError` naming `what` if there is none."""
    row = cursor.fetchone()
    if row is None:
        raise StoreError(f"There is no {what}.", hint)
    return row
