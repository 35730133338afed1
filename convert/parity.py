"""Proves a conversion by logits: the checkpoint in PyTorch against the file in llama.cpp.

The only place that imports torch, and only when called. The reference reads the checkpoint's own
tensor names, not the mapped ones, so that a wrong mapping cannot agree with itself. Identical
weights still give logits about 1e-3 apart (llama.cpp looks GELU up in a table): hence top-1
agreement and KL divergence, and no tolerance on single numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import exp
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convert.architectures.model import Model
from convert.checkpoints.checkpoint import Checkpoint
from convert.errors import ProofError
from convert.libllama import ModelFile
from convert.progress import Progress

if TYPE_CHECKING:
    import torch

MAX_TOKENS = 1024
MAX_LOSS = 700.0  # nats; e^700 is the largest that JSON, having no infinity, can carry
MAX_MEAN_KL = 0.1  # nats; Q8_0 measures below 0.01, a wrong head count or transpose above 1

Tensors = Mapping[str, "torch.Tensor"]
Reference = Callable[[Tensors, Model, "torch.Tensor"], "torch.Tensor"]


def run(
    checkpoint: Checkpoint, model: Model, file: ModelFile, text: str, progress: Progress
) -> dict[str, Any]:
    """The parity report, or what could not be run and why.

    Keys: tokens, top1 (0 to 1), nmse, kl_mean and kl_max (nats), perplexity_source and
    perplexity_file. Raises `ProofError` when the file is another model.
    """
    try:
        import torch
    except ImportError:
        return {"status": "not run", "reason": "PyTorch is not installed"}
    ids = file.tokenize(text, add_special=False, parse_special=False)[:MAX_TOKENS]
    if len(ids) < 2:
        return {"status": "not run", "reason": "the text is shorter than two tokens"}
    reference = _REFERENCES[model.layout]
    weights = {
        name: torch.from_numpy(tensor.float32())
        for name, tensor in checkpoint.tensors.items()
        if name not in dict(model.ignored)
    }
    window = min(int(model.hparams["context_length"]), 512)
    totals = _Totals()
    for start in range(0, len(ids), window):
        part = ids[start : start + window]
        with torch.inference_mode():
            expected = reference(weights, model, torch.tensor(part))[:, : file.n_tokens]
        totals.add(expected.numpy(), file.logits(part), part)
        progress("progress", step="parity", done=start + len(part), total=len(ids))
    report = totals.report()
    if not report["kl_mean"] <= MAX_MEAN_KL:
        raise ProofError(
            f"The file does not compute what the checkpoint does: top-1 agreement "
            f"{report['top1']:.1%}, mean KL {report['kl_mean']:.3g}.",
            "Nothing was kept. An unstable model may pass with -q F32 or --parity off.",
        )
    return report


class _Totals:
    """Sums over positions, in float64."""

    def __init__(self) -> None:
        self.n = self.same = self.predicted = 0
        self.kl = self.kl_max = self.error = self.power = 0.0
        self.loss_source = self.loss_file = 0.0

    def add(
        self, expected: NDArray[np.float32], found: NDArray[np.float32], ids: list[int]
    ) -> None:
        """Count one window: logits [n, n_vocab] of both, and the tokens they were computed for."""
        source, file = _log_softmax(expected), _log_softmax(found)
        kl = (np.exp(source) * (source - file)).sum(axis=1)
        self.n += len(ids)
        self.same += int((source.argmax(axis=1) == file.argmax(axis=1)).sum())
        self.kl += float(kl.sum())
        self.kl_max = max(self.kl_max, float(kl.max()))
        self.error += float(np.square(expected.astype(np.float64) - found).sum())
        self.power += float(np.square(expected.astype(np.float64)).sum())
        nexts = np.arange(len(ids) - 1), np.array(ids[1:], dtype=np.intp)
        self.predicted += len(ids) - 1
        self.loss_source -= float(source[nexts].sum())
        self.loss_file -= float(file[nexts].sum())

    def report(self) -> dict[str, Any]:
        """Means."""
        predicted = max(1, self.predicted)
        return {
            "status": "measured",
            "tokens": self.n,
            "top1": self.same / self.n,
            "nmse": self.error / self.power if self.power else 0.0,
            "kl_mean": max(0.0, self.kl / self.n),
            "kl_max": max(0.0, self.kl_max),
            "perplexity_source": exp(min(MAX_LOSS, self.loss_source / predicted)),
            "perplexity_file": exp(min(MAX_LOSS, self.loss_file / predicted)),
        }


def _log_softmax(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    result: NDArray[np.float64] = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return result


def _nanogpt(weights: Tensors, model: Model, ids: torch.Tensor) -> torch.Tensor:
    """Logits [n, n_vocab] of nanoGPT (github.com/karpathy/nanoGPT, model.py) for `ids` [n]."""
    from torch.nn import functional as F  # noqa: N812

    def norm(x: torch.Tensor, name: str) -> torch.Tensor:
        weight = weights[f"{name}.weight"]
        epsilon = float(model.hparams["attention.layer_norm_epsilon"])
        return F.layer_norm(x, weight.shape, weight, weights.get(f"{name}.bias"), epsilon)

    def linear(x: torch.Tensor, name: str) -> torch.Tensor:
        return F.linear(x, weights[f"{name}.weight"], weights.get(f"{name}.bias"))

    n, n_head = len(ids), int(model.hparams["attention.head_count"])
    x = weights["transformer.wte.weight"][ids] + weights["transformer.wpe.weight"][:n]
    for layer in range(int(model.hparams["block_count"])):
        block = f"transformer.h.{layer}"
        qkv = linear(norm(x, f"{block}.ln_1"), f"{block}.attn.c_attn")
        q, k, v = qkv.view(n, 3, n_head, -1).permute(1, 2, 0, 3)
        mixed = F.scaled_dot_product_attention(q[None], k[None], v[None], is_causal=True)[0]
        x = x + linear(mixed.transpose(0, 1).reshape(n, -1), f"{block}.attn.c_proj")
        hidden = F.gelu(linear(norm(x, f"{block}.ln_2"), f"{block}.mlp.c_fc"))
        x = x + linear(hidden, f"{block}.mlp.c_proj")
    head = weights.get("lm_head.weight", weights["transformer.wte.weight"])
    return F.linear(norm(x, "transformer.ln_f"), head)


_REFERENCES: dict[str, Reference] = {"nanogpt": _nanogpt}
