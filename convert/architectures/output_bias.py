"""A bias on the output matrix, which llama.cpp's GPT-2 does not have, folded into what it has.

The last LayerNorm gives y = g n + b with sum(n) = 0. Along u = 1/g a row therefore adds a constant,
u.y = u.b, and not a function of the text. With b' = b + k u and rows w' = w + a u every logit is
w.y + c again when a = (c - k w.u) / (u.b'). Exact but for rounding, in any precision of the sum.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from convert.architectures.model import OUTPUT, TOKEN_EMBEDDING, Model
from convert.checkpoints.operations import computed
from convert.checkpoints.tensor import Tensor
from convert.errors import ArchitectureError

_SMALLEST = 1e-3  # of the norm's largest weight: below it 1/g drowns everything else
_G, _B = "output_norm.weight", "output_norm.bias"


def fold_output_bias(model: Model, bias: Tensor) -> Model:
    """`model` with `bias` [n_vocab] added to its logits. Raises `ArchitectureError`."""
    values = bias.float32().astype(np.float64)
    return add_constants(model, lambda start, stop: values[start:stop])


def add_constants(model: Model, constants: Callable[[int, int], NDArray[np.float64]]) -> Model:
    """`model` whose logit i is more by `constants(i, i + 1)`, for every row of the vocabulary.

    The output matrix is untied for it. Raises `ArchitectureError` when a weight of the last norm
    is too near zero.
    """
    by_name = {tensor.name: tensor for tensor in model.tensors}
    g = by_name[_G].float32().astype(np.float64)
    b = by_name[_B].float32().astype(np.float64)
    if np.abs(g).min() < _SMALLEST * np.abs(g).max():
        raise ArchitectureError(
            "The last norm has weights near zero: a constant cannot be added to the logits.",
            "Train without a bias on the output layer.",
        )
    u = 1 / g
    # a quarter of what the norm puts out: more would show in quantised rows (Q8_0: KL + 10 %)
    shift = np.sqrt(len(u)) / np.linalg.norm(u) / 4
    if u @ b < 0:
        shift = -shift
    moved = b + shift * u
    rows = by_name.get(OUTPUT) or by_name[TOKEN_EMBEDDING]

    def read(start: int, stop: int) -> NDArray[np.float32]:
        w = rows.read(start, stop).astype(np.float64)
        a = (constants(start, stop) - shift * (w @ u)) / (u @ moved)
        rows_with: NDArray[np.float32] = (w + a[:, None] * u).astype(np.float32)
        return rows_with

    output = replace(
        rows.rename(OUTPUT), dtype="F32", read=read, identity=(*rows.identity, "with constants")
    )
    kept = [tensor for tensor in model.tensors if tensor.name not in (_B, OUTPUT)]
    at = next(i for i, tensor in enumerate(kept) if tensor.name == _G) + 1
    kept[at:at] = [computed(_B, moved.astype(np.float32), by_name[_B].origin)]
    return replace(model, tensors=(*kept, output))
