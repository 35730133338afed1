"""Turns rows of float32 into a tensor type, with llama.cpp's own kernels.

It promises the bytes that llama.cpp's quantizer would write, tensor type by tensor type, and to
refuse what a type cannot hold: a weight that is not finite, or one beyond F16's range, which the
kernel would turn into infinity without a word. A kernel that misses its importances would end the
process, and one given too few would read beyond them: both are errors here.
"""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chatapp.gguf.ggml_types import TensorType
from convert.errors import ArchitectureError
from convert.ftype import BF16, F16, F32

_F16_MAX = 65504.0
# llama.cpp writes them for no tensor without importances (IQ2_S and IQ3_XXS it could).
_NEED_IMPORTANCE = frozenset({"IQ1_S", "IQ1_M", "IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ3_XXS"})


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


@cache
def _half_kernel() -> Any:
    """llama.cpp's F16 conversion for this processor, or None where the build keeps it elsewhere.

    Both of its kernels round to the nearest, ties to even; this one takes a tenth of the time.
    """
    from llama_cpp._ggml import libggml

    kernel = getattr(libggml, "ggml_cpu_fp32_to_fp16", None)
    if kernel is not None:
        kernel.restype, kernel.argtypes = None, [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64]
    return kernel


def quantize(
    rows: NDArray[np.float32],
    kind: TensorType,
    name: str,
    importance: NDArray[np.float32] | None = None,
) -> NDArray[np.uint8]:
    """Bytes of `rows` [n, n_cols] in `kind`; `name` is for errors. Releases the GIL.

    `importance` [n_cols] weighs each column's error. Raises `ArchitectureError`. Source:
    ggml_quantize_chunk.
    """
    _check_importance(importance, rows.shape[1], kind, name)
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
    if kind is F16 and (half := _half_kernel()) is not None:
        half(rows.ctypes.data, out.ctypes.data, rows.size)
        return out
    weights = None if importance is None else importance.ctypes.data
    quantize_chunk, validate = _kernels()
    written = quantize_chunk(kind.number, rows.ctypes.data, out.ctypes.data, 0, n, n_cols, weights)
    if written != out.nbytes:
        raise ArchitectureError(f"llama.cpp wrote {written} bytes for {name}, not {out.nbytes}.")
    # The scales of a block are F16 as well; only weights of this size can overflow them.
    if peak > _F16_MAX and not validate(kind.number, out.ctypes.data, out.nbytes):
        raise _overflow(name, peak, kind)
    return out


def _check_importance(
    importance: NDArray[np.float32] | None, n_cols: int, kind: TensorType, name: str
) -> None:
    if importance is None and kind.name in _NEED_IMPORTANCE:
        raise ArchitectureError(
            f"No importance was measured for {name[:100]}, and {kind.name} is not written without.",
            "Choose a larger type with -q.",
        )
    if importance is not None and importance.shape != (n_cols,):
        raise ArchitectureError(
            f"{importance.size} importances were measured for {name[:100]}, whose rows have "
            f"{n_cols} weights."
        )


def _overflow(name: str, peak: float, kind: TensorType) -> ArchitectureError:
    limit = "" if kind is BF16 else f" (F16, in which it keeps its scales, ends at {_F16_MAX:g})"
    limit = f" (which ends at {_F16_MAX:g})" if kind is F16 else limit
    return ArchitectureError(
        f"{name[:100]} holds a weight of {peak:g}, too large for {kind.name}{limit}.",
        "Use -q F32." if kind is BF16 else "Use -q BF16 or -q F32.",
    )
