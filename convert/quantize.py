"""Turns rows of float32 into a tensor type, with llama.cpp's own kernels.

It promises the bytes that llama.cpp's quantizer would write, tensor type by tensor type, and to
refuse what a type cannot hold: a weight that is not finite, or one beyond F16's range, which the
kernel would turn into infinity without a word.
"""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.errors import ArchitectureError
from convert.ftype import F16, F32, TensorType

_F16_MAX = 65504.0


@cache
def _kernels() -> tuple[Any, Any]:
    from llama_cpp._ggml import libggml  # 200 ms, and only needed once weights are written

    quantize_chunk = libggml.ggml_quantize_chunk
    quantize_chunk.restype = ctypes.c_size_t
    quantize_chunk.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p]
    quantize_chunk.argtypes += [ctypes.c_int64, ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p]
    validate = libggml.ggml_validate_row_data
    validate.restype = ctypes.c_bool
    validate.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t]
    return quantize_chunk, validate


def quantize(
    rows: NDArray[np.float32],
    kind: TensorType,
    name: str,
    importance: NDArray[np.float32] | None = None,
) -> NDArray[np.uint8]:
    """Bytes of `rows` [n, n_cols] in `kind`; `name` is for errors. Releases the GIL.

    `importance` [n_cols] weighs each column's error. Source: ggml_quantize_chunk.
    """
    low, high = float(rows.min(initial=0.0)), float(rows.max(initial=0.0))
    peak = max(high, -low)
    if not np.isfinite(peak):
        raise ArchitectureError(
            f"{name[:100]} holds weights that are not finite (NaN or infinity).",
            "The training diverged: convert an earlier checkpoint.",
        )
    if kind is F16 and peak > _F16_MAX:
        raise _overflow(name, peak, kind)
    if kind is F32:
        return rows.reshape(-1).view(np.uint8)
    n, n_cols = rows.shape
    out = np.empty(n * kind.row_bytes(n_cols), np.uint8)
    weights = None if importance is None else importance.ctypes.data
    quantize_chunk, validate = _kernels()
    written = quantize_chunk(kind.number, rows.ctypes.data, out.ctypes.data, 0, n, n_cols, weights)
    if written != out.nbytes:
        raise ArchitectureError(f"llama.cpp wrote {written} bytes for {name}, not {out.nbytes}.")
    # The scales of a block are F16 as well; only weights of this size can overflow them.
    if peak > _F16_MAX and not validate(kind.number, out.ctypes.data, out.nbytes):
        raise _overflow(name, peak, kind)
    return out


def _overflow(name: str, peak: float, kind: TensorType) -> ArchitectureError:
    return ArchitectureError(
        f"{name[:100]} holds a weight of {peak:g}, too large for {kind.name} (F16 ends at "
        f"{_F16_MAX:g}).",
        "Use -q BF16 or -q F32.",
    )
