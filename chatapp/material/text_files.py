"""One text file, read to be put before a model, or the sentence why not."""

import math
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from chatapp.errors import UsageError
from chatapp.gguf.size import size_text
from chatapp.parts import File

MAX_BYTES = 4 * 1024 * 1024
"""The largest file; more text than any model here can be given at once."""

_BOMS = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))


@dataclass(frozen=True, slots=True)
class TextFile:
    """A file that was read."""

    file: File
    size: int
    """Bytes on the disk."""
    n_tokens: int
    """About how many tokens its text has; only a tokenizer knows."""

    @property
    def summary(self) -> str:
        """Its name, size and length, for people."""
        return f"{self.file.name}: {size_text(self.size)}, about {self.n_tokens:,} tokens"


def read_text_file(path: Path, name: str) -> TextFile:
    """The file at `path`, called `name`; `UsageError` says what keeps it from being text."""
    try:
        facts = path.stat()
        if not stat.S_ISREG(facts.st_mode):
            raise UsageError(f"{name} is no file that can be read as text.")
        if facts.st_size > MAX_BYTES:
            raise UsageError(
                f"{name} has {size_text(facts.st_size)}.",
                f"At most {size_text(MAX_BYTES)} of a file are put before a model.",
            )
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)[:MAX_BYTES]  # it may have grown since
    except OSError as error:
        raise UsageError(f"{name} cannot be read: {os.strerror(error.errno or 0)}.") from error
    text = _decode(data, name)
    return TextFile(File(name, text), facts.st_size, estimate_tokens(text))


def _decode(data: bytes, name: str) -> str:
    for mark, encoding in _BOMS:
        if data.startswith(mark):
            try:
                return data.decode(encoding).removeprefix("\ufeff")
            except UnicodeDecodeError:
                break
    if b"\0" not in data:
        try:
            return data.decode("utf-8")
        except UnicodeDecodeError:
            pass
        if _is_nearly_text(data):
            raise UsageError(f"{name} is not in UTF-8.", f"iconv -t UTF-8 {name} makes it so.")
    raise UsageError(f"{name} is not text but binary data.")


def _is_nearly_text(data: bytes) -> bool:
    """Whether only letters above ASCII are strange, as in Latin-1."""
    return not any(byte < 32 and byte not in (9, 10, 12, 13, 27) for byte in data[:8192])


def estimate_tokens(text: str) -> int:
    """About as many as a vocabulary of today makes of it: four letters of ASCII, or one and a half
    of the rest, to a token."""
    plain = len(text.encode("ascii", "ignore"))
    return math.ceil(plain / 4 + (len(text) - plain) / 1.5)


def folder_here() -> Path | None:
    """Where `@file` looks; None: the current folder was deleted."""
    try:
        return Path.cwd()
    except OSError:
        return None
