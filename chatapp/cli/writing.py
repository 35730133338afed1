"""Files the command line writes: whole or not at all, and readable by their owner alone."""

from collections.abc import Iterable
from pathlib import Path

from chatapp.gguf.replacing import replacement


def write_private(path: Path, pieces: Iterable[str]) -> None:
    """Write `pieces` beside `path` and rename; mode 0600, for conversations are private.

    Something that is no regular file (`/dev/stdout`, a pipe) is written to as it is.
    """
    if path.exists() and not path.is_file():
        with path.open("w", encoding="utf-8") as file:
            file.writelines(pieces)
        return
    with replacement(path) as part, part.open("w", encoding="utf-8") as file:
        file.writelines(pieces)
