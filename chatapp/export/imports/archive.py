"""ZIP files, read with bounds: what is said of sizes is not believed, what comes out is counted.

Raises `UsageError` for archives that are damaged, encrypted, or made to fill memory.
"""

import lzma
import zipfile
import zlib
from collections.abc import Iterator
from typing import IO

from chatapp.errors import UsageError

MAGIC = (b"PK\x03\x04", b"PK\x05\x06")
MAX_MEMBERS = 200_000
MAX_EXPANDED = 4 << 30
"""Bytes that all members together may have when unpacked."""
MAX_RATIO = 200
"""Text shrinks to a tenth, at most to a hundredth; a bomb to a thousandth."""

_FREE = 16 << 20  # bytes of a member that may have any ratio
_CHUNK = 1 << 20
_BROKEN = (
    zipfile.BadZipFile,
    NotImplementedError,  # a way to compress, or an encryption, that is not known
    RuntimeError,  # a password is needed
    EOFError,
    OSError,
    ValueError,
    zlib.error,
    lzma.LZMAError,
)


class Archive:
    """A ZIP file whose members can be read, within what is left of its bound."""

    def __init__(self, file: IO[bytes]) -> None:
        self._left = MAX_EXPANDED
        try:
            self._zip = zipfile.ZipFile(file)
            members = self._zip.infolist()
        except _BROKEN as error:
            raise _damaged(error) from None
        if len(members) > MAX_MEMBERS:
            raise UsageError(f"It holds more than {MAX_MEMBERS:,} files.")
        self._members = {info.filename: info for info in members if not info.is_dir()}

    @property
    def names(self) -> list[str]:
        """The files in it, in their order."""
        return list(self._members)

    def close(self) -> None:
        """Let go of the file."""
        self._zip.close()

    def head(self, name: str) -> bytes:
        """The first bytes of a member; empty where it cannot be read."""
        try:
            with self._zip.open(self._members[name]) as member:
                return member.read(64)
        except _BROKEN:
            return b""

    def read(self, name: str, limit: int) -> bytes:
        """A whole member, of at most `limit` bytes."""
        return b"".join(self._read(name, limit))

    def _read(self, name: str, limit: int) -> Iterator[bytes]:
        info = self._members[name]
        size = 0
        try:
            with self._zip.open(info) as member:
                while chunk := member.read(_CHUNK):
                    size += len(chunk)
                    self._left -= len(chunk)
                    if self._left < 0 or size > limit:
                        raise UsageError(f"What it holds is too large: {name}.")
                    if size > _FREE and size > info.compress_size * MAX_RATIO:
                        raise UsageError(f"It is made to fill memory (a ZIP bomb): {name}.")
                    yield chunk
        except _BROKEN as error:
            raise _damaged(error) from None


def _damaged(error: BaseException) -> UsageError:
    return UsageError(
        f"It cannot be unpacked ({error}).",
        "Unpack it with another program, and import the folder.",
    )
