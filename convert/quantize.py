"""Turns rows of float32 into a weight type, with llama.cpp's own kernels.

It promises the bytes that llama.cpp's quantizer would write, tensor type by tensor type, and to
refuse what a type cannot hold: a weight that is not finite, or one beyond F16's range, which the
kernel would turn into infinity without a word.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.errors import ArchitectureError
from convert.ftype import F16, F32, FType

_F16_MAX = 65504.0
# Positions are added, not multiplied: llama.cpp's quantizer leaves them alone too.
_KEPT_F32 = frozenset({"position_embd.weight"})


def choose_type(name: str, shape: Sequence[int], wanted: FType) -> FType:
    """The type of tensor `name` in a file of type `wanted`, as llama.cpp's quantizer has it."""
    if len(shape) < 2 or name in _KEPT_F32 or not name.endswith("weight"):
        return F32
    return F16 if shape[-1] % wanted.block else wanted


@cache
def _kernel() -> Any:
    from llama_cpp._ggml import libggml  # 200 ms, and only needed once weights are written

    kernel = libggml.ggml_quantize_chunk
    kernel.restype = ctypes.c_size_t
    kernel.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p]
    kernel.argtypes += [ctypes.c_int64, ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p]
    return kernel


def quantize(rows: NDArray[np.float32], ftype: FType, name: str) -> NDArray[np.uint8]:
    """Bytes of `rows` [n, n_cols] in `ftype`; `name` is for the error. Releases the GIL."""
    peak = float(np.max(np.abs(rows), initial=0.0))
    if not np.isfinite(peak):
        raise ArchitectureError(
            f"{name} holds weights that are not finite (NaN or infinity).",
            "The training diverged: convert an earlier checkpoint.",
        )
    if ftype is F16 and peak > _F16_MAX:
        raise ArchitectureError(
            f"{name} holds a weight of {peak:g}; F16 ends at {_F16_MAX:g}.", "Use -q F32."
        )
    if ftype is F32:
        return rows.reshape(-1).view(np.uint8)
    n, n_cols = rows.shape
    out = np.empty(n * ftype.row_bytes(n_cols), np.uint8)
    written = _kernel()(ftype.ggml_type, rows.ctypes.data, out.ctypes.data, 0, n, n_cols, None)
    if written != out.nbytes:
        raise ArchitectureError(f"llama.cpp wrote {written} bytes for {name}, not {out.nbytes}.")
    return out
