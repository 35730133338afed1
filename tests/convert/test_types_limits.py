"""What a type cannot hold is refused, with the tensor's name; nothing becomes infinity quietly."""

from __future__ import annotations

import numpy as np
import pytest

from convert.errors import ArchitectureError
from convert.ftype import TENSOR_TYPES
from convert.quantize import quantize


def rows(value: float, n_cols: int = 256) -> np.ndarray:
    made = np.random.default_rng(1).standard_normal((2, n_cols), np.float32)
    made[1, 7] = value
    return made


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["f32", "f16", "q4_k", "iq4_nl"])
def test_weights_that_are_not_finite_are_refused(name: str, value: float) -> None:
    with pytest.raises(ArchitectureError, match=r"blk\.3\.x holds weights that are not finite"):
        quantize(rows(value), TENSOR_TYPES[name], "blk.3.x")


@pytest.mark.parametrize(
    ("name", "value"),
    [("f16", 65600), ("f16", -1e9), ("q8_0", 1e8), ("q4_0", 1e6), ("q4_1", -1e5), ("q5_1", 1e7),
     ("q4_k", -1e9), ("q6_k", 1e10), ("q2_k", 1e8), ("iq4_nl", 1e8), ("bf16", 3.4e38)],
)  # fmt: skip
def test_an_overflow_is_refused_with_the_largest_weight(name: str, value: float) -> None:
    with pytest.raises(ArchitectureError) as error:
        quantize(rows(value), TENSOR_TYPES[name], "blk.3.x")
    assert "blk.3.x holds a weight of" in error.value.message
    assert f"{abs(np.float32(value)):g}" in error.value.message
    assert ("BF16" in error.value.hint) == (name != "bf16")


def test_what_just_fits_is_written() -> None:
    held = quantize(rows(65504), TENSOR_TYPES["f16"], "x").view(np.float16)
    assert held.max() == 65504
    scale = quantize(rows(1e6, 32), TENSOR_TYPES["q8_0"], "x").reshape(2, 34)[1, :2]
    assert scale.view(np.float16)[0] == np.float16(1e6 / 127)
    assert quantize(rows(3e38), TENSOR_TYPES["bf16"], "x").nbytes == 1024


def test_llama_cpps_types_that_need_importance_do_not_end_the_process() -> None:
    for name in ("iq1_s", "iq1_m", "iq2_xxs", "iq2_xs", "iq2_s", "iq3_xxs"):
        with pytest.raises(ArchitectureError, match="No importance was measured for x"):
            quantize(rows(1), TENSOR_TYPES[name], "x")


def test_an_importance_of_another_size_is_not_read_beyond_its_end() -> None:
    for size in (1, 255, 512):
        with pytest.raises(ArchitectureError, match=f"{size} importances were measured"):
            quantize(rows(1), TENSOR_TYPES["q4_k"], "x", np.ones(size, np.float32))
