"""Writes tensors: rows are read, quantised on every core, and written in order.

It promises that memory follows a few blocks of rows, whatever the model's size, and that a
cancelled write ends within one block. Threads are enough: numpy and llama.cpp's kernels release the
GIL. What a GGUF holds in the wanted type already is copied as it is.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from chatapp.gguf.ggml_types import TensorType
from chatapp.gguf.header import ALIGNMENT, padded
from chatapp.gguf.processors import count_allowed_threads
from convert.checkpoints.packed import PackedTensor
from convert.checkpoints.tensor import BLOCK_WEIGHTS, Tensor
from convert.errors import OutputError
from convert.progress import Progress
from convert.quantize import quantize

Importance = Mapping[str, NDArray[np.float32]]
Task = tuple[Tensor, TensorType, int, int]


def write_tensors(
    file: BinaryIO,
    tensors: list[tuple[Tensor, TensorType]],
    importance: Importance,
    progress: Progress,
    alignment: int = ALIGNMENT,
) -> None:
    """Write all `tensors` after the header, padded. Raises `ConvertError` or `OSError`."""
    _pad(file, file.tell(), alignment)
    total, done = sum(kind.tensor_bytes(t.shape) for t, kind in tensors), 0
    for tensor, kind, data, last in _quantised(tensors, importance):
        file.write(data.data)
        done += data.nbytes
        progress("progress", step="write", done=done, total=total)
        if last:
            _pad(file, kind.tensor_bytes(tensor.shape), alignment)
    if done != total:
        raise OutputError(f"The tensors came out as {done} bytes, not {total}.")
    file.flush()


def _pad(file: BinaryIO, size: int, alignment: int) -> None:
    file.write(bytes(padded(size, alignment) - size))


def _quantised(
    tensors: list[tuple[Tensor, TensorType]], importance: Importance
) -> Iterator[tuple[Tensor, TensorType, NDArray[np.uint8], bool]]:
    """Blocks in order, each with whether it is its tensor's last."""
    n_threads = count_allowed_threads()
    waiting: deque[tuple[Task, Future[NDArray[np.uint8]]]] = deque()
    pool = ThreadPoolExecutor(n_threads)
    try:
        for task in _tasks(tensors):
            waiting.append((task, pool.submit(_work, task, importance)))
            if len(waiting) > 2 * n_threads:
                yield _finished(*waiting.popleft())
        while waiting:
            yield _finished(*waiting.popleft())
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _finished(task: Task, future: Future[NDArray[np.uint8]]) -> Any:
    tensor, kind, _, stop = task
    return tensor, kind, future.result(), stop == tensor.n_rows


def _tasks(tensors: list[tuple[Tensor, TensorType]]) -> Iterator[Task]:
    for tensor, kind in tensors:
        # a vector is one block; the rows of two experts never share one
        per_part = tensor.shape[-2] if len(tensor.shape) > 2 else tensor.n_rows
        step = max(1, BLOCK_WEIGHTS // max(1, tensor.n_cols))
        step = tensor.n_rows if len(tensor.shape) < 2 else step
        for first in range(0, tensor.n_rows, max(1, per_part)):
            for start in range(first, first + per_part, step):
                yield tensor, kind, start, min(start + step, first + per_part)


def _work(task: Task, importance: Importance) -> NDArray[np.uint8]:
    tensor, kind, start, stop = task
    if isinstance(tensor, PackedTensor) and tensor.dtype == kind.name:
        return tensor.packed(start, stop)
    rows = tensor.read(start, stop)
    if len(tensor.shape) < 2:
        rows = rows.reshape(1, -1)
    weights = importance.get(tensor.name)
    if weights is not None and len(tensor.shape) > 2:
        expert = start // tensor.shape[-2]
        weights = weights[expert * tensor.n_cols : (expert + 1) * tensor.n_cols]
    return quantize(rows, kind, tensor.origin or tensor.name, weights)
