"""Little-endian values read from the front of a file that may be damaged or hostile.

Promises: memory stays below a few MiB whatever the file says of itself, every length is compared
with what the file has left before it is believed, and what does not fit is a `Malformed`. It reads
through a window instead of a memory map: a mapped file that somebody shortens meanwhile ends the
process with SIGBUS. Knows nothing of GGUF's meaning.
"""

from hashlib import sha256
from struct import Struct
from typing import BinaryIO

_WINDOW = 1 << 20
_U32 = Struct("<I")
_U64 = Struct("<Q")

_FEWEST_KNOWN = 1000  # texts: a shorter list is walked over as fast
_MOST_LENGTHS = 4  # known lists of as many texts that one is compared with

MAX_STRING = 1 << 20
"""Longest text kept or expected, in bytes; the longest chat templates are 60 kB."""


class Malformed(Exception):  # noqa: N818 - not an error of its own: the caller names the file
    """What is wrong with the file, in words that fit after its name."""


class KnownTexts:
    """Lists of texts that were walked over before, told by their bytes.

    Hashing a vocabulary takes a tenth of walking over it. May be shared by threads.
    """

    def __init__(self) -> None:
        self._known: dict[int, dict[int, set[bytes]]] = {}

    def find(self, file: BinaryIO, start: int, left: int, count: int) -> int | None:
        """Bytes of the list of `count` texts at `start`, if it is a known one."""
        for length, digests in list(self._known.get(count, {}).items())[-_MOST_LENGTHS:]:
            if length <= left and _hash(file, start, length) in digests:
                return length
        return None

    def add(self, file: BinaryIO, start: int, length: int, count: int) -> None:
        """Remember the list from `start` on."""
        if count >= _FEWEST_KNOWN:
            lengths = self._known.setdefault(count, {})
            lengths.setdefault(length, set()).add(_hash(file, start, length))


def _hash(file: BinaryIO, start: int, length: int) -> bytes:
    digest = sha256()
    file.seek(start)
    while length > 0 and (block := file.read(min(length, _WINDOW))):
        digest.update(block)
        length -= len(block)
    return digest.digest()


class Reader:
    """A cursor over `size` bytes of `file`."""

    def __init__(self, file: BinaryIO, size: int, known: KnownTexts | None = None) -> None:
        self._known = known
        self._file = file
        self._size = size
        self._window = b""
        self._start = 0
        self._at = 0

    @property
    def position(self) -> int:
        """Bytes from the start of the file."""
        return self._start + self._at

    @property
    def left(self) -> int:
        """Bytes from here to the end of the file."""
        return self._size - self.position

    def take(self, count: int) -> bytes:
        """The next `count` bytes, at most `MAX_STRING`."""
        self._need(count)
        piece = self._window[self._at : self._at + count]
        self._at += count
        return piece

    def take_u32(self) -> int:
        """An unsigned 32-bit number."""
        self._need(4)
        (value,) = _U32.unpack_from(self._window, self._at)
        self._at += 4
        return int(value)

    def take_u64(self) -> int:
        """An unsigned 64-bit number."""
        self._need(8)
        (value,) = _U64.unpack_from(self._window, self._at)
        self._at += 8
        return int(value)

    def take_length(self, what: str, maximum: int = MAX_STRING) -> int:
        """A length or count that the rest of the file and `maximum` allow."""
        length = self.take_u64()
        if length > maximum:
            raise Malformed(f"{what} is {length:,}, which is absurd")
        return length

    def take_text(self, what: str, maximum: int = MAX_STRING) -> str:
        """A length and that many bytes of UTF-8; wrong bytes become U+FFFD."""
        length = self.take_length(f"the length of {what}", maximum)
        return self.take(length).decode("utf-8", "replace")

    def skip(self, count: int) -> None:
        """Step over bytes without reading them."""
        if count > self.left:
            raise Malformed("it ends in the middle of its header")
        if self._at + count <= len(self._window):
            self._at += count
        else:
            self._start = self.position + count
            self._at = 0
            self._window = b""

    def skip_texts(self, count: int) -> None:
        """Step over strings, in one leap where such a list was met before."""
        start = self.position
        length = self._known and self._known.find(self._file, start, self.left, count)
        if length:
            self.skip(length)
            return
        self._walk_texts(count)
        if self._known:
            self._known.add(self._file, start, self.position - start, count)

    def _walk_texts(self, count: int) -> None:
        """The loop is flat because vocabularies have 150,000 texts."""
        unpack, window, at = _U64.unpack_from, self._window, self._at
        for _ in range(count):
            if at + 8 > len(window):
                self._at = at
                self._need(8)
                window, at = self._window, self._at
            (length,) = unpack(window, at)
            at += 8 + length
            if at > len(window):
                self._at = at - length
                self.skip(length)
                window, at = self._window, self._at
        self._at = at

    def _need(self, count: int) -> None:
        if self._at + count <= len(self._window):
            return
        if count > self.left:
            raise Malformed("it ends in the middle of its header")
        if count > MAX_STRING:
            raise Malformed(f"it wants {count:,} bytes at once, which is absurd")
        self._start, self._at = self.position, 0
        self._file.seek(self._start)
        self._window = self._file.read(max(count, _WINDOW))
        if len(self._window) < count:
            raise Malformed("it became shorter while it was read")
