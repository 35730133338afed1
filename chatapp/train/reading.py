"""Files of text, block by block: what they are encoded in, and which files of a folder are text.

Promises that no file is ever in memory whole, that line ends become `\\n` and a byte order mark
vanishes, and that what is no text is refused in one sentence. UTF-8, UTF-16 and UTF-32 are read,
plain or gzip.
"""

import codecs
import gzip
import io
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

from chatapp.errors import ChatAppError
from chatapp.text import find_encoding

BLOCK = 1 << 20
"""Bytes of a block."""
_HEAD = 1 << 16
"""Bytes that tell what a file is."""
LONGEST_LINE = 1 << 26
"""Characters of a line of JSON at most."""
_ADVICE = "Training text must be UTF-8 or UTF-16, plain or gzip."


def find_files(path: Path) -> list[Path]:
    """`path`, or all text files below it, in the order of their names; hidden ones are passed over.

    Raises `ChatAppError` when a folder holds none.
    """
    if not path.is_dir():
        return [path]
    found: list[Path] = []
    others = 0
    for folder, folders, names in os.walk(path):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            file = Path(folder, name)
            if name.startswith(".") or not file.is_file() or not _is_text(file):
                others += 1
            else:
                found.append(file)
    if not found:
        raise ChatAppError(
            f"{path} holds no text: none of its {others} files is text."
            if others
            else f"{path} holds no text: it is empty.",
            _ADVICE,
        )
    return found


def count_bytes(path: Path) -> int:
    """Bytes of a file, or of the text files below a folder."""
    return sum(file.stat().st_size for file in find_files(path) if file.is_file())


def read_blocks(path: Path) -> Iterator[str]:
    """The text of a file in blocks of about a million characters; raises `ChatAppError`."""
    try:
        with _open(path) as stream:
            head = stream.read(_HEAD)
            encoding = find_encoding(head)
            if not encoding:
                raise ChatAppError(f"{path} is no text: it holds binary data.", _ADVICE)
            decoder = io.IncrementalNewlineDecoder(
                codecs.getincrementaldecoder(encoding)("strict"), translate=True
            )
            block = head
            while block:
                yield decoder.decode(cast(str, block))
                block = stream.read(BLOCK)
            yield decoder.decode(cast(str, b""), final=True)
    except UnicodeDecodeError as error:
        byte = error.object[error.start]
        raise ChatAppError(
            f"{path} cannot be read: it is no {error.encoding.upper()}, as byte {byte:#04x} shows.",
            _ADVICE,
        ) from error
    except (OSError, EOFError, zlib.error) as error:
        raise ChatAppError(f"{path} cannot be read: {error}.", _ADVICE) from error


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines of a file that are not blank, numbered from 1."""
    number, length = 1, 0
    parts: list[str] = []
    for block in read_blocks(path):
        first, *others = block.split("\n")
        parts.append(first)
        length += len(first)
        if length > LONGEST_LINE:
            raise ChatAppError(f"{path}, line {number} is longer than {LONGEST_LINE} characters.")
        for other in others:
            if (line := "".join(parts)).strip():
                yield number, line
            number, length, parts = number + 1, len(other), [other]
    if (line := "".join(parts)).strip():
        yield number, line


def _open(path: Path) -> BinaryIO:
    if path.suffix == ".gz":
        return cast(BinaryIO, gzip.open(path, "rb"))
    return path.open("rb")


def _is_text(path: Path) -> bool:
    """Whether the beginning of a file is text."""
    try:
        with _open(path) as stream:
            head = stream.read(_HEAD)
    except (OSError, EOFError, zlib.error):
        return False
    encoding = find_encoding(head)
    if not encoding or not head.strip():
        return False
    try:
        codecs.getincrementaldecoder(encoding)("strict").decode(head)
    except UnicodeDecodeError:
        return False
    return True
