"""nanoGPT in PyTorch, from its own tensor names (github.com/karpathy/nanoGPT, model.py)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F  # noqa: N812

from convert.architectures.model import Model
from convert.checkpoints.checkpoint import Checkpoint
from convert.parity.references import name_reading
from convert.witness import READING


def load(checkpoint: Checkpoint, model: Model) -> NanoGPT:
    """The reference for a checkpoint in nanoGPT's spelling."""
    return NanoGPT(checkpoint, model)


class NanoGPT:
    """Runs the checkpoint as nanoGPT would."""

    against = READING

    def __init__(self, checkpoint: Checkpoint, model: Model) -> None:
        self.name = name_reading(model)
        ignored = dict(model.ignored)
        self._weights = {
            name: torch.from_numpy(tensor.float32())
            for name, tensor in checkpoint.tensors.items()
            if name not in ignored
        }
        self._hparams = model.hparams
        said = checkpoint.config.get("activation") or checkpoint.fact("config", "activation")
        self._gelu = "none" if said in (None, "gelu") else "tanh"

    def _int(self, key: str) -> int:
        value = self._hparams[key]
        assert isinstance(value, int)
        return value

    def _norm(self, x: torch.Tensor, name: str) -> torch.Tensor:
        weight = self._weights[f"{name}.weight"]
        return F.layer_norm(x, weight.shape, weight, self._weights.get(f"{name}.bias"), 1e-5)

    def _linear(self, x: torch.Tensor, name: str) -> torch.Tensor:
        return F.linear(x, self._weights[f"{name}.weight"], self._weights.get(f"{name}.bias"))

    @torch.inference_mode()
    def logits(self, ids: Sequence[int]) -> NDArray[np.float32]:
        """Logits [len(ids), n_rows]."""
        n, n_head = len(ids), self._int("attention.head_count")
        embedding = self._weights["transformer.wte.weight"]
        x = embedding[torch.tensor(ids)] + self._weights["transformer.wpe.weight"][:n]
        for layer in range(self._int("block_count")):
            block = f"transformer.h.{layer}"
            qkv = self._linear(self._norm(x, f"{block}.ln_1"), f"{block}.attn.c_attn")
            q, k, v = qkv.view(n, 3, n_head, -1).permute(1, 2, 0, 3)
            mixed = F.scaled_dot_product_attention(q[None], k[None], v[None], is_causal=True)[0]
            x = x + self._linear(mixed.transpose(0, 1).reshape(n, -1), f"{block}.attn.c_proj")
            hidden = self._linear(self._norm(x, f"{block}.ln_2"), f"{block}.mlp.c_fc")
            hidden = F.gelu(hidden, approximate=self._gelu)
            x = x + self._linear(hidden, f"{block}.mlp.c_proj")
        head = self._weights.get("lm_head.weight", embedding)
        result: NDArray[np.float32] = F.linear(self._norm(x, "transformer.ln_f"), head).numpy()
        return result
