"""Measures that meet NaN and infinity: a proof fails aloud, and a masked token is no difference."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from convert.errors import ProofError
from convert.parity.measure import Agreement, log_softmax
from convert.pipeline import convert

CHANCE = np.random.default_rng(1)
IDS = [int(i) for i in CHANCE.integers(0, 50, 16)]


def logits() -> np.ndarray:
    return CHANCE.standard_normal((16, 50)).astype(np.float32)


def report(expected: np.ndarray, found: np.ndarray) -> dict[str, Any]:
    sums = Agreement()
    sums.add(expected, found, IDS)
    return sums.report()


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("where", [np.s_[:], np.s_[3], np.s_[5, 7], np.s_[:, 49]])
@pytest.mark.parametrize("side", ["source", "file"])
def test_what_is_no_answer_fails(value: float, where: Any, side: str) -> None:
    pair = {"source": logits(), "file": logits()}
    pair[side][where] = value
    with pytest.raises(ProofError, match=f"The {side} computes no answer at"):
        report(pair["source"], pair["file"])


@pytest.mark.parametrize("side", ["source", "file"])
def test_a_row_without_any_token_fails(side: str) -> None:
    pair = {"source": logits(), "file": logits()}
    pair[side][4] = -np.inf
    with pytest.raises(ProofError, match=f"The {side} computes no answer at 1 of 16"):
        report(pair["source"], pair["file"])


def test_a_token_masked_on_both_sides_counts_for_nothing() -> None:
    expected, found = logits(), logits()
    without = report(np.delete(expected, 9, 1), np.delete(found, 9, 1))
    expected[:, 9] = found[:, 9] = -np.inf
    masked = report(expected, found)
    for key in ("kl_mean", "kl_max", "logit_gap_max", "nmse", "top1"):
        assert masked[key] == pytest.approx(without[key], rel=1e-12), key
    assert masked["kl_mean"] > 0.1
    json.dumps(masked, allow_nan=False)


@pytest.mark.parametrize("side", [0, 1])
def test_a_token_masked_on_one_side_is_a_difference(side: int) -> None:
    pair = [logits(), logits()]
    pair[side][2, 9] = -np.inf
    with pytest.raises(ProofError, match="can never come"):
        report(*pair)


@pytest.mark.parametrize("change", [2.5, -2.5])
def test_the_largest_gap_is_of_one_logit(change: float) -> None:
    expected = logits()
    found = expected.copy()
    found[3, 7] += np.float32(change)
    assert report(expected, found)["logit_gap_max"] == pytest.approx(2.5, rel=1e-6)


def test_log_probabilities_are_compared_with_log_probabilities() -> None:
    found = logits() + np.float32(5)
    expected = log_softmax(found).astype(np.float32)
    assert report(expected, found)["logit_gap_max"] < 1e-6


def test_nothing_counted_is_no_agreement() -> None:
    with pytest.raises(ProofError):
        Agreement().report()


def test_a_model_that_computes_nan_is_not_written(make) -> None:
    def blow_up(saved: dict[str, Any]) -> None:
        for name, tensor in saved["model"].items():
            if "c_fc" in name:
                tensor *= 1e38

    folder = make(edit=blow_up)
    before = set(folder.iterdir())
    with pytest.raises(ProofError, match="computes no answer"):
        convert(folder, ftype="F32", parity="auto")
    assert set(folder.iterdir()) == before
