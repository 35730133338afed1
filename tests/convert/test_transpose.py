"""A matrix is turned in as few readings as the memory allows, right whatever the blocks."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from convert.checkpoints import operations
from convert.checkpoints.operations import computed, transpose
from convert.checkpoints.tensor import Tensor


def counted(values: np.ndarray, rows: list[int]) -> Tensor:
    """A tensor that notes how many rows were read of it."""
    tensor = computed("w", values, "w")

    def read(start: int, stop: int) -> np.ndarray:
        rows.append(stop - start)
        return tensor.read(start, stop)

    return replace(tensor, read=read, identity=("counted", id(rows)))


@pytest.mark.parametrize(("stripe", "readings"), [(1 << 30, 1), (300 * 60, 4), (300, 200)])
def test_it_is_read_once_for_each_stripe(
    monkeypatch: pytest.MonkeyPatch, stripe: int, readings: int
) -> None:
    monkeypatch.setattr(operations, "_STRIPE", stripe)
    values = np.random.default_rng(1).standard_normal((300, 200)).astype(np.float32)
    rows: list[int] = []
    turned = transpose(counted(values, rows))
    for start in range(0, 200, 7):
        block = turned.read(start, min(start + 7, 200))
        assert block.flags.c_contiguous
        assert np.array_equal(block, values.T[start : start + 7])
    assert sum(rows) == 300 * readings
    assert np.array_equal(turned.float32(), values.T)


def test_threads_share_a_stripe() -> None:
    values = np.random.default_rng(1).standard_normal((300, 400)).astype(np.float32)
    rows: list[int] = []
    turned = transpose(counted(values, rows))
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda at: turned.read(at, at + 1), range(400)))
    assert np.array_equal(np.concatenate(found), values.T)
    assert sum(rows) == 300
