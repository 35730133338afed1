"""How far two sets of logits are from one another, summed window by window.

Identical weights still give logits about 1e-3 apart (llama.cpp looks GELU up in a table): hence
top-1 agreement and KL divergence, and no tolerance on single numbers. A logit of -inf is a token
that can never come: on both sides it counts for nothing, on one side alone the models differ. NaN
and +inf are no answers, and every figure that comes out is finite.
"""

from __future__ import annotations

from math import exp, isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.errors import ProofError

MAX_LOSS = 700.0  # nats; e^700 is the largest that JSON, having no infinity, can carry


class Agreement:
    """How far two models agree: sums over positions, in float64."""

    def __init__(self) -> None:
        self._n = self._same = self._predicted = 0
        self._kl = self._kl_max = self._gap_max = self._error = self._power = 0.0
        self._loss_source = self._loss_file = 0.0

    def add(
        self, expected: NDArray[np.float32], found: NDArray[np.float32], ids: list[int]
    ) -> None:
        """Count one window: logits [n, n_vocab] of both, and the tokens they were computed for.

        Raises `ProofError` where one of them is not to be compared.
        """
        _check(expected, "The source")
        _check(found, "The file")
        masked = np.isneginf(expected)
        if not np.array_equal(masked, np.isneginf(found)):
            raise ProofError(
                "The file does not compute what the checkpoint does: a token that can never come "
                "in one of them can in the other.",
                "Nothing was kept.",
            )
        source, file = log_softmax(expected), log_softmax(found)
        kl = np.exp(source) * np.subtract(source, file, where=~masked, out=np.zeros_like(source))
        kl = kl.sum(axis=1)
        wide = expected.astype(np.float64)
        close = np.isclose(expected, source, rtol=0, atol=1e-3) | masked
        other = file if close.all() else found  # the source gives log-probabilities
        gap = np.subtract(wide, other, where=~masked, out=np.zeros_like(wide))
        self._n += len(ids)
        self._same += int((source.argmax(axis=1) == file.argmax(axis=1)).sum())
        self._kl += float(kl.sum())
        self._kl_max = max(self._kl_max, float(kl.max()))
        self._gap_max = max(self._gap_max, float(gap.max()), -float(gap.min()))
        self._error += float(np.square(gap).sum())
        self._power += float(np.square(wide, where=~masked, out=np.zeros_like(wide)).sum())
        nexts = np.arange(len(ids) - 1), np.array(ids[1:], dtype=np.intp)
        self._predicted += len(ids) - 1
        self._loss_source -= float(source[nexts].sum())
        self._loss_file -= float(file[nexts].sum())

    def report(self) -> dict[str, Any]:
        """Means: tokens, top1 (0 to 1), nmse, kl_mean and kl_max (nats), perplexity_source and
        perplexity_file; logit_gap_max, the largest difference of two logits (of log-probabilities
        where the source gives those). Raises `ProofError` when nothing was counted, or a sum
        overflowed."""
        predicted = max(1, self._predicted)
        if not self._n or not all(
            map(isfinite, (self._kl, self._kl_max, self._gap_max, self._error, self._power))
        ):
            raise ProofError("The logits cannot be compared: their difference is no finite number.")
        return {
            "tokens": self._n,
            "top1": self._same / self._n,
            "nmse": self._error / self._power if self._power else 0.0,
            "kl_mean": max(0.0, self._kl / self._n),
            "kl_max": max(0.0, self._kl_max),
            "logit_gap_max": self._gap_max,
            "perplexity_source": exp(min(MAX_LOSS, self._loss_source / predicted)),
            "perplexity_file": exp(min(MAX_LOSS, self._loss_file / predicted)),
        }


def _check(logits: NDArray[np.float32], side: str) -> None:
    """Raise `ProofError` unless every row has an answer."""
    with np.errstate(invalid="ignore"):
        tops = logits.max(axis=1)  # NaN where a row has one, -inf where all of it is masked
    if not np.isfinite(tops).all():
        raise ProofError(
            f"{side} computes no answer at {int((~np.isfinite(tops)).sum())} of {len(tops)} "
            "positions: its logits are NaN or infinite.",
            "Nothing was kept. The training may have diverged: convert an earlier checkpoint.",
        )


def log_softmax(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """Log-probabilities [n, n_vocab] of logits [n, n_vocab]."""
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    result: NDArray[np.float64] = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return result
