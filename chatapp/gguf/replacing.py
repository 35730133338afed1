"""Files that appear whole or not at all.

Promises: under the name lies what was there before or all of what is there now, after a power cut
too; whatever ends the writing, Ctrl+C as well, leaves no temporary file (`kill -9` can). Large
files that are resumed or locked while they grow keep a part file of their own.
"""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PRIVATE = 0o600


@contextmanager
def replacement(path: Path, mode: int | None = PRIVATE) -> Iterator[Path]:
    """An empty file beside `path` to write to, which takes its place when the block ends well.

    `mode` None: as the umask has it. A link is followed. Raises `OSError`.
    """
    target = Path(os.path.realpath(path))
    part = target.with_name(f".chatapp-{secrets.token_hex(8)}.part")
    try:
        flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | getattr(os, "O_CLOEXEC", 0)
        handle = os.open(part, flags, 0o666 if mode is None else mode)
        os.close(handle)
        yield part
        put_in_place(part, target)
    finally:
        part.unlink(missing_ok=True)


def write_whole(path: Path, content: bytes, mode: int | None = PRIVATE) -> None:
    """Write `content` to `path`, whole or not at all. `mode` as in `replacement`."""
    with replacement(path, mode) as part:
        part.write_bytes(content)


def put_in_place(part: Path, target: Path) -> None:
    """Sync `part`, and give it the name `target`. Raises `OSError`."""
    with part.open("r+b") as file:  # Windows syncs only what may be written
        os.fsync(file.fileno())
    part.replace(target)
    with suppress(OSError):  # some file systems cannot sync a folder
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)  # else the rename itself may be lost with the power
        finally:
            os.close(folder)
