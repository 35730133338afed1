"""Llama in PyTorch, in the spellings outside Hugging Face, from their own names.

llama2.c, Meta and torchtune rotate neighbouring pairs, as complex numbers; litgpt rotates the two
halves of a head. Nothing is shared with the mapping.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F  # noqa: N812

from convert.architectures.model import Model
from convert.checkpoints.checkpoint import Checkpoint
from convert.checkpoints.tensor import FLOATS
from convert.parity.llama_facts import frequencies, names_of, read_facts
from convert.parity.references import name_reading
from convert.witness import READING


def load(checkpoint: Checkpoint, model: Model) -> Llama:
    """The reference for `checkpoint`. Raises `Unavailable` where rope is scaled otherwise."""
    return Llama(checkpoint, model)


class Llama:
    """RMSNorm, grouped attention with rope, a MLP gated by SiLU."""

    against, notes = READING, ()

    def __init__(self, checkpoint: Checkpoint, model: Model) -> None:
        self.name = name_reading(model)
        self._names = names_of(checkpoint, model.layout)
        self._facts = read_facts(checkpoint, model)
        self._w = {
            name: torch.from_numpy(tensor.float32())
            for name, tensor in checkpoint.tensors.items()
            if tensor.dtype in FLOATS
        }

    @torch.inference_mode()
    def logits(self, ids: Sequence[int]) -> NDArray[np.float32]:
        """Logits [len(ids), n_rows] after each of `ids`."""
        names, layer = self._names, 0
        x = self._w[names.tokens][torch.tensor(list(ids))]
        while f"{self._part(layer, 'norm_1')}.{names.norm_ending}" in self._w:
            x = x + self._attention(layer, self._normed(x, layer, "norm_1"))
            h = self._normed(x, layer, "norm_2")
            gated = F.silu(self._linear(layer, "gate", h)) * self._linear(layer, "up", h)
            x = x + self._linear(layer, "down", gated)
            layer += 1
        x = F.rms_norm(x, (x.shape[-1],), self._w[names.norm], self._facts.epsilon)
        head = self._w.get(names.head, self._w[names.tokens])
        result: NDArray[np.float32] = F.linear(x, head).numpy()
        return result

    def _part(self, layer: int, part: str) -> str:
        return f"{self._names.layer.format(layer)}.{self._names.parts[part]}"

    def _normed(self, x: torch.Tensor, layer: int, part: str) -> torch.Tensor:
        weight = self._w[f"{self._part(layer, part)}.{self._names.norm_ending}"]
        return F.rms_norm(x, (x.shape[-1],), weight, self._facts.epsilon)

    def _linear(self, layer: int, part: str, x: torch.Tensor) -> torch.Tensor:
        name = self._part(layer, part)
        return F.linear(x, self._w[f"{name}.weight"], self._w.get(f"{name}.bias"))

    def _attention(self, layer: int, x: torch.Tensor) -> torch.Tensor:
        n, facts = len(x), self._facts
        q, k, v = self._projected(layer, x)
        q = self._rotate(q.reshape(n, facts.n_head, -1))
        k = self._rotate(k.reshape(n, facts.n_kv, -1))
        v = v.reshape(n, facts.n_kv, -1)
        each = facts.n_head // facts.n_kv
        k, v = k.repeat_interleave(each, dim=1), v.repeat_interleave(each, dim=1)
        q, k, v = (t.transpose(0, 1)[None] for t in (q, k, v))
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)[0]
        return self._linear(layer, "o", mixed.transpose(0, 1).reshape(n, -1))

    def _projected(self, layer: int, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        if "q" in self._names.parts:
            return tuple(self._linear(layer, part, x) for part in "qkv")
        n_head, n_kv = self._facts.n_head, self._facts.n_kv
        if f"{self._part(layer, 'qkv')}.weight" in self._w:
            whole = self._linear(layer, "qkv", x)
            size = whole.shape[-1] // (n_head + 2 * n_kv)
            return torch.split(whole, [n * size for n in (n_head, n_kv, n_kv)], dim=-1)
        each = n_head // n_kv
        grouped = self._linear(layer, "groups", x).view(len(x), n_kv, each + 2, -1)
        return torch.split(grouped, [each, 1, 1], dim=2)

    def _rotate(self, x: torch.Tensor) -> torch.Tensor:
        """[n, heads, size], turned by position."""
        positions = torch.arange(len(x), dtype=torch.float64)
        angles = torch.outer(positions, frequencies(self._facts, x.shape[-1]))
        turn = torch.polar(torch.ones_like(angles), angles).to(torch.complex64)[:, None]
        if self._names.halves:
            pairs = torch.complex(*x.chunk(2, dim=-1)) * turn
            return torch.cat([pairs.real, pairs.imag], dim=-1)
        pairs = torch.view_as_complex(x.reshape(*x.shape[:-1], -1, 2)) * turn
        return torch.view_as_real(pairs).reshape(x.shape)
