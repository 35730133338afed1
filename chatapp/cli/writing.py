"""Files the command line writes: whole or not at all, and readable by their owner alone."""

from pathlib import Path

from chatapp.gguf.replacing import write_whole


def write_private(path: Path, text: str) -> None:
    """Write `text` beside `path` and rename; mode 0600, for conversations are private.

    Something that is no regular file (`/dev/stdout`, a pipe) is written to as it is.
    """
    if path.exists() and not path.is_file():
        path.write_text(text, encoding="utf-8")
        return
    write_whole(path, text.encode())
