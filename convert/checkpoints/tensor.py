"""A tensor that is not read yet.

It promises to know name, shape and type without touching the weights, and to read them a few rows
at a time, as float32. Every tensor is a matrix of rows here: [prod(shape[:-1]), shape[-1]], and a
vector has one column, so that what reorders the rows of a weight reorders its bias too. Derived
tensors (`operations.py`) are made of others and copy nothing before they are read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

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
}

BLOCK_WEIGHTS = 1 << 20  # 4 MiB of float32 at a time: larger blocks are not faster

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
        """Number of weights."""
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


def stored(
    name: str,
    shape: tuple[int, ...],
    dtype: str,
    open_array: Callable[[], NDArray[Any]],
    identity: tuple[object, ...],
) -> Tensor:
    """A tensor whose bytes lie in a file.

    `open_array` maps them, in the stored type and `shape`, strided as they may be. It is called for
    every read: dropping the mapping gives its pages back.
    """

    def read(start: int, stop: int) -> NDArray[np.float32]:
        array = open_array()
        if array.ndim > 2 and not array.flags.c_contiguous:
            array = np.ascontiguousarray(array)
        matrix = array.reshape(-1, 1) if array.ndim < 2 else array.reshape(-1, array.shape[-1])
        return as_float32(matrix[start:stop], dtype)

    return Tensor(name, shape, dtype, read, identity)


def as_float32(array: NDArray[Any], dtype: str) -> NDArray[np.float32]:
    """A contiguous, aligned float32 copy of `array`. Exact from F32, F16 and BF16; F64 rounds."""
    if dtype == "BF16":
        return (np.ascontiguousarray(array).astype(np.uint32) << 16).view(np.float32)
    with np.errstate(over="ignore"):  # an F64 beyond float32 becomes inf and is refused as such
        return np.array(array, dtype=np.float32, order="C")
