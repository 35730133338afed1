"""What an adapter does to a weight, block of rows by block of rows.

It promises peft's formulas, in float32 and without rounding in between, and memory that follows a
block: factors are read anew for each, and nothing is kept but DoRA's lengths of columns.
Sources: Hu et al. 2021, Liu et al. 2024 (DoRA), `merge` and `get_weight_norm` of peft 0.21.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from convert.checkpoints.tensor import Read, Tensor


def add_product(weight: Tensor, a: Tensor, b: Tensor, scale: float, *, turned: bool) -> Tensor:
    """`weight + scale * B @ A`, with A [r, in] and B [out, r].

    `weight` is [out, in]; `turned` it is [in, out], as Conv1D and embeddings have it.
    """
    factor = np.float32(scale)

    def read(start: int, stop: int) -> NDArray[np.float32]:
        if turned:
            delta = a.float32()[:, start:stop].T @ b.float32().T
        else:
            delta = b.read(start, stop) @ a.float32()
        merged: NDArray[np.float32] = weight.read(start, stop) + delta * factor
        return merged

    identity = (*weight.identity, "plus", a.identity, b.identity, scale, turned)
    return _derived(weight, read, identity)


def add_bias(bias: Tensor, extra: Tensor, scale: float) -> Tensor:
    """`bias + scale * extra`, both [out]."""
    factor = np.float32(scale)

    def read(start: int, stop: int) -> NDArray[np.float32]:
        return bias.read(start, stop) + extra.read(start, stop) * factor

    return _derived(bias, read, (*bias.identity, "plus", extra.identity, scale))


def with_lengths(weight: Tensor, lengths: Tensor, *, turned: bool) -> Tensor:
    """DoRA: the weights of every output at the length that `lengths` [out] says.

    Outputs are rows, or columns if `turned`; then the whole matrix is gone through once, when the
    first rows are wanted.
    """
    known: list[NDArray[np.float32]] = []
    lock = Lock()  # rows are read by several threads

    def by_column() -> NDArray[np.float32]:
        with lock:
            if not known:
                squares = np.zeros(weight.n_cols)
                for block in weight.blocks():
                    squares += np.einsum("ij,ij->j", block, block, dtype=np.float64)
                known.append(_divide(_flat(lengths), np.sqrt(squares)))
        return known[0]

    def read(start: int, stop: int) -> NDArray[np.float32]:
        block = weight.read(start, stop)
        if turned:
            return block * by_column()
        norms = np.sqrt(np.einsum("ij,ij->i", block, block, dtype=np.float64))
        scaled: NDArray[np.float32] = block * _divide(_flat(lengths)[start:stop], norms)[:, None]
        return scaled

    return _derived(weight, read, (*weight.identity, "lengths", lengths.identity, turned))


def with_rows(weight: Tensor, ids: Sequence[int], rows: Tensor) -> Tensor:
    """`weight` [n, m] with row `ids[i]` replaced by row i of `rows` [len(ids), m]."""
    order = np.asarray(ids, np.intp)

    def read(start: int, stop: int) -> NDArray[np.float32]:
        block = weight.read(start, stop)
        wanted = np.flatnonzero((order >= start) & (order < stop))
        for i in wanted.tolist():
            block[order[i] - start] = rows.read(i, i + 1)[0]
        return block

    return _derived(weight, read, (*weight.identity, "rows", order.tobytes(), rows.identity))


def _divide(lengths: NDArray[np.float32], norms: NDArray[np.float64]) -> NDArray[np.float32]:
    with np.errstate(divide="ignore", invalid="ignore"):  # what is not finite is refused later
        return (lengths / norms).astype(np.float32)


def _flat(tensor: Tensor) -> NDArray[np.float32]:
    return tensor.float32().reshape(-1)


def _derived(weight: Tensor, read: Read, identity: tuple[object, ...]) -> Tensor:
    origin = weight.origin or weight.name
    return replace(weight, read=read, identity=identity, origin=origin)
