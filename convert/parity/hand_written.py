"""A hand-written GPT in PyTorch, by the roles its tensors were recognised in.

The roles are shared with the mapping, the arithmetic is not: every head's matrices are used as they
lie in the checkpoint, activation and output bias as the code that trained it has them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F  # noqa: N812

from convert.architectures.gpt2_roles import Layer, Pair, find_roles
from convert.architectures.gpt2_spellings import find_spelling
from convert.architectures.model import Model
from convert.checkpoints.checkpoint import Checkpoint
from convert.checkpoints.tensor import FLOATS
from convert.parity.references import name_reading
from convert.witness import READING

_ACTIVATIONS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "relu": F.relu,
    "gelu": F.gelu,
    "gelu_python": F.gelu,
}


def _tanh_gelu(x: torch.Tensor) -> torch.Tensor:
    return F.gelu(x, approximate="tanh")


def load(checkpoint: Checkpoint, model: Model) -> HandWrittenGPT:
    """The reference for `checkpoint`."""
    return HandWrittenGPT(checkpoint, model)


class HandWrittenGPT:
    """Pre-norm attention and MLP, one head at a time."""

    against = READING

    def __init__(self, checkpoint: Checkpoint, model: Model) -> None:
        self.name = name_reading(model)
        self._weights = {
            name: torch.from_numpy(tensor.float32())
            for name, tensor in checkpoint.tensors.items()
            if tensor.dtype in FLOATS
        }
        self._roles = find_roles(checkpoint)
        self._n_head = int(str(model.hparams["attention.head_count"]))
        self._epsilon = float(str(model.hparams["attention.layer_norm_epsilon"]))
        config = checkpoint.config
        names = ("activation_function", "activation", "hidden_act", "act", "nonlinearity")
        said = next((config[name] for name in names if config.get(name)), None)
        name = str(said or find_spelling(checkpoint).activation)
        self._activate = _ACTIVATIONS.get(name, _tanh_gelu)

    @torch.inference_mode()
    def logits(self, ids: Sequence[int]) -> NDArray[np.float32]:
        """Logits [len(ids), n_rows]."""
        roles, weights = self._roles, self._weights
        embedding = weights[roles.tokens]
        positions = weights[roles.positions].reshape(-1, embedding.shape[1])
        x = embedding[torch.tensor(list(ids))] + positions[: len(ids)]
        for layer in roles.layers:
            x = x + self._attention(layer, self._norm(x, layer.norm_1))
            hidden = self._activate(self._linear(self._norm(x, layer.norm_2), layer.up))
            x = x + self._linear(hidden, layer.down)
        head = roles.head or Pair(roles.tokens)
        result: NDArray[np.float32] = self._linear(self._norm(x, roles.norm), head).numpy()
        return result

    def _norm(self, x: torch.Tensor, pair: Pair) -> torch.Tensor:
        bias = self._weights[pair.bias] if pair.bias else None
        weight = self._weights[pair.weight]
        return F.layer_norm(x, weight.shape, weight, bias, self._epsilon)

    def _linear(self, x: torch.Tensor, pair: Pair) -> torch.Tensor:
        bias = self._weights[pair.bias] if pair.bias else None
        return F.linear(x, self._weights[pair.weight], bias)

    def _attention(self, layer: Layer, x: torch.Tensor) -> torch.Tensor:
        if len(layer.qkv) == 1:
            q, k, v = self._linear(x, layer.qkv[0][0]).chunk(3, dim=-1)
        else:
            q, k, v = (
                torch.cat([self._linear(x, pair) for pair in part], dim=-1) for part in layer.qkv
            )
        n = len(x)
        later = torch.ones(n, n, dtype=torch.bool).triu(1)
        mixed = []
        for qh, kh, vh in zip(
            *(part.chunk(self._n_head, dim=-1) for part in (q, k, v)), strict=True
        ):
            scores = (qh @ kh.T) / qh.shape[1] ** 0.5
            mixed.append(torch.softmax(scores.masked_fill(later, -torch.inf), dim=-1) @ vh)
        return self._linear(torch.cat(mixed, dim=-1), layer.proj)
