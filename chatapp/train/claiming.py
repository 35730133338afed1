"""A run's folder is its own while it trains: a second process that would train in it is refused.

The lock is the kernel's and on the folder itself, so that whatever ends a process gives it back, a
`kill -9` too, and no file of it is left. Where there are no such locks, nobody is refused.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from chatapp.errors import ChatAppError, UsageError
from chatapp.train.parallel import join


@contextmanager
def claim(folder: Path) -> Iterator[None]:
    """Hold `folder`, which is made if need be; folders made for it go again if they stay empty.

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
            yield
    finally:
        with suppress(OSError):  # what is not empty stays, and so do those above it
            for place in made:
                place.rmdir()


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
