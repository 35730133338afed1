"""Turns SQLite's errors into sentences for people.

Every statement of the store runs inside `translate`, so nothing but `StoreError` leaves it. A
damaged file is reported, never mended or replaced: what can still be read in it is the user's.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from chatapp.errors import StoreError

_TEMPORARY = "Or chat without saving: chatapp --temporary."


@contextmanager
def translate(where: str) -> Iterator[None]:
    """Raise `StoreError` instead of any SQLite error about the database `where`."""
    try:
        yield
    except OverflowError as error:
        # sqlite3 refuses integers beyond 64 bits; only an id that nobody has can be that large.
        raise StoreError("There is no such conversation or message.") from error
    except sqlite3.Error as error:
        raise explain(error, where) from error


def explain(error: sqlite3.Error, where: str) -> StoreError:
    """The `StoreError` that says what `error` means for the database `where`."""
    # Extended codes such as SQLITE_IOERR_WRITE carry the primary code in their low byte.
    code = (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return StoreError(
            f"The history {where} is locked by another program.",
            "Close the program that has it open (a database browser, a backup) and try again.",
        )
    if code == sqlite3.SQLITE_FULL:
        return StoreError(
            f"The disk is full: the history {where} cannot grow. Nothing saved before is lost.",
            "Free some space and try again.",
        )
    if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM):
        return StoreError(
            f"The history {where} is not writable.",
            f"Check the permissions of the file and its folder. {_TEMPORARY}",
        )
    if code == sqlite3.SQLITE_CANTOPEN:
        return StoreError(
            f"The history {where} cannot be opened.",
            f"Check that its folder is writable, or set CHATAPP_HOME to another. {_TEMPORARY}",
        )
    if code == sqlite3.SQLITE_IOERR:
        return StoreError(
            f"The disk failed at the history {where} ({error}).",
            "Check that the disk is connected and has free space, then try again.",
        )
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB) or "decode to UTF-8" in str(error):
        return damaged(where, str(error))
    if isinstance(error, sqlite3.ProgrammingError) and "closed" in str(error):
        return StoreError(f"The history {where} is closed already.")
    if code == sqlite3.SQLITE_TOOBIG or isinstance(error, sqlite3.DataError):
        return StoreError("The text is too large for the history.", "Split it into parts.")
    return StoreError(f"The history {where} failed: {error}.")


def damaged(where: str, reason: str) -> StoreError:
    """A file whose bytes are not those of a sound history."""
    return StoreError(
        f"The history {where} is damaged or not a database ({reason}). It was left as it is.",
        "Move it away and start again, put a backup in its place, or rescue what is readable "
        "with: sqlite3 FILE .recover",
    )
