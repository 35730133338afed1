"""A tensor that is not read yet.

It promises to know name, shape and type without touching the weights, and to read them a few rows
at a time, as float32. Every tensor is a matrix of rows here: [prod(shape[:-1]), shape[-1]], and a
vector has one column, so that what reorders the rows of a weight reorders its bias too. Derived
tensors (`operations.py`) are made of others and copy nothing before they are read.

What lies in one piece is read, not mapped: a mapped file that a training run cuts short, saving
again, ends this process with SIGBUS.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.errors import CheckpointError

FLOATS = frozenset({"F32", "F16", "BF16", "F64"})
NUMPY_TYPES: dict[str, str] = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "BF16": "<u2",  # numpy has no bfloat16: its bits travel as integers until as_float32
    "I64": "<i8",
    "I32": "<i4",
    "I16": "<i2",
    "I8": "<i1",
    "U8": "<u1",
    "BOOL": "?",
    "U16": "<u2",
    "U32": "<u4",
    "U64": "<u8",
    "C64": "<c8",
    "C128": "<c16",
    "F8_E4M3": "u1",
    "F8_E5M2": "u1",
    "F8_E4M3FNUZ": "u1",
    "F8_E5M2FNUZ": "u1",
    "F8_E8M0": "u1",
}
# Known by size only: a buffer of them (rotary tables are complex) does no harm until it is read.
UNREAD = frozenset({"C64", "C128"} | {name for name in NUMPY_TYPES if name.startswith("F8_")})

BLOCK_WEIGHTS = 1 << 17  # 512 KiB of float32: it stays in a core's cache

Read = Callable[[int, int], NDArray[np.float32]]


@dataclass(frozen=True)
class Tensor:
    """A tensor in a checkpoint, or one derived from others."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    """A key of `NUMPY_TYPES`: the type it is stored in."""
    read: Read
    """`read(start, stop)`: those rows as contiguous float32 [stop - start, n_cols]."""
    identity: tuple[object, ...]
    """Equal for two names of the same bytes: how tied weights are told."""
    origin: str = ""
    """What the checkpoint calls it, for messages."""

    @property
    def n_weights(self) -> int:
        """How many weights the tensor has: the product of its shape."""
        return prod(self.shape)

    @property
    def n_cols(self) -> int:
        """Weights in a row; 1 for a vector."""
        return self.shape[-1] if len(self.shape) > 1 else 1

    @property
    def n_rows(self) -> int:
        """Rows of the matrix; of a vector, its length."""
        return prod(self.shape[:-1]) if len(self.shape) > 1 else prod(self.shape)

    def rename(self, name: str) -> Tensor:
        """The same weights under another name."""
        return replace(self, name=name, origin=self.origin or self.name)

    def blocks(self) -> Iterator[NDArray[np.float32]]:
        """All rows in order, a bounded number at a time, each float32 [n, n_cols]."""
        step = max(1, BLOCK_WEIGHTS // max(1, self.n_cols))
        for start in range(0, self.n_rows, step):
            yield self.read(start, min(start + step, self.n_rows))

    def float32(self) -> NDArray[np.float32]:
        """All of it as float32, in its shape."""
        return self.read(0, self.n_rows).reshape(self.shape)


def in_file(
    name: str,
    shape: tuple[int, ...],
    dtype: str,
    place: Callable[[], tuple[Path, int]],
    identity: tuple[object, ...],
) -> Tensor:
    """A tensor whose bytes lie in a file in one piece; `place` says where, when it is read."""
    n_cols = shape[-1] if len(shape) > 1 else 1
    n_rows = prod(shape[:-1]) if len(shape) > 1 else prod(shape)
    stored_type = np.dtype(NUMPY_TYPES[dtype])

    def read(start: int, stop: int) -> NDArray[np.float32]:
        rows = np.empty((max(0, min(stop, n_rows) - start), n_cols), stored_type)
        path, offset = place()
        _read_into(rows, path, offset + start * n_cols * stored_type.itemsize)
        return rows if dtype == "F32" else as_float32(rows, dtype)

    return Tensor(name, shape, dtype, read, identity)


def _read_into(rows: NDArray[Any], path: Path, offset: int) -> None:
    left = rows.reshape(-1).view(np.uint8).data
    try:
        with path.open("rb", buffering=0) as file:
            file.seek(offset)
            while left:
                count = file.readinto(left)
                if not count:
                    raise _changed(path)
                left = left[count:]
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: OSError) -> CheckpointError:
    return CheckpointError(
        f"{path} cannot be read: {error.strerror or error}.", "Check the disk, and permissions."
    )


def _changed(path: Path) -> CheckpointError:
    return CheckpointError(
        f"{path.name} became shorter while it was being read.",
        "Is it still training? Copy the checkpoint and convert the copy.",
    )


def strided(
    name: str,
    shape: tuple[int, ...],
    dtype: str,
    place: Callable[[], tuple[Path, int]],
    strides: tuple[int, ...],
    identity: tuple[object, ...],
) -> Tensor:
    """A tensor whose rows are not in one piece, such as a transposed one; `strides` in weights.

    It is mapped anew for every read: dropping the mapping gives its pages back.
    """
    stored_type = np.dtype(NUMPY_TYPES[dtype])
    length = 1 + sum((n - 1) * stride for n, stride in zip(shape, strides, strict=True))

    def read(start: int, stop: int) -> NDArray[np.float32]:
        path, offset = place()
        try:
            data = np.memmap(path, np.uint8, "r", offset, (length * stored_type.itemsize,))
        except ValueError:  # mmap of more than the file has
            raise _changed(path) from None
        except OSError as error:
            raise _unreadable(path, error) from error
        array = np.lib.stride_tricks.as_strided(
            data.view(stored_type),
            shape,
            tuple(stride * stored_type.itemsize for stride in strides),
            writeable=False,
        )
        if array.ndim > 2:
            array = np.ascontiguousarray(array)
        matrix = array.reshape(-1, 1) if array.ndim < 2 else array.reshape(-1, array.shape[-1])
        return as_float32(matrix[start:stop], dtype)

    return Tensor(name, shape, dtype, read, identity)


def item_bytes(dtype: str) -> int:
    """Bytes of one weight stored as `dtype`."""
    return np.dtype(NUMPY_TYPES[dtype]).itemsize


def as_float32(array: NDArray[Any], dtype: str) -> NDArray[np.float32]:
    """A contiguous, aligned float32 copy of `array`. Exact from F32, F16 and BF16; F64 rounds."""
    if dtype in UNREAD:
        raise CheckpointError(
            f"Weights are stored as {dtype}, which is not read.",
            "Save them as bfloat16, float16 or float32 first.",
        )
    if dtype == "BF16":
        wide = array.astype(np.uint32, order="C")
        wide <<= 16
        return wide.view(np.float32)
    with np.errstate(over="ignore"):  # an F64 beyond float32 becomes inf and is refused as such
        return np.array(array, dtype=np.float32, order="C")


def fits(shape: tuple[Any, ...]) -> bool:
    """Whether `shape`, which somebody else wrote, is one: at most 8 axes of sensible lengths."""
    if len(shape) > 8 or not all(type(n) is int and 0 <= n < 1 << 48 for n in shape):
        return False
    # rows of no columns cost nothing to store and without end to go through
    return prod(shape) > 0 or max(shape, default=0) < 1 << 24
