"""Llama in PyTorch, in the spellings outside Hugging Face, from their own names.

llama2.c, Meta and torchtune rotate neighbouring pairs, as complex numbers; litgpt rotates the two
halves of a head. Nothing is shared with the mapping.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F  # noqa: N812

from convert.architectures.model import Model
from convert.checkpoints.checkpoint import Checkpoint
from convert.checkpoints.tensor import FLOATS
from convert.parity.references import Unavailable

_META = {
    "q": "attention.wq", "k": "attention.wk", "v": "attention.wv", "o": "attention.wo",
    "gate": "feed_forward.w1", "down": "feed_forward.w2", "up": "feed_forward.w3",
    "norm_1": "attention_norm", "norm_2": "ffn_norm",
    "tokens": "tok_embeddings.weight", "norm": "norm.weight", "head": "output.weight",
}  # fmt: skip
_TUNE = {
    "q": "attn.q_proj", "k": "attn.k_proj", "v": "attn.v_proj", "o": "attn.output_proj",
    "gate": "mlp.w1", "down": "mlp.w2", "up": "mlp.w3",
    "norm_1": "sa_norm", "norm_2": "mlp_norm",
    "tokens": "tok_embeddings.weight", "norm": "norm.scale", "head": "output.weight",
}  # fmt: skip


def load(checkpoint: Checkpoint, model: Model) -> Llama:
    """The reference for `checkpoint`. Raises `Unavailable` where rope is scaled."""
    config = checkpoint.config
    if config.get("use_scaled_rope") or config.get("rope_adjustments"):
        raise Unavailable("the reference has no scaled rope")
    return Llama(checkpoint, model)


class Llama:
    """RMSNorm, grouped attention with rope, a MLP gated by SiLU."""

    def __init__(self, checkpoint: Checkpoint, model: Model) -> None:
        self.name = f"{model.layout} in PyTorch {torch.__version__}"
        self._w = {
            name: torch.from_numpy(tensor.float32())
            for name, tensor in checkpoint.tensors.items()
            if tensor.dtype in FLOATS
        }
        self._litgpt = model.layout == "litgpt"
        self._names = _TUNE if model.layout == "torchtune" else _META
        config: dict[str, Any] = checkpoint.config
        self._n_head = int(
            config.get("n_head") or config.get("n_heads") or _said(model, "head_count")
        )
        groups = config.get("n_query_groups") or config.get("n_kv_heads")
        self._n_kv = int(groups or _said(model, "head_count_kv"))
        self._base = float(str(model.hparams["rope.freq_base"]))
        self._epsilon = float(str(model.hparams["attention.layer_norm_rms_epsilon"]))
        found = {
            int(m[1]) for name in self._w if (m := re.search(r"(?:layers|\.h)\.(\d+)\.", name))
        }
        self._n_layer = len(found)

    @torch.inference_mode()
    def logits(self, ids: Sequence[int]) -> NDArray[np.float32]:
        """Logits [len(ids), n_rows]."""
        tokens, norm, head = (
            ("transformer.wte.weight", "transformer.ln_f.weight", "lm_head.weight")
            if self._litgpt
            else (self._names["tokens"], self._names["norm"], self._names["head"])
        )
        x = self._w[tokens][torch.tensor(list(ids))]
        for layer in range(self._n_layer):
            x = x + self._attention(layer, self._normed(x, self._norm_name(layer, 1)))
            h = self._normed(x, self._norm_name(layer, 2))
            gate, up, down = self._mlp(layer)
            x = x + F.linear(F.silu(F.linear(h, gate)) * F.linear(h, up), down)
        out = self._w.get(head, self._w[tokens])
        result: NDArray[np.float32] = F.linear(self._normed(x, norm), out).numpy()
        return result

    def _norm_name(self, layer: int, which: int) -> str:
        if self._litgpt:
            return f"transformer.h.{layer}.norm_{which}.weight"
        name = f"layers.{layer}.{self._names[f'norm_{which}']}"
        return f"{name}.scale" if self._names is _TUNE else f"{name}.weight"

    def _normed(self, x: torch.Tensor, name: str) -> torch.Tensor:
        return F.rms_norm(x, (x.shape[-1],), self._w[name], self._epsilon)

    def _mlp(self, layer: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        if self._litgpt:
            stem = f"transformer.h.{layer}.mlp"
            return tuple(self._w[f"{stem}.{n}.weight"] for n in ("fc_1", "fc_2", "proj"))  # type: ignore[return-value]
        names = (self._names[n] for n in ("gate", "up", "down"))
        return tuple(self._w[f"layers.{layer}.{n}.weight"] for n in names)  # type: ignore[return-value]

    def _attention(self, layer: int, x: torch.Tensor) -> torch.Tensor:
        q, k, v, out = self._projected(layer, x)
        n, size = len(x), q.shape[-1] // self._n_head
        q = self._rotate(q.view(n, self._n_head, size))
        k = self._rotate(k.view(n, self._n_kv, size))
        v = v.view(n, self._n_kv, size)
        each = self._n_head // self._n_kv
        k, v = k.repeat_interleave(each, dim=1), v.repeat_interleave(each, dim=1)
        q, k, v = (t.transpose(0, 1)[None] for t in (q, k, v))
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)[0]
        return F.linear(mixed.transpose(0, 1).reshape(n, -1), out)

    def _projected(self, layer: int, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        if not self._litgpt:
            names = (self._names[n] for n in ("q", "k", "v", "o"))
            q, k, v, out = (self._w[f"layers.{layer}.{name}.weight"] for name in names)
            return F.linear(x, q), F.linear(x, k), F.linear(x, v), out
        stem = f"transformer.h.{layer}.attn"
        out = self._w[f"{stem}.proj.weight"]
        rows = self._n_head + 2 * self._n_kv
        if f"{stem}.qkv.weight" in self._w:
            qkv = F.linear(x, self._w[f"{stem}.qkv.weight"])
            size = qkv.shape[-1] // rows
            parts = torch.split(
                qkv, [n * size for n in (self._n_head, self._n_kv, self._n_kv)], dim=-1
            )
            return (*parts, out)
        qkv = F.linear(x, self._w[f"{stem}.attn.weight"])
        each = self._n_head // self._n_kv
        grouped = qkv.view(len(x), self._n_kv, each + 2, -1)
        q, k, v = torch.split(grouped, [each, 1, 1], dim=2)
        return q.reshape(len(x), -1), k.reshape(len(x), -1), v.reshape(len(x), -1), out

    def _rotate(self, x: torch.Tensor) -> torch.Tensor:
        n, _, size = x.shape
        angles = torch.outer(
            torch.arange(n, dtype=torch.float64),
            self._base ** (-torch.arange(0, size, 2, dtype=torch.float64) / size),
        )
        turn = torch.polar(torch.ones_like(angles), angles).to(torch.complex64)[:, None]
        if self._litgpt:
            pairs = torch.complex(*x.chunk(2, dim=-1)) * turn
            return torch.cat([pairs.real, pairs.imag], dim=-1)
        pairs = torch.view_as_complex(x.reshape(*x.shape[:-1], -1, 2)) * turn
        return torch.view_as_real(pairs).reshape(x.shape)


def _said(model: Model, key: str) -> Any:
    return model.hparams[f"attention.{key}"]
