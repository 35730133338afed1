"""The list of entries at the end of a zip file, read within limits.

It promises offsets that lie in the file and entries that do not overlap (many names for one body
is how a small zip becomes petabytes). The standard library's reader is not used: it makes an object
of half a kilobyte for every 47 bytes of directory, before anything can be checked.
Source of the format: PKWARE's APPNOTE, 4.3.
"""

from __future__ import annotations

import struct
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO, NamedTuple

MAX_DIRECTORY = 64 << 20  # bytes; an entry takes about 100, and there is one for each tensor
MAX_ENTRIES = 500_000

_END, _END_SIZE = b"PK\x05\x06", 22
_END_64, _END_64_SIZE = b"PK\x06\x06", 56
_LOCATOR, _LOCATOR_SIZE = b"PK\x06\x07", 20
_ENTRY = struct.Struct("<4s4B4HL2L5H2L")
_LOCAL, _LOCAL_SIZE = b"PK\x03\x04", 30
_IN_64 = 0xFFFFFFFF


class DamageError(ValueError):
    """The file is no whole zip; the text says why."""


class Entry(NamedTuple):
    """One file in the zip: its name, its place and its size."""

    name: str
    header: int
    """Where its local header begins."""
    size: int
    """Bytes in the zip."""
    is_plain: bool
    """Neither compressed nor encrypted: its bytes lie there as they are."""


def read_directory(path: Path) -> dict[str, Entry]:
    """Every entry in `path` by name. Raises `DamageError`."""
    size = path.stat().st_size
    with path.open("rb") as file:
        start, length, count, end = _find_directory(file, size)
        if length > MAX_DIRECTORY or count > MAX_ENTRIES:
            raise DamageError(f"it lists {count:,} entries")
        if start + length > end:
            raise DamageError("its list of entries ends beyond it")
        file.seek(start)
        data = file.read(length)
    entries = _parse(data)
    if len(entries) != count:
        raise DamageError(f"it lists {len(entries):,} entries and says {count:,}")
    _check_places(entries, start)
    found = {entry.name: entry for entry in entries}
    if len(found) != len(entries):
        raise DamageError("two entries have the same name")
    return found


def locate(path: Path, entry: Entry) -> int:
    """Where the bytes of `entry` begin. Raises `DamageError`."""
    with path.open("rb") as file:
        file.seek(entry.header)
        header = file.read(_LOCAL_SIZE)
        size = path.stat().st_size
    if len(header) < _LOCAL_SIZE or header[:4] != _LOCAL:
        raise DamageError(f"the entry {entry.name[:80]!r} has no header")
    name_bytes, extra_bytes = struct.unpack_from("<HH", header, 26)
    offset: int = entry.header + _LOCAL_SIZE + name_bytes + extra_bytes
    if offset + entry.size > size:
        raise DamageError(f"the entry {entry.name[:80]!r} ends beyond the file")
    return offset


def _find_directory(file: BinaryIO, size: int) -> tuple[int, int, int, int]:
    """Offset, bytes and entries of the directory, and where what follows it begins."""
    tail_start = max(0, size - _END_SIZE - 0xFFFF)
    file.seek(tail_start)
    tail = file.read(size - tail_start)
    at = tail.rfind(_END)
    if at < 0 or len(tail) - at < _END_SIZE:
        raise DamageError("its list of entries is missing")
    count, length, start, comment = struct.unpack_from("<HLLH", tail, at + 10)
    if at + _END_SIZE + comment != len(tail):
        raise DamageError("its end is cut off")
    end = tail_start + at
    locator = end - _LOCATOR_SIZE
    if locator < 0:
        return start, length, count, end
    file.seek(locator)
    data = file.read(_LOCATOR_SIZE)
    if data[:4] != _LOCATOR:
        return start, length, count, end
    end = struct.unpack_from("<Q", data, 8)[0]
    if end > locator - _END_64_SIZE:
        raise DamageError("its second end is beyond the first")
    file.seek(end)
    data = file.read(_END_64_SIZE)
    if data[:4] != _END_64:
        raise DamageError("its second end is missing")
    count, length, start = struct.unpack_from("<QQQ", data, 32)
    return start, length, count, end


def _parse(data: bytes) -> list[Entry]:
    entries, at = [], 0
    while at + _ENTRY.size <= len(data):
        fields = _ENTRY.unpack_from(data, at)
        if fields[0] != b"PK\x01\x02":
            raise DamageError("its list of entries is damaged")
        flags, method = fields[5], fields[6]
        packed, size, name_bytes, extra_bytes, comment_bytes = fields[10:15]
        header = fields[18]
        name_at = at + _ENTRY.size
        at = name_at + name_bytes + extra_bytes + comment_bytes
        name = data[name_at : name_at + name_bytes].decode("utf-8", "replace")
        extra = data[name_at + name_bytes : name_at + name_bytes + extra_bytes]
        size, packed, header = _widen(extra, size, packed, header)
        is_plain = method == 0 and not flags & 1 and size == packed
        entries.append(Entry(name, header, packed, is_plain))
    if at != len(data):
        raise DamageError("its list of entries is damaged")
    return entries


def _widen(extra: bytes, *values: int) -> list[int]:
    """`values`, those that do not fit 32 bits taken from the extra field that holds 64."""
    wide: list[int] = []
    at = 0
    while at + 4 <= len(extra):
        kind, length = struct.unpack_from("<HH", extra, at)
        if kind == 1:
            body = extra[at + 4 : at + 4 + length]
            wide = list(struct.unpack(f"<{len(body) // 8}Q", body[: len(body) // 8 * 8]))
            break
        at += 4 + length
    taken = iter(wide)
    return [next(taken, value) if value == _IN_64 else value for value in values]


def _check_places(entries: list[Entry], directory: int) -> None:
    places = sorted((entry.header, entry.size, entry.name) for entry in entries)
    for (header, size, name), (following, _, _) in pairwise([*places, (directory, 0, "")]):
        if header + _LOCAL_SIZE + size > following:
            raise DamageError(f"the entry {name[:80]!r} ends beyond the next one")
