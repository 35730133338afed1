"""Proves a conversion by logits: the checkpoint in PyTorch against the file in llama.cpp.

The references are the only modules that import torch, and only when a proof runs. Identical
weights still give logits about 1e-3 apart (llama.cpp looks GELU up in a table): hence top-1
agreement and KL divergence, and no tolerance on single numbers.
"""

from __future__ import annotations

from math import exp
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.architectures.model import Model
from convert.checkpoints.checkpoint import Checkpoint
from convert.errors import ProofError
from convert.libllama import ModelFile
from convert.parity.references import Unavailable, load_reference
from convert.progress import Progress

MAX_TOKENS = 1024
MAX_LOSS = 700.0  # nats; e^700 is the largest that JSON, having no infinity, can carry
MAX_MEAN_KL = 0.1  # nats; Q8_0 measures below 0.01, a wrong head count or transpose above 1


def run(
    checkpoint: Checkpoint, model: Model, file: ModelFile, text: str, progress: Progress
) -> dict[str, Any]:
    """The parity report, or what could not be run and why.

    Keys: tokens, top1 (0 to 1), nmse, kl_mean and kl_max (nats), perplexity_source and
    perplexity_file. Raises `ProofError` when the file is another model.
    """
    ids = file.tokenize(text, add_special=False, parse_special=False)[:MAX_TOKENS]
    if len(ids) < 2:
        return {"status": "not run", "reason": "the text is shorter than two tokens"}
    try:
        reference = load_reference(checkpoint, model)
    except Unavailable as reason:
        return {"status": "not run", "reason": str(reason)}
    window = min(file.n_ctx_train, 512)
    totals = _Totals()
    for start in range(0, len(ids), window):
        part = ids[start : start + window]
        expected = reference.logits(part)[:, : file.n_tokens]
        totals.add(expected, file.logits(part), part)
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
