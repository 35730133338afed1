"""Texts that a model is evaluated at: files or standard input, read as one text in their order."""

import hashlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from chatapp.errors import UsageError
from chatapp.text import find_encoding

MAX_BYTES = 48 << 20
"""What fits a line to the engine, escapes included."""
_HEAD = 1 << 16
"""Bytes that tell what a text is encoded in."""
_STDIN = "-"


@dataclass(frozen=True, slots=True)
class EvaluationText:
    """A text to be evaluated, where it came from, and its hash."""

    name: str
    """The files as they were named."""
    text: str
    sha256: str
    """Of `text` in UTF-8, in hexadecimal."""


def read_texts(names: Sequence[str]) -> EvaluationText:
    """The texts of files, `-` for standard input, put together. Raises `UsageError`."""
    if names.count(_STDIN) > 1:
        raise UsageError("Standard input (-) can be read once.")
    data = [_read(name) for name in names]
    if sum(map(len, data)) > MAX_BYTES:
        raise UsageError(
            f"The texts are more than {MAX_BYTES >> 20} MiB together.",
            "Evaluate at a part: head -c 10000000 FILE | chatapp eval perplexity MODEL -",
        )
    text = "".join(_decode(name, content) for name, content in zip(names, data, strict=True))
    digest = hashlib.sha256(text.encode()).hexdigest()
    return EvaluationText(" ".join(names), text, digest)


def _read(name: str) -> bytes:
    try:
        if name == _STDIN:
            return sys.stdin.buffer.read(MAX_BYTES + 1)
        with Path(name).open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{name} cannot be read: {error.strerror or error}.") from None


def _decode(name: str, data: bytes) -> str:
    called = "Standard input" if name == _STDIN else name
    encoding = find_encoding(data[:_HEAD])
    try:
        text = data.decode(encoding or "utf-8")
    except UnicodeDecodeError as error:
        named = (encoding or "utf-8").removesuffix("-sig").upper()
        raise UsageError(
            f"{called} is not text in {named}: byte {error.start:,} is none of it.",
            "If it is text in another encoding: iconv -f ENCODING -t UTF-8 FILE",
        ) from None
    if not encoding or "\0" in text:
        raise UsageError(f"{called} is no text: it holds NUL characters.", "Is it a binary file?")
    if not text.strip():
        raise UsageError(f"{called} is empty.", "Give a text of a few pages.")
    return text
