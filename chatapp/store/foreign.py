"""Tables of another program's SQLite file, read without trust and without a trace in it.

The file is opened read-only and immutable: no lock is taken, no journal is replayed into it, and
nothing beside it is touched. Where its newest pages are still in a write-ahead log, a private copy
of both is read. Only plain tables are read, one at a time and without conditions, so that no view,
trigger, virtual table or function of the file runs; how much may be read is bounded.
"""

import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

from chatapp.errors import UsageError

MAGIC = b"SQLite format 3\0"
"""How a database begins."""

MAX_ROWS = 5_000_000
"""Rows of one table; a file whose pages lead in circles has endless ones."""
MAX_VALUE = 64 << 20
"""Bytes of the largest value."""

_BROKEN = (sqlite3.Error, OSError, UnicodeDecodeError)
"""What reading a damaged file raises; the names in SQLite's own messages need not be UTF-8."""

_ALLOWED = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ}


class ForeignDatabase:
    """A database that somebody else wrote."""

    def __init__(self, path: Path) -> None:
        """Raises `UsageError` for a file that SQLite cannot open."""
        self._name = str(path)
        self._stack = ExitStack()
        try:
            self._db = self._open(path)
            self._tables = dict(self._find_tables())
        except _BROKEN as error:
            self._stack.close()
            raise self._damaged(error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def columns(self, table: str) -> tuple[str, ...]:
        """The columns of a plain table; empty: there is no such table."""
        return self._tables.get(table, ())

    def rows(self, table: str, *columns: str) -> Iterator[dict[str, Any]]:
        """Every row in the order of the file; a column that the table lacks reads as None.

        Raises `UsageError` when the file is damaged or holds more than is read.
        """
        there = [column for column in columns if column in self.columns(table)]
        if not there:
            return
        names = ", ".join(map(_quote, there))
        try:
            cursor = self._db.execute(f"SELECT {names} FROM main.{_quote(table)}")  # noqa: S608
            for number, row in enumerate(cursor):
                if number >= MAX_ROWS:
                    raise UsageError(
                        f"{self._name} holds more than {MAX_ROWS:,} rows in {table}.",
                        "It is damaged, or was made to do harm.",
                    )
                yield dict.fromkeys(columns) | dict(zip(there, row, strict=True))
        except _BROKEN as error:
            raise self._damaged(error) from error

    def _open(self, path: Path) -> sqlite3.Connection:
        log = path.with_name(path.name + "-wal")
        options = "mode=ro&immutable=1"
        if log.is_file() and log.stat().st_size:
            folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory()))
            shutil.copyfile(path, folder / "copy.db")
            shutil.copyfile(log, folder / "copy.db-wal")
            path, options = folder / "copy.db", "mode=rw"
        address = f"file:{quote(str(path.absolute()))}?{options}"
        db = sqlite3.connect(address, uri=True, isolation_level=None)
        self._stack.callback(db.close)
        db.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_VALUE)
        db.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
        for setting in ("trusted_schema=OFF", "cell_size_check=ON", "mmap_size=0", "query_only=ON"):
            db.execute(f"PRAGMA {setting}")
        db.text_factory = lambda data: data.decode("utf-8", "replace")
        db.set_authorizer(_authorize)
        return db

    def _find_tables(self) -> Iterator[tuple[str, tuple[str, ...]]]:
        found = self._db.execute("SELECT name, type, sql FROM main.sqlite_master").fetchmany(10_000)
        for name, kind, sql in found:
            made = sql.split(None, 2)[:2] if isinstance(sql, str) else []
            if kind != "table" or [word.upper() for word in made] != ["CREATE", "TABLE"]:
                continue
            query = f"SELECT * FROM main.{_quote(str(name))} LIMIT 0"  # noqa: S608
            try:
                yield str(name), tuple(column[0] for column in self._db.execute(query).description)
            except _BROKEN:
                continue  # a table that wants a function to be run is none that anybody needs

    def _damaged(self, error: Exception) -> UsageError:
        return UsageError(
            f"{self._name} cannot be read as a database ({error}).",
            "Close the program that it belongs to, copy the file whole, and try again.",
        )


def _authorize(action: int, *_: object) -> int:
    return sqlite3.SQLITE_OK if action in _ALLOWED else sqlite3.SQLITE_DENY


def _quote(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
