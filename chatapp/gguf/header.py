"""A GGUF file's header: metadata and the table of its tensors, without the weights.

Promises: any file at all gives a `Header` or a `GgufError` with the file and the reason; every
length is doubted, and a vocabulary is stepped over, not built, until somebody asks for it. The
file's length is compared with what its tensors need, so that a download cut short is noticed before
llama.cpp sees it. Whether llama.cpp can run the model is not decided here.

Format: docs/gguf.md of ggml, versions 2 and 3 (1 is not read by llama.cpp any more).
"""

import stat
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from struct import Struct
from typing import Any, BinaryIO

from chatapp.gguf.errors import GgufError
from chatapp.gguf.ggml_types import TENSOR_TYPES
from chatapp.gguf.reader import KnownTexts, Malformed, Reader

ALIGNMENT = 32
"""Bytes; GGUF's default, to which every tensor is padded."""

_U64 = Struct("<Q")
# `enum gguf_type` to how a value of it is packed.
_SCALARS = {
    0: Struct("<B"),
    1: Struct("<b"),
    2: Struct("<H"),
    3: Struct("<h"),
    4: Struct("<I"),
    5: Struct("<i"),
    6: Struct("<f"),
    7: Struct("<?"),
    10: Struct("<Q"),
    11: Struct("<q"),
    12: Struct("<d"),
}
_WHOLE = frozenset({0, 1, 2, 3, 4, 5, 7, 10, 11})
_STRING, _ARRAY = 8, 9
_MAX_LIST = 4096  # numbers in a list that has one for each layer
_MAX_KEYS = 65_536
_MAX_NAME = 1024  # bytes of a key or a tensor's name; real ones stay below 100
_MAX_TENSORS = 65_536  # the largest models in use have about 2,000
_MAX_TEXTS = 10_000_000  # in all lists together: 40 times the largest vocabulary, a second's work
_MAX_VALUES = 16 << 20  # bytes of all texts that are kept; the longest templates have 60 kB
_MAX_DIMS = 4  # GGML_MAX_DIMS


@dataclass(frozen=True, slots=True)
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


@dataclass(frozen=True, slots=True)
class Array:
    """A list among the metadata, read when it is asked for."""

    path: Path
    kind: int
    length: int
    start: int
    stop: int

    def items(self) -> list[Any]:
        """Every item; wrong UTF-8 becomes U+FFFD. Raises `OSError`."""
        data = self.raw()
        if self.kind != _STRING:
            return [value for (value,) in _SCALARS[self.kind].iter_unpack(data)]
        texts, at, unpack = [], 0, _U64.unpack_from
        for _ in range(self.length):
            (size,) = unpack(data, at)
            texts.append(data[at + 8 : at + 8 + size].decode("utf-8", "replace"))
            at += 8 + size
        return texts

    def raw(self) -> bytes:
        """Its bytes, to compare it with another. Raises `OSError`."""
        with self.path.open("rb") as file:
            file.seek(self.start)
            data = file.read(self.stop - self.start)
        if len(data) < self.stop - self.start:
            raise OSError(f"{self.path.name} became shorter while it was read")
        return data


Value = int | float | bool | str | Array


@dataclass(frozen=True, slots=True)
class Header:
    """What a GGUF says of itself."""

    path: Path
    version: int
    n_bytes: int
    values: dict[str, Value]
    spans: dict[str, tuple[int, int]]
    """Where each key's bytes begin and end, its name and type included."""
    tensors: tuple[TensorEntry, ...]

    @property
    def arch(self) -> str:
        """llama.cpp's name of the architecture, or nothing."""
        return self.text("general.architecture")

    def text(self, key: str) -> str:
        """A text, empty if it is missing or of another type."""
        value = self.values.get(key)
        return value if isinstance(value, str) else ""

    def integer(self, key: str) -> int | None:
        """A whole number, None if it is missing or of another type."""
        value = self.values.get(key)
        return value if isinstance(value, int) and not isinstance(value, bool) else None

    def number(self, key: str) -> int:
        """A whole number, 0 if it is missing or of another type."""
        return self.integer(key) or 0

    def array(self, key: str) -> Array | None:
        """A list, None if it is missing or of another type."""
        value = self.values.get(key)
        return value if isinstance(value, Array) else None

    def per_layer(self, key: str, n_layers: int) -> list[int]:
        """A number for each layer: a list, or one number for all; empty if it is missing."""
        given = self.values.get(key)
        if not isinstance(given, Array):
            return [self.number(key)] * n_layers if key in self.values else []
        if given.kind not in _WHOLE or given.length > _MAX_LIST:
            return []
        return ([int(item) for item in given.items()] + [0] * n_layers)[:n_layers]

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


def read_header(path: Path, known: KnownTexts | None = None) -> Header:
    """Read a model file's header; `GgufError` when it is missing, damaged or no GGUF.

    `known` makes the next header with the same vocabulary cheap.
    """
    try:
        status = path.stat()
        _refuse_irregular(status.st_mode)
        with path.open("rb") as file:
            return _read(path, file, status.st_size, known)
    except FileNotFoundError:
        raise GgufError(f"There is no model file {path}.", "Check the path.") from None
    except OSError as error:
        raise GgufError(f"{path} cannot be read: {error.strerror or error}.") from error
    except Malformed as reason:
        raise GgufError(
            f"{path} is not a usable model file: {reason}.",
            "Download or convert it again, or choose another file.",
        ) from None


def padded(size: int, alignment: int = ALIGNMENT) -> int:
    """`size` rounded up to `alignment`."""
    return -(-size // alignment) * alignment


def _refuse_irregular(mode: int) -> None:
    if stat.S_ISDIR(mode):
        raise Malformed("it is a folder")
    if not stat.S_ISREG(mode):  # opening a pipe would wait for its other end
        raise Malformed("it is not a regular file")


def _read(path: Path, file: BinaryIO, size: int, known: KnownTexts | None) -> Header:
    reader = Reader(file, size, known)
    version, n_tensors, n_keys = _read_start(reader)
    values, spans = _Metadata(path, reader).read(n_keys)
    table = [_read_entry(reader) for _ in range(n_tensors)]
    if len({entry.name for entry in table}) != len(table):
        raise Malformed("two tensors have one name")
    alignment = values.get("general.alignment", ALIGNMENT)
    if not isinstance(alignment, int) or alignment < 1 or alignment & (alignment - 1):
        raise Malformed(f"its alignment is {alignment}, which is no power of two")
    start = padded(reader.position, alignment)
    tensors = tuple(replace(entry, offset=start + entry.offset) for entry in table)
    end = max((entry.offset + entry.n_bytes for entry in tensors), default=0)
    if end > size:
        raise Malformed(f"it has {size:,} bytes and needs {end:,}: it was cut short")
    return Header(path, version, size, values, spans, tensors)


def _read_start(reader: Reader) -> tuple[int, int, int]:
    """(version, number of tensors, number of keys) from the first 24 bytes."""
    if reader.left == 0:
        raise Malformed("it is empty")
    magic = reader.take(min(4, reader.left))
    if magic != b"GGUF":
        raise Malformed(_guess_format(magic))
    version = reader.take_u32()
    if version and version & 0xFFFF == 0:
        raise Malformed("it was written for big-endian machines")
    if version not in (2, 3):
        raise Malformed(f"it is GGUF version {version}, and versions 2 and 3 can be read")
    n_tensors = reader.take_length("the number of tensors", _MAX_TENSORS)
    n_keys = reader.take_length("the number of keys", _MAX_KEYS)
    return version, n_tensors, n_keys


def _guess_format(magic: bytes) -> str:
    if magic in (b"lmgg", b"tjgg", b"fmgg"):
        return "it is in the old GGML format; convert the original model again"
    if magic == b"PK\x03\x04":
        return "it is a PyTorch checkpoint or a zip archive; `chatapp convert` makes a GGUF of one"
    if magic.startswith(b"<"):
        return "it is a web page, so the download went wrong"
    if magic == b"vers":
        return "it is a Git LFS pointer; fetch the file itself with `git lfs pull`"
    return "it does not begin with GGUF"


class _Metadata:
    """The key-value section, read with its lengths doubted."""

    def __init__(self, path: Path, reader: Reader) -> None:
        self._path = path
        self._reader = reader
        self._texts_left = _MAX_TEXTS
        self._bytes_left = _MAX_VALUES

    def read(self, n_keys: int) -> tuple[dict[str, Value], dict[str, tuple[int, int]]]:
        values: dict[str, Value] = {}
        spans: dict[str, tuple[int, int]] = {}
        reader = self._reader
        for _ in range(n_keys):
            start = reader.position
            key = reader.take_text("a key", _MAX_NAME)
            if key in values:
                raise Malformed(f"the key {key[:80]!r} occurs twice")
            values[key] = self._take_value(key, reader.take_u32())
            spans[key] = (start, reader.position)
        return values, spans

    def _take_value(self, key: str, kind: int) -> Value:
        if kind == _ARRAY:
            return self._skip_array(key)
        if kind == _STRING:
            start = self._reader.position
            text = self._reader.take_text(f"the value of {key[:80]!r}")
            self._bytes_left -= self._reader.position - start
            if self._bytes_left < 0:
                raise Malformed(f"its texts have more than {_MAX_VALUES:,} bytes, which is absurd")
            return text
        if kind not in _SCALARS:
            raise Malformed(f"the key {key[:80]!r} has the unknown type {kind}")
        layout = _SCALARS[kind]
        (value,) = layout.unpack(self._reader.take(layout.size))
        return value  # type: ignore[no-any-return]  # a number or a truth

    def _skip_array(self, key: str) -> Array:
        reader = self._reader
        kind, count = reader.take_u32(), reader.take_u64()
        start = reader.position
        if kind == _STRING:
            self._texts_left -= count
            if self._texts_left < 0 or count * 8 > reader.left:
                raise Malformed(f"the list {key[:80]!r} has {count:,} texts, which is absurd")
            reader.skip_texts(count)
        elif kind in _SCALARS:
            reader.skip(count * _SCALARS[kind].size)
        else:
            what = "lists in a list" if kind == _ARRAY else f"the unknown type {kind}"
            raise Malformed(f"the list {key[:80]!r} holds {what}")
        return Array(self._path, kind, count, start, reader.position)


def _read_entry(reader: Reader) -> TensorEntry:
    """The next row of the table; its offset is from the start of the data."""
    name = reader.take_text("a tensor's name", _MAX_NAME)
    n_dims = reader.take_u32()
    if n_dims > _MAX_DIMS:
        raise Malformed(f"the tensor {name[:60]!r} has {n_dims:,} dimensions")
    shape = tuple(reader.take_u64() for _ in range(n_dims))[::-1]
    if prod(shape) >= 1 << 62:
        raise Malformed(f"the tensor {name[:60]!r} is absurdly large")
    if 0 in shape:
        raise Malformed(f"the tensor {name[:60]!r} has no weights")
    number, offset = reader.take_u32(), reader.take_u64()
    kind = TENSOR_TYPES.get(number)
    if kind is None:
        return TensorEntry(name, shape, f"type {number}", offset, 0)
    if shape and shape[-1] % kind.block:
        raise Malformed(
            f"the rows of {name[:60]!r} are no multiple of {kind.block}, as {kind.name} has them"
        )
    return TensorEntry(name, shape, kind.name, offset, kind.tensor_bytes(shape))
