"""What a type cannot hold is refused, with the tensor's name; nothing becomes infinity quietly."""

from __future__ import annotations

import numpy as np
import pytest

from chatapp.gguf.ggml_types import TYPES_BY_NAME
from convert.errors import ArchitectureError
from convert.quantize import quantize


def rows(value: float, n_cols: int = 256) -> np.ndarray:
    made = np.random.default_rng(1).standard_normal((2, n_cols), np.float32)
    made[1, 7] = value
    return made


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["F32", "F16", "Q4_K", "IQ4_NL"])
def test_weights_that_are_not_finite_are_refused(name: str, value: float) -> None:
    with pytest.raises(ArchitectureError, match=r"blk\.3\.x holds weights that are not finite"):
        quantize(rows(value), TYPES_BY_NAME[name], "blk.3.x")


@pytest.mark.parametrize(
    ("name", "value"),
    [("F16", 65600), ("F16", -1e9), ("Q8_0", 1e8), ("Q4_0", 1e6), ("Q4_1", -1e5), ("Q5_1", 1e7),
     ("Q4_K", -1e9), ("Q6_K", 1e10), ("Q2_K", 1e8), ("IQ4_NL", 1e8), ("BF16", 3.4e38)],
)  # fmt: skip
def test_an_overflow_is_refused_with_the_largest_weight(name: str, value: float) -> None:
    with pytest.raises(ArchitectureError) as error:
        quantize(rows(value), TYPES_BY_NAME[name], "blk.3.x")
    assert "blk.3.x holds a weight of" in error.value.message
    assert f"{abs(np.float32(value)):g}" in error.value.message
    assert ("BF16" in error.value.hint) == (name != "BF16")


def test_what_just_fits_is_written() -> None:
    held = quantize(rows(65504), TYPES_BY_NAME["F16"], "x").view(np.float16)
    assert held.max() == 65504
    scale = quantize(rows(1e6, 32), TYPES_BY_NAME["Q8_0"], "x").reshape(2, 34)[1, :2]
    assert scale.view(np.float16)[0] == np.float16(1e6 / 127)
    assert quantize(rows(3e38), TYPES_BY_NAME["BF16"], "x").nbytes == 1024


def test_llama_cpps_types_that_need_importance_do_not_end_the_process() -> None:
    for name in ("IQ1_S", "IQ1_M", "IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ3_XXS"):
        with pytest.raises(ArchitectureError, match="No importance was measured for x"):
            quantize(rows(1), TYPES_BY_NAME[name], "x")


def test_an_importance_of_another_size_is_not_read_beyond_its_end() -> None:
    for size in (1, 255, 512):
        with pytest.raises(ArchitectureError, match=f"{size} importances were measured"):
            quantize(rows(1), TYPES_BY_NAME["Q4_K"], "x", np.ones(size, np.float32))
