"""How much each column of a matrix matters, measured on text: what the smallest types need.

llama.cpp runs the model in its source's precision and shows us the input of every matrix product;
we sum its squares by column, as llama.cpp's own llama-imatrix does. No PyTorch is needed. The
struct read here is checked against llama.cpp's own functions first: another layout is an error,
never a wrong number.
"""

from __future__ import annotations

import ctypes
from functools import cache
from pathlib import Path
from typing import Any

import llama_cpp.llama_cpp as C  # noqa: N812  (a C library)
import numpy as np
from llama_cpp._ggml import libggml
from numpy.typing import NDArray

from convert.errors import OutputError, ProofError, UsageError
from convert.libllama import ModelFile
from convert.progress import Progress

_F32 = 0  # GGML_TYPE_F32
_WINDOW = 512
_MAX_TOKENS = 131_072  # llama-imatrix's usual 250 chunks of 512; more changes little
_MIN_TOKENS = 16  # fewer say nothing about any column


class _Tensor(ctypes.Structure):
    """`struct ggml_tensor` of ggml.h, as far as `name`."""


_Tensor._fields_ = [
    ("type", ctypes.c_int),
    ("buffer", ctypes.c_void_p),
    ("ne", ctypes.c_int64 * 4),
    ("nb", ctypes.c_size_t * 4),
    ("op", ctypes.c_int),
    ("op_params", ctypes.c_int32 * 16),
    ("flags", ctypes.c_int32),
    ("src", ctypes.POINTER(_Tensor) * 10),
    ("view_src", ctypes.c_void_p),
    ("view_offs", ctypes.c_size_t),
    ("data", ctypes.c_void_p),
    ("name", ctypes.c_char * 64),
]


class _Sums:
    """Squares by column of every matrix's input, and how many rows they are of."""

    def __init__(self) -> None:
        self.squares: dict[str, NDArray[np.float64]] = {}
        self.counts: dict[str, NDArray[np.int64]] = {}
        self.problem = ""

    def observe(self, address: int, ask: bool, _: Any) -> bool:
        """llama.cpp's callback: whether a result is wanted, then the result."""
        tensor = _Tensor.from_address(address)
        kind = _ggml().ggml_op_desc(address)
        if ask:
            return self._is_wanted(tensor, kind)
        try:
            if kind == b"MUL_MAT":
                self._add(tensor)
            else:
                self._add_experts(tensor)
        except ValueError as error:  # raised in a callback it would be lost
            self.problem = str(error)
        return True

    def _is_wanted(self, tensor: _Tensor, kind: bytes) -> bool:
        if kind not in (b"MUL_MAT", b"MUL_MAT_ID") or not tensor.src[0] or not tensor.src[1]:
            return False
        name = tensor.src[0].contents.name
        return bool(tensor.src[1].contents.type == _F32) and name.startswith((b"blk.", b"output."))

    def _add(self, tensor: _Tensor) -> None:
        weights, inputs = tensor.src[0].contents, _rows(tensor.src[1].contents)
        name, n_cols, n_matrices = weights.name.decode(), weights.ne[0], weights.ne[2]
        rows = inputs.reshape(-1, n_matrices, inputs.shape[-2], n_cols)
        sums = self.squares.setdefault(name, np.zeros(n_matrices * n_cols))
        for index in range(n_matrices):
            part = rows[:, index].reshape(-1, n_cols)
            part_sums = sums[index * n_cols : (index + 1) * n_cols]
            part_sums += np.einsum("ij,ij->j", part, part, dtype=np.float64)
        counts = self.counts.setdefault(name, np.zeros(1, np.int64))
        counts += rows.shape[0] * rows.shape[2]

    def _add_experts(self, tensor: _Tensor) -> None:
        weights, inputs = tensor.src[0].contents, _rows(tensor.src[1].contents)
        chosen = _ints(tensor.src[2].contents)  # [n_tokens, n_used]
        name, n_expert, n_cols = weights.name.decode(), weights.ne[2], weights.ne[0]
        sums = self.squares.setdefault(name, np.zeros(n_expert * n_cols)).reshape(n_expert, -1)
        counts = self.counts.setdefault(name, np.zeros(n_expert, np.int64))
        per_token = inputs.reshape(len(chosen), -1, n_cols)  # [n_tokens, 1 or n_used, n_cols]
        for slot in range(chosen.shape[1]):
            rows = per_token[:, slot % per_token.shape[1]].astype(np.float64)
            np.add.at(sums, chosen[:, slot], rows * rows)
            np.add.at(counts, chosen[:, slot], 1)


def collect(path: Path, text: str, progress: Progress) -> dict[str, NDArray[np.float32]]:
    """Mean square of each column's input [n_cols], or of each expert's, end to end, by tensor.

    `path` is a GGUF in the source's precision. Raises `UsageError` when the text is too short, and
    `ProofError` when the model makes numbers that are not finite of it.
    """
    sums = _Sums()
    observer = C.ggml_backend_sched_eval_callback(sums.observe)
    with ModelFile(path, observer=observer) as model:
        windows = _windows(model, text)
        run = model.logits if model.is_causal else model.embeddings
        for done, ids in enumerate(windows, 1):
            run(ids)
            progress("progress", step="imatrix", done=done, total=len(windows))
            if sums.problem:
                raise OutputError(f"The importance matrix cannot be measured: {sums.problem}.")
    found = {name: _mean(squares, sums.counts[name]) for name, squares in sums.squares.items()}
    for name, values in found.items():
        if not np.isfinite(values).all():
            raise ProofError(f"The inputs of {name} are not finite on this text (NaN or infinity).")
    return found


def _windows(model: ModelFile, text: str) -> list[list[int]]:
    """As llama-imatrix cuts it: whole windows, each beginning as the model's texts do."""
    ids = model.tokenize(text, add_special=True, parse_special=False)[:_MAX_TOKENS]
    if len(ids) < _MIN_TOKENS:
        raise UsageError(
            f"The text for the importance matrix has {len(ids)} tokens.",
            "Give some pages of text that the model is meant for.",
        )
    size = min(_WINDOW, model.n_ctx_train)
    windows = [ids[at : at + size] for at in range(0, len(ids), size)]
    if len(windows) > 1 and len(windows[-1]) < size:
        windows.pop()
    if model.adds_bos:
        windows = [[ids[0], *window[1:]] for window in windows]
    return windows


def _mean(squares: NDArray[np.float64], counts: NDArray[np.int64]) -> NDArray[np.float32]:
    """Means; an expert that no token reached counts every column alike."""
    by_part = squares.reshape(len(counts), -1)
    means = np.where(counts[:, None] > 0, by_part / np.maximum(counts, 1)[:, None], 1.0)
    return np.ascontiguousarray(means.reshape(-1), np.float32)


def _rows(tensor: _Tensor) -> NDArray[np.float32]:
    """An F32 tensor's values, outermost axis first."""
    return _view(tensor, np.dtype(np.float32))


def _ints(tensor: _Tensor) -> NDArray[np.int32]:
    return _view(tensor, np.dtype(np.int32)).reshape(tensor.ne[1], tensor.ne[0])


def _view(tensor: _Tensor, dtype: np.dtype[Any]) -> NDArray[Any]:
    address = ctypes.addressof(tensor)
    n_bytes = sum((n - 1) * step for n, step in zip(tensor.ne, tensor.nb, strict=True))
    raw = np.empty(n_bytes + dtype.itemsize, np.uint8)
    ggml = _ggml()
    if ggml.ggml_get_name(address) != tensor.name or ggml.ggml_nbytes(address) != raw.nbytes:
        raise ValueError("this build of llama.cpp lays tensors out in another way")
    ggml.ggml_backend_tensor_get(address, raw.ctypes.data, 0, raw.nbytes)
    shape, strides = tuple(tensor.ne)[::-1], tuple(tensor.nb)[::-1]
    return np.lib.stride_tricks.as_strided(raw.view(dtype), shape, strides)


@cache
def _ggml() -> Any:
    """libggml, its functions declared."""
    address, size = ctypes.c_void_p, ctypes.c_size_t
    libggml.ggml_op_desc.restype = libggml.ggml_get_name.restype = ctypes.c_char_p
    libggml.ggml_nbytes.restype, libggml.ggml_backend_tensor_get.restype = size, None
    for function in (libggml.ggml_op_desc, libggml.ggml_get_name, libggml.ggml_nbytes):
        function.argtypes = [address]
    libggml.ggml_backend_tensor_get.argtypes = [address, address, size, size]
    return libggml
