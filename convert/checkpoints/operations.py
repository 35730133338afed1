"""Tensors made of other tensors: what lies between a checkpoint's layout and llama.cpp's.

It promises that nothing is read before the result is, and then no more than the rows asked for
(`transpose` reads its source once for each `_STRIPE` of columns, whatever the blocks). All of them
work on rows, as `Tensor` defines them; shapes are checked by whoever calls, who can say what was
expected.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import accumulate, pairwise
from math import prod
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from convert.checkpoints.tensor import Tensor

Rows = NDArray[np.intp]
_STRIPE = 8 << 20  # weights that are held of a matrix being transposed: 32 MiB
_ONE_AT_A_TIME = Lock()  # several threads would all read the same stripe
_RANK = {"BF16": 1, "F16": 1, "F32": 2, "F64": 3}


def zeros(name: str, shape: tuple[int, ...], origin: str = "zeros") -> Tensor:
    """A tensor of zeros that takes no memory until it is read."""
    return constant(name, shape, 0.0, origin)


def constant(name: str, shape: tuple[int, ...], value: float, origin: str) -> Tensor:
    """A tensor of `shape` that has `value` everywhere."""
    n_cols = shape[-1] if len(shape) > 1 else 1

    def read(start: int, stop: int) -> NDArray[np.float32]:
        return np.full((stop - start, n_cols), value, np.float32)

    return Tensor(name, shape, "F32", read, ("constant", name), origin)


def computed(name: str, values: NDArray[np.float32], origin: str) -> Tensor:
    """A small tensor that is already in memory, such as rope factors."""
    matrix = np.ascontiguousarray(values, np.float32)
    matrix = matrix.reshape(-1, matrix.shape[-1] if matrix.ndim > 1 else 1)

    def read(start: int, stop: int) -> NDArray[np.float32]:
        return matrix[start:stop].copy()

    return Tensor(name, values.shape, "F32", read, ("computed", name), origin)


def concat(name: str, parts: Sequence[Tensor]) -> Tensor:
    """`parts` below one another along the first axis; all other axes are equal."""
    shape = (sum(part.shape[0] for part in parts), *parts[0].shape[1:])
    return _join(name, parts, shape)


def stack(name: str, parts: Sequence[Tensor]) -> Tensor:
    """`parts`, all of one shape, along a new first axis, as experts are kept."""
    if len(parts[0].shape) < 2:
        raise ValueError("only matrices are stacked")
    return _join(name, parts, (len(parts), *parts[0].shape))


def _join(name: str, parts: Sequence[Tensor], shape: tuple[int, ...]) -> Tensor:
    bounds = [0, *accumulate(part.n_rows for part in parts)]
    spans = [(*span, part) for span, part in zip(pairwise(bounds), parts, strict=True)]

    def read(start: int, stop: int) -> NDArray[np.float32]:
        blocks = [
            part.read(max(start, first) - first, min(stop, last) - first)
            for first, last, part in spans
            if first < stop and last > start
        ]
        return blocks[0] if len(blocks) == 1 else np.concatenate(blocks)

    origin = ", ".join(part.origin or part.name for part in parts[:3])
    origin += ", ..." if len(parts) > 3 else ""
    identity = ("joined", shape, *(part.identity for part in parts))
    return Tensor(name, shape, widest(parts), read, identity, origin)


def concat_columns(name: str, parts: Sequence[Tensor]) -> Tensor:
    """Matrices side by side: [n, m1], [n, m2] as [n, m1 + m2]."""
    shape = (parts[0].shape[0], sum(part.shape[1] for part in parts))

    def read(start: int, stop: int) -> NDArray[np.float32]:
        return np.concatenate([part.read(start, stop) for part in parts], axis=1)

    identity = ("side by side", shape, *(part.identity for part in parts))
    return Tensor(name, shape, widest(parts), read, identity, parts[0].origin or parts[0].name)


def gather(tensor: Tensor, index: Sequence[int] | Rows, *, key: object = None) -> Tensor:
    """Row `index[i]` of `tensor` as row i. `key` names the order, for telling tied weights."""
    order = np.asarray(index, np.intp)
    shape = (len(order), *((tensor.n_cols,) if len(tensor.shape) > 1 else ()))

    def read(start: int, stop: int) -> NDArray[np.float32]:
        wanted = order[start:stop]
        if not len(wanted):
            return np.empty((0, tensor.n_cols), np.float32)
        first, last = int(wanted.min()), int(wanted.max()) + 1
        if last - first <= 4 * len(wanted):
            return tensor.read(first, last)[wanted - first]
        return np.concatenate([tensor.read(int(row), int(row) + 1) for row in wanted])

    identity = (*tensor.identity, "rows", key if key is not None else order.tobytes())
    return replace(tensor, shape=shape, read=read, identity=identity, origin=_origin(tensor))


def gather_columns(tensor: Tensor, index: Rows) -> Tensor:
    """Column `index[i]` of the matrix `tensor` as column i; `index` is a permutation."""

    def read(start: int, stop: int) -> NDArray[np.float32]:
        return np.ascontiguousarray(tensor.read(start, stop)[:, index])

    identity = (*tensor.identity, "columns", index.tobytes())
    return replace(tensor, read=read, identity=identity, origin=_origin(tensor))


def cut(tensor: Tensor, start: int, stop: int) -> Tensor:
    """The part from `start` to `stop` of the first axis: a third of a fused matrix, one expert."""
    per_item = tensor.n_rows // tensor.shape[0] if tensor.shape[0] else 0
    first, shape = start * per_item, (stop - start, *tensor.shape[1:])

    def read(begin: int, end: int) -> NDArray[np.float32]:
        return tensor.read(first + begin, first + end)

    identity = (*tensor.identity, "cut", start, stop)
    return replace(tensor, shape=shape, read=read, identity=identity, origin=_origin(tensor))


def reshape(tensor: Tensor, shape: tuple[int, ...]) -> Tensor:
    """The same weights in `shape`, which has as many."""
    if prod(shape) != tensor.n_weights:
        raise ValueError(f"{tensor.shape} cannot become {shape}")
    n_cols = shape[-1] if len(shape) > 1 else 1

    def read(start: int, stop: int) -> NDArray[np.float32]:
        if n_cols == tensor.n_cols:
            return tensor.read(start, stop)
        first, last = start * n_cols, stop * n_cols
        row = first // max(1, tensor.n_cols)
        flat = tensor.read(row, -(-last // max(1, tensor.n_cols))).reshape(-1)
        offset = first - row * tensor.n_cols
        return flat[offset : offset + last - first].reshape(-1, n_cols)

    identity = (*tensor.identity, "shape", shape)
    return replace(tensor, shape=shape, read=read, identity=identity, origin=_origin(tensor))


def transpose(tensor: Tensor) -> Tensor:
    """A matrix [n, m] as [m, n]: Hugging Face's Conv1D keeps its weights the other way round."""
    n, m = tensor.shape

    width = max(1, _STRIPE // max(1, n))

    def read(start: int, stop: int) -> NDArray[np.float32]:
        rows = np.empty((stop - start, n), np.float32)
        for index in range(start // width, -(-stop // width)):
            first, last = max(start, index * width), min(stop, (index + 1) * width, m)
            with _ONE_AT_A_TIME:
                stripe = _turned_stripe(tensor, index, width)
            offset = index * width
            rows[first - start : last - start] = stripe[first - offset : last - offset]
        return rows

    identity = (*tensor.identity, "transposed")
    return replace(tensor, shape=(m, n), read=read, identity=identity, origin=_origin(tensor))


@lru_cache(maxsize=2)  # of all matrices together: rows are asked for in order, by some threads
def _turned_stripe(tensor: Tensor, index: int, width: int) -> NDArray[np.float32]:
    """`width` columns of a matrix as rows, the last stripe with fewer."""
    first = index * width
    turned = np.empty((min(width, tensor.n_cols - first), tensor.n_rows), np.float32)
    at = 0
    for block in tensor.blocks():
        turned[:, at : at + len(block)] = block[:, first : first + width].T
        at += len(block)
    return turned


def affine(tensor: Tensor, *, scale: float = 1.0, shift: float = 0.0) -> Tensor:
    """`scale * tensor + shift`, such as Gemma's norms, which are kept less one."""

    def read(start: int, stop: int) -> NDArray[np.float32]:
        return tensor.read(start, stop) * np.float32(scale) + np.float32(shift)

    identity = (*tensor.identity, "affine", scale, shift)
    return replace(tensor, dtype="F32", read=read, identity=identity, origin=_origin(tensor))


def minus_exp(tensor: Tensor) -> Tensor:
    """-exp(`tensor`): a state's decay, which checkpoints keep as its logarithm."""

    def read(start: int, stop: int) -> NDArray[np.float32]:
        return -np.exp(tensor.read(start, stop))

    identity = (*tensor.identity, "minus exp")
    return replace(tensor, dtype="F32", read=read, identity=identity, origin=_origin(tensor))


def widest(parts: Sequence[Tensor]) -> str:
    """The stored type that holds all of `parts`; BF16 beside F16 needs F32."""
    dtypes = {part.dtype for part in parts}
    if dtypes == {"BF16", "F16"}:
        return "F32"
    return max(dtypes, key=lambda dtype: _RANK.get(dtype, 0))


def _origin(tensor: Tensor) -> str:
    return tensor.origin or tensor.name
