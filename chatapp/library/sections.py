"""The three sections of a GGUF header, each read with its lengths doubted.

Format: docs/gguf.md of ggml. Raises `Malformed` only.
"""

import math
import re
from collections import Counter
from struct import Struct

from chatapp.library.ggml_types import tensor_bytes
from chatapp.library.reader import Malformed, Reader

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
_MAX_LIST = 4096  # numbers in a list that is kept: one for each layer
_MAX_KEYS = 65_536
_MAX_KEY = 1024  # bytes; real ones stay below 100
_MAX_TENSORS = 1_000_000
_MAX_TEXTS = 10_000_000
"""Strings in all arrays together: about 40 times the largest vocabulary, a second's work."""
_LAYER = re.compile(r"blk\.(\d{1,4})\.")
_MAX_OTHERS = 1000  # names kept of tensors that belong to no layer
_MAX_DIMS = 4  # GGML_MAX_DIMS


Scalar = int | float | str


def read_start(reader: Reader) -> tuple[int, int, int]:
    """(version, number of tensors, number of keys) from the first 24 bytes."""
    if reader.left == 0:
        raise Malformed("it is empty")
    magic = reader.take(min(4, reader.left))
    if magic != b"GGUF":
        raise Malformed(_guess_format(magic))
    version = reader.take_u32()
    if version in (0x02000000, 0x03000000):
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


class Metadata:
    """The key-value section: scalars and texts by key, arrays by their length.

    Short lists of whole numbers, as layers have them, are kept too.
    """

    def __init__(self, reader: Reader, n_keys: int) -> None:
        self._reader = reader
        self._texts_left = _MAX_TEXTS
        self.values: dict[str, Scalar] = {}
        self.lengths: dict[str, int] = {}
        self.lists: dict[str, list[int]] = {}
        for _ in range(n_keys):
            key = reader.take_text("a key", _MAX_KEY)
            if key in self.values or key in self.lengths:
                raise Malformed(f"the key {key[:80]!r} occurs twice")
            kind = reader.take_u32()
            if kind == _ARRAY:
                self.lengths[key] = self._skip_array(key)
            else:
                self.values[key] = self._take_value(key, kind)

    def text(self, key: str) -> str:
        """A text, empty if it is missing or of another type."""
        value = self.values.get(key, "")
        return value if isinstance(value, str) else ""

    def number(self, key: str) -> int:
        """A whole number, 0 if it is missing or of another type."""
        value = self.values.get(key, 0)
        return value if isinstance(value, int) else 0

    def per_layer(self, key: str, n_layers: int) -> list[int]:
        """A number for each layer: a list, or one number for all; empty if it is missing."""
        if key in self.lists:
            return (self.lists[key] + [0] * n_layers)[:n_layers]
        return [self.number(key)] * n_layers if key in self.values else []

    def _take_value(self, key: str, kind: int) -> Scalar:
        if kind == _STRING:
            # A template only has to be there; keeping 100 kB of it for a table would be waste.
            return self._reader.take_text(f"the value of {key[:80]!r}")[:1000]
        if kind not in _SCALARS:
            raise Malformed(f"the key {key[:80]!r} has the unknown type {kind}")
        layout = _SCALARS[kind]
        (value,) = layout.unpack(self._reader.take(layout.size))
        return value if isinstance(value, (int, float)) else str(value)

    def _skip_array(self, key: str) -> int:
        kind, count = self._reader.take_u32(), self._reader.take_u64()
        if kind == _STRING:
            self._texts_left -= count
            if self._texts_left < 0 or count * 8 > self._reader.left:
                raise Malformed(f"the list {key[:80]!r} has {count:,} texts, which is absurd")
            self._reader.skip_texts(count)
        elif kind in _WHOLE and count <= _MAX_LIST:
            layout = _SCALARS[kind]
            data = self._reader.take(count * layout.size)
            self.lists[key] = [int(value) for (value,) in layout.iter_unpack(data)]
        elif kind in _SCALARS:
            self._reader.skip(count * _SCALARS[kind].size)
        else:
            what = "lists in a list" if kind == _ARRAY else f"the unknown type {kind}"
            raise Malformed(f"the list {key[:80]!r} holds {what}")
        return count


class TensorTable:
    """The tensor section, summed up."""

    def __init__(self, reader: Reader, count: int) -> None:
        self.count = count
        self.n_params = 0
        self.end = 0
        """Bytes from the start of the data to the end of the last tensor."""
        self.types: Counter[int] = Counter()
        self.layers: Counter[int] = Counter()
        """Bytes of the tensors of each layer (`blk.N.*`)."""
        self.others: Counter[str] = Counter()
        """Bytes of the tensors beside them, by the first part of the name."""
        for _ in range(count):
            name = reader.take_text("a tensor's name")[:100]
            n_dims = reader.take_u32()
            if n_dims > _MAX_DIMS:
                raise Malformed(f"the tensor {name!r} has {n_dims:,} dimensions")
            n_elements = math.prod(reader.take_u64() for _ in range(n_dims))
            if n_elements >= 1 << 63:
                raise Malformed(f"the tensor {name!r} is absurdly large")
            kind, offset = reader.take_u32(), reader.take_u64()
            n_bytes = tensor_bytes(kind, n_elements)
            layer = _LAYER.match(name)
            if layer:
                self.layers[int(layer.group(1))] += n_bytes
            elif len(self.others) < _MAX_OTHERS:
                self.others[name.partition(".")[0]] += n_bytes
            self.types[kind] += 1
            self.n_params += n_elements
            self.end = max(self.end, offset + n_bytes)
