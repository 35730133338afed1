"""A GGUF file's header: metadata and the table of its tensors, without the weights.

It promises a `Header` or a `CheckpointError` for any bytes at all, and to take little of either:
lengths are compared with what the file has left, and a vocabulary is stepped over, not built
(150,000 tokens in about 30 ms), until somebody asks for it. Format: ggml's docs/gguf.md, versions 2
and 3.
"""

from __future__ import annotations

import mmap
from dataclasses import dataclass
from functools import cached_property
from math import prod
from pathlib import Path
from struct import Struct, error
from typing import Any

from convert.errors import CheckpointError

_U32, _U64, _COUNTS = Struct("<I"), Struct("<Q"), Struct("<QQ")
_STRING, _ARRAY = 8, 9
# `enum gguf_type` to how a value of it is packed.
_SCALARS = {
    number: Struct(f"<{code}")
    for number, code in {
        0: "B",
        1: "b",
        2: "H",
        3: "h",
        4: "I",
        5: "i",
        6: "f",
        7: "?",
        10: "Q",
        11: "q",
        12: "d",
    }.items()
}
MAX_KEYS = 1 << 16
MAX_TENSORS = 1 << 20
MAX_ITEMS = 1 << 23  # strings in all arrays; the largest vocabularies have 262,144
MAX_NAME = 1 << 16  # bytes of a key; llama.cpp takes 64 for a tensor's name
MAX_TEXT = 1 << 24  # bytes of all values; the longest chat templates have 60 kB
_ALIGNMENT = 32


@dataclass(frozen=True)
class TensorEntry:
    """A tensor's row in the table."""

    name: str
    shape: tuple[int, ...]
    """As in numpy: [..., rows, columns], the reverse of ggml's."""
    kind: str
    """Its type's name, such as Q4_K; `type 99` for one that is not known."""
    offset: int
    """Bytes from the start of the file."""
    n_bytes: int
    """0 for a type that is not known."""

    @property
    def n_weights(self) -> int:
        """Number of weights."""
        return prod(self.shape)


@dataclass(frozen=True)
class Array:
    """An array among the metadata, read when it is asked for."""

    path: Path
    kind: int
    length: int
    start: int
    stop: int

    def items(self) -> list[Any]:
        """Every item; wrong UTF-8 becomes U+FFFD."""
        with self.path.open("rb") as file:
            file.seek(self.start)
            data = file.read(self.stop - self.start)
        if self.kind != _STRING:
            return [value for (value,) in _SCALARS[self.kind].iter_unpack(data)]
        texts, at, unpack = [], 0, _U64.unpack_from
        for _ in range(self.length):
            (size,) = unpack(data, at)
            texts.append(data[at + 8 : at + 8 + size].decode("utf-8", "replace"))
            at += 8 + size
        return texts

    def raw(self) -> bytes:
        """Its bytes, to compare it with another."""
        with self.path.open("rb") as file:
            file.seek(self.start)
            return file.read(self.stop - self.start)


Value = int | float | bool | str | Array


@dataclass(frozen=True)
class Header:
    """What a GGUF says of itself."""

    path: Path
    version: int
    n_bytes: int
    values: dict[str, Value]
    tensors: tuple[TensorEntry, ...]
    spans: dict[str, tuple[int, int]]
    """Where each key's bytes begin and end, its name and type included."""

    @cached_property
    def arch(self) -> str:
        """llama.cpp's name of the architecture, or nothing."""
        return self.text("general.architecture")

    def text(self, key: str) -> str:
        """A text, or nothing."""
        value = self.values.get(key)
        return value if isinstance(value, str) else ""

    def integer(self, key: str) -> int | None:
        """A whole number, or None."""
        value = self.values.get(key)
        return value if isinstance(value, int) and not isinstance(value, bool) else None

    def array(self, key: str) -> Array | None:
        """An array, or None."""
        value = self.values.get(key)
        return value if isinstance(value, Array) else None

    @property
    def hparams(self) -> dict[str, Value]:
        """Values under the architecture's prefix, without it."""
        prefix = f"{self.arch}."
        return {k.removeprefix(prefix): v for k, v in self.values.items() if k.startswith(prefix)}


def is_gguf(path: Path) -> bool:
    """Whether `path` is a file that begins as a GGUF does."""
    if not path.is_file():  # opening a pipe would wait for its other end
        return False
    try:
        with path.open("rb") as file:
            return file.read(4) == b"GGUF"
    except OSError:
        return False


def read_header(path: Path) -> Header:
    """The header of the GGUF `path`. Raises `CheckpointError`."""
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return _Cursor(path, data).header()
    except OSError as failure:
        reason = failure.strerror or str(failure)
        raise CheckpointError(f"{path} cannot be read: {reason}.") from failure
    except (error, OverflowError, ValueError) as failure:
        cut = not isinstance(failure, ValueError)  # else it says something absurd
        reason = "it ends in the middle of its header" if cut else str(failure)
        raise CheckpointError(
            f"{path.name} is not a usable GGUF: {reason}.", "Download or convert it again."
        ) from None


class _Cursor:
    """Reads a header from front to back; `ValueError` says what is wrong with it."""

    def __init__(self, path: Path, data: mmap.mmap) -> None:
        self._path, self._data, self._at, self._size = path, data, 0, len(data)
        self._n_items = 0
        self._text_left = MAX_TEXT

    def header(self) -> Header:
        if self._data[:4] != b"GGUF":
            raise ValueError("it does not begin as one")
        self._at = 4
        version = self._u32()
        if version & 0xFFFF == 0:
            raise ValueError("it is big-endian, which llama.cpp reads on such machines alone")
        if version not in (2, 3):
            raise ValueError(f"it has version {version}; llama.cpp reads 2 and 3")
        n_tensors, n_keys = self._u64(), self._u64()
        if n_tensors > MAX_TENSORS or n_keys > MAX_KEYS:
            raise ValueError(f"it has {n_tensors:,} tensors and {n_keys:,} keys, which is absurd")
        values: dict[str, Value] = {}
        spans = {}
        for _ in range(n_keys):
            start = self._at
            key = self._text(MAX_NAME)
            if key in values:
                raise ValueError(f"it has the key {key[:60]!r} twice")
            values[key] = self._value(self._u32())
            spans[key] = (start, self._at)
        table = [self._entry() for _ in range(n_tensors)]
        placed = self._place(table, values)
        return Header(self._path, version, self._size, values, placed, spans)

    def _u32(self) -> int:
        (value,) = _U32.unpack_from(self._data, self._at)
        self._at += 4
        return int(value)

    def _u64(self) -> int:
        (value,) = _U64.unpack_from(self._data, self._at)
        self._at += 8
        return int(value)

    def _text(self, maximum: int) -> str:
        size = self._u64()
        if size > min(maximum, self._size - self._at):
            raise ValueError(f"a text has {size:,} bytes, which is absurd")
        self._at += size
        return self._data[self._at - size : self._at].decode("utf-8", "replace")

    def _value(self, kind: int) -> Value:
        if kind == _STRING:
            start = self._at
            text = self._text(self._text_left)
            self._text_left -= self._at - start
            return text
        if kind == _ARRAY:
            return self._array()
        packed = self._scalar(kind)
        (value,) = packed.unpack_from(self._data, self._at)
        self._at += packed.size
        return value  # type: ignore[no-any-return]  # a number or a truth

    @staticmethod
    def _scalar(kind: int) -> Struct:
        if kind not in _SCALARS:
            raise ValueError(f"a value has the type {kind}, which there is not")
        return _SCALARS[kind]

    def _array(self) -> Array:
        kind, length = self._u32(), self._u64()
        start = self._at
        if kind != _STRING:
            self._at += length * self._scalar(kind).size
        else:
            self._n_items += length
            if self._n_items > MAX_ITEMS:
                raise ValueError(f"it has {self._n_items:,} texts in arrays, which is absurd")
            at, unpack, data = self._at, _U64.unpack_from, self._data
            for _ in range(length):
                at += 8 + unpack(data, at)[0]
            self._at = at
        if self._at > self._size:
            raise ValueError("an array is longer than the file")
        return Array(self._path, kind, length, start, self._at)

    def _entry(self) -> tuple[str, tuple[int, ...], int, int]:
        name, n_dims = self._text(MAX_NAME), self._u32()
        if n_dims > 4:
            raise ValueError(f"the tensor {name[:60]!r} has {n_dims:,} dimensions")
        shape = tuple(self._u64() for _ in range(n_dims))[::-1]
        if any(n == 0 for n in shape) or prod(shape) >= 1 << 62:
            raise ValueError(f"the tensor {name[:60]!r} has the shape {shape}")
        return name, shape, self._u32(), self._u64()

    def _place(
        self, table: list[tuple[str, tuple[int, ...], int, int]], values: dict[str, Value]
    ) -> tuple[TensorEntry, ...]:
        """The entries with their places in the file, which must have room for them."""
        alignment = values.get("general.alignment", _ALIGNMENT)
        if not isinstance(alignment, int) or alignment < 1 or alignment & (alignment - 1):
            raise ValueError("its alignment is no power of two")
        first = -(-self._at // alignment) * alignment
        if len({name for name, *_ in table}) != len(table):
            raise ValueError("two tensors have one name")
        entries = []
        for name, shape, number, offset in table:
            kind, n_bytes = _sized(name, shape, number)
            if first + offset + n_bytes > self._size:
                needed = first + offset + n_bytes
                raise ValueError(
                    f"it has {self._size:,} bytes and {name[:60]!r} ends at {needed:,}: cut short"
                )
            entries.append(TensorEntry(name, shape, kind, first + offset, n_bytes))
        return tuple(entries)


def _sized(name: str, shape: tuple[int, ...], number: int) -> tuple[str, int]:
    """(type's name, bytes) of a tensor."""
    from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType  # 150 ms with numpy

    try:
        kind = GGMLQuantizationType(number)
        block, block_bytes = GGML_QUANT_SIZES[kind]
    except (ValueError, KeyError):
        return f"type {number}", 0
    if shape and shape[-1] % block:
        raise ValueError(f"the rows of {name[:60]!r} are no multiple of {block}, as {kind.name} is")
    return kind.name, prod(shape) // block * block_bytes
