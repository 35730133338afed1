"""A run's folder is its own while it trains: a second process that would train in it is refused.

The lock is the kernel's and on the folder itself, so that whatever ends a process gives it back, a
`kill -9` too, and no file of it is left. Where there are no such locks, nobody is refused.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from chatapp.errors import ChatAppError, UsageError
from chatapp.train.corpus import TooLittleTextError
from chatapp.train.parallel import join


@contextmanager
def claim(folder: Path) -> Iterator[None]:
    """Hold `folder`, which is made if need be; folders made for it go again if they stay empty, or
    if too little text came of it.

    Of several processes of one run the first one holds it. Raises `ChatAppError` where another
    run does, `UsageError` where `folder` cannot be one.
    """
    if join().rank:
        yield
        return
    made = [place for place in (folder, *folder.parents) if not place.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise UsageError(f"{folder} is no folder.", "Name another one: --out FOLDER") from None
    try:
        with _lock(folder):
            is_new = not any(folder.iterdir())
            try:
                yield
            except TooLittleTextError:
                if is_new:
                    _empty(folder)
                raise
    finally:
        with suppress(OSError):  # what is not empty stays, and so do those above it
            for place in made:
                place.rmdir()


def _empty(folder: Path) -> None:
    for place in folder.iterdir():
        if place.is_dir():
            shutil.rmtree(place, ignore_errors=True)
        else:
            place.unlink(missing_ok=True)


@contextmanager
def _lock(folder: Path) -> Iterator[None]:
    try:
        import fcntl
    except ImportError:  # Windows
        yield
        return
    place = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(place, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ChatAppError(
                f"Another process is training in {folder} now.",
                "Wait until it ends, or name another folder.",
            ) from None
        except OSError:  # a file system without locks
            pass
        yield
    finally:
        os.close(place)
