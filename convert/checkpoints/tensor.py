"""A tensor that is not read yet.

It promises to know name, shape and type without touching the weights. `open()` maps the bytes;
dropping its result gives the pages back, so nobody keeps one longer than a tensor takes. A derived
tensor (renamed, transposed, cut) is a view: nothing is copied before `rows`.
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


@dataclass(frozen=True)
class Tensor:
    """A tensor in a checkpoint, or a view of one."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    """A key of `NUMPY_TYPES`."""
    open: Callable[[], NDArray[Any]]
    """Maps the weights, in the stored type and `shape`."""
    identity: tuple[object, ...]
    """Equal for two names of the same bytes: how tied weights are told."""
    origin: str = ""
    """Where it came from, for the report."""

    @property
    def n_weights(self) -> int:
        """Number of weights."""
        return prod(self.shape)

    def derive(
        self,
        name: str,
        *,
        shape: tuple[int, ...] | None = None,
        view: Callable[[NDArray[Any]], NDArray[Any]] | None = None,
    ) -> Tensor:
        """The same weights under another name, optionally through a `view` of `shape`."""
        if view is None:
            return replace(self, name=name, origin=self.origin or self.name)
        source, look = self.open, view
        return Tensor(
            name=name,
            shape=self.shape if shape is None else shape,
            dtype=self.dtype,
            open=lambda: look(source()),
            identity=(*self.identity, name),
            origin=self.origin or self.name,
        )

    def rows(self) -> Iterator[NDArray[np.float32]]:
        """Blocks of rows as contiguous float32 [n, n_cols]; a vector is one row."""
        array = self.open()
        matrix = array.reshape(1, -1) if array.ndim < 2 else array.reshape(-1, array.shape[-1])
        step = max(1, BLOCK_WEIGHTS // max(1, matrix.shape[1]))
        for start in range(0, matrix.shape[0], step):
            yield as_float32(matrix[start : start + step], self.dtype)

    def float32(self) -> NDArray[np.float32]:
        """All of it as float32, in its shape."""
        return as_float32(self.open(), self.dtype)


def zeros(name: str, shape: tuple[int, ...], origin: str) -> Tensor:
    """A tensor of zeros that takes no memory until it is read."""
    return Tensor(
        name=name,
        shape=shape,
        dtype="F32",
        open=lambda: np.broadcast_to(np.float32(0), shape),
        identity=("zeros", name),
        origin=origin,
    )


def as_float32(array: NDArray[Any], dtype: str) -> NDArray[np.float32]:
    """A contiguous, aligned float32 copy of `array`. Exact from F32, F16 and BF16; F64 rounds."""
    if dtype == "BF16":
        return (np.ascontiguousarray(array).astype(np.uint32) << 16).view(np.float32)
    with np.errstate(over="ignore"):  # an F64 beyond float32 becomes inf and is refused as such
        return np.array(array, dtype=np.float32, order="C")
