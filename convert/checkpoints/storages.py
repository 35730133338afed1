"""PyTorch's storages, and the tensors that are views of them, as a pickle of torch.save says.

It promises that no tensor reaches beyond its storage. Where a storage's bytes lie need not be known
yet when a tensor is made: PyTorch's old format says it after the pickle.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from convert.checkpoints.inert import Global, Stub
from convert.checkpoints.objects import mend_text
from convert.checkpoints.tensor import Tensor, fits, in_file, item_bytes, strided
from convert.errors import CheckpointError

_STORAGES = {
    "DoubleStorage": "F64",
    "FloatStorage": "F32",
    "HalfStorage": "F16",
    "BFloat16Storage": "BF16",
    "LongStorage": "I64",
    "IntStorage": "I32",
    "ShortStorage": "I16",
    "CharStorage": "I8",
    "ByteStorage": "U8",
    "BoolStorage": "BOOL",
    "UntypedStorage": "U8",
    "ComplexFloatStorage": "C64",
    "ComplexDoubleStorage": "C128",
}
# torch.dtype of the tensors whose storage has no type of its own.
_DTYPES = {
    "float64": "F64",
    "float32": "F32",
    "float16": "F16",
    "bfloat16": "BF16",
    "int64": "I64",
    "int32": "I32",
    "int16": "I16",
    "int8": "I8",
    "uint8": "U8",
    "uint16": "U16",
    "uint32": "U32",
    "uint64": "U64",
    "bool": "BOOL",
    "float8_e4m3fn": "F8_E4M3",
    "float8_e5m2": "F8_E5M2",
    "float8_e4m3fnuz": "F8_E4M3FNUZ",
    "float8_e5m2fnuz": "F8_E5M2FNUZ",
    "float8_e8m0fnu": "F8_E8M0",
}


@dataclass
class Storage:
    """A run of bytes in a file."""

    path: Path
    key: str
    dtype: str
    n_bytes: int
    offset: int = -1
    """Where it begins; -1 while that is not known."""

    def place(self, start: int) -> tuple[Path, int]:
        """The file, and where in it byte `start` is."""
        if self.offset < 0:
            raise CheckpointError(
                f"{self.path.name} holds no bytes for storage {self.key[:40]!r}.",
                "Save the checkpoint again with torch.save.",
            )
        return self.path, self.offset + start


def resolve(pid: Any, make: Callable[[str, str, int], Storage]) -> Storage | Stub:
    """What a persistent id names: ('storage', type, key, location, numel, ...).

    `make(key, dtype, n_bytes)` gives the storage. One of a type that is not read becomes a stub:
    it does no harm in an optimizer, and among the weights it is refused by name.
    """
    if not (isinstance(pid, tuple) and len(pid) in (5, 6) and pid[0] == "storage"):
        raise TypeError("a reference to something that is no storage")
    _, kind, key, _, n_weights = pid[:5]
    if not (isinstance(kind, Global) and isinstance(key, str)):
        raise TypeError("a storage without type or key")
    dtype = _STORAGES.get(kind.name)
    if dtype is None:
        return Stub(f"torch {mend_text(kind.name[:80])}")
    if type(n_weights) is not int or not 0 <= n_weights < 1 << 56:
        raise TypeError("a storage of impossible size")
    return make(key, dtype, n_weights * item_bytes(dtype))


def view(
    storage: Any, start: Any, shape: Any, strides: Any, dtype: str | None = None
) -> Tensor | Stub:
    """The tensor over `storage`, after checking that it stays inside it."""
    if isinstance(storage, Stub):
        return storage
    if not isinstance(storage, Storage):
        raise TypeError("a tensor without a storage")
    dtype = dtype or storage.dtype
    shape, strides = as_sizes(shape), as_sizes(strides)
    if len(shape) != len(strides) or type(start) is not int or start < 0:
        raise TypeError("a tensor whose shape and strides do not match")
    available = storage.n_bytes // item_bytes(dtype)
    last = start + sum((n - 1) * stride for n, stride in zip(shape, strides, strict=True))
    # numel beyond the storage means a stride of 0: one weight shown a billion times
    if prod(shape) > available or (prod(shape) and last >= available):
        raise CheckpointError(
            f"{storage.path.name} was not written by PyTorch, or is damaged: a tensor of shape "
            f"{shape} reaches beyond its {available:,} weights.",
            "Save the checkpoint again with torch.save.",
        )
    identity = (str(storage.path), storage.key, start, shape, strides)

    def place() -> tuple[Path, int]:
        return storage.place(start * item_bytes(dtype))

    if _is_in_one_piece(shape, strides):
        return in_file("", shape, dtype, place, identity)
    return strided("", shape, dtype, place, strides, identity)


def _is_in_one_piece(shape: tuple[int, ...], strides: tuple[int, ...]) -> bool:
    expected = 1
    for n, stride in zip(reversed(shape), reversed(strides), strict=True):
        if n != 1 and stride != expected:
            return prod(shape) == 0
        expected *= n
    return True


def as_sizes(value: Any) -> tuple[int, ...]:
    """A shape or strides. Raises `TypeError`."""
    if not isinstance(value, tuple | list) or not fits(tuple(value)):
        raise TypeError("a tensor with an impossible shape")
    return tuple(value)


def rebuild_tensor(storage: Any, start: Any, shape: Any, strides: Any, *_: Any) -> Tensor | Stub:
    """A tensor as `torch._utils._rebuild_tensor` and `_rebuild_tensor_v2` make it."""
    return view(storage, start, shape, strides)


def rebuild_tensor_v3(*args: Any) -> Tensor | Stub:
    """`torch._utils._rebuild_tensor_v3`, of types that no storage has."""
    storage, start, shape, strides, _grad, _hooks, dtype = args[:7]
    name = _DTYPES.get(dtype.name) if isinstance(dtype, Global) else None
    if name is None:
        return Stub("torch tensor of a type that is not known")
    return view(storage, start, shape, strides, name)
