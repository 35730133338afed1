"""The tensors of a GGUF file, as those of a checkpoint: lazy, and decoded as rows are read.

It promises float32 whatever the type, and the bytes as they lie in the file to whoever wants the
same type again: decoding and quantising once more would change them.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from gguf import GGMLQuantizationType
from numpy.typing import NDArray

from chatapp.gguf.errors import GgufError
from chatapp.gguf.header import Header, TensorEntry, read_header
from convert.checkpoints.packed import PackedTensor
from convert.checkpoints.tensor import Tensor
from convert.errors import CheckpointError

_UNCODED = {"F64": "<f8", "I8": "<i1", "I16": "<i2", "I32": "<i4", "I64": "<i8"}


def open_header(path: Path) -> Header:
    """The header of the GGUF `path`. Raises `CheckpointError`."""
    try:
        return read_header(path)
    except GgufError as error:
        raise CheckpointError(error.message, error.hint) from error


def read_tensors(header: Header) -> dict[str, Tensor]:
    """Every tensor by its name. Raises `CheckpointError`, also where there is none."""
    if not header.tensors:
        raise CheckpointError(
            f"{header.path.name} holds a vocabulary or metadata, and no weights.",
            "Give the model file itself.",
        )
    if (header.integer("split.count") or 1) > 1:
        raise CheckpointError(
            f"{header.path.name} is one shard of several.",
            "Join them with llama.cpp's llama-gguf-split --merge.",
        )
    return {entry.name: _packed(header.path, entry) for entry in header.tensors}


def _packed(path: Path, entry: TensorEntry) -> PackedTensor:
    if not entry.n_bytes:
        raise CheckpointError(f"{entry.name[:100]} is of {entry.kind}, which is not known.")
    is_vector = len(entry.shape) < 2
    # all of a vector is one row to its type
    n_rows = 1 if is_vector else entry.n_weights // entry.shape[-1]
    decode = _decoder(entry)

    def rows(start: int, stop: int) -> NDArray[np.uint8]:
        n_bytes = entry.n_bytes // n_rows
        try:
            return np.fromfile(
                path, np.uint8, (stop - start) * n_bytes, offset=entry.offset + start * n_bytes
            ).reshape(stop - start, n_bytes)
        except (OSError, ValueError) as error:
            raise CheckpointError(f"{path} cannot be read: {error}.") from error

    def read(start: int, stop: int) -> NDArray[np.float32]:
        if is_vector:
            return np.ascontiguousarray(decode(rows(0, 1)).reshape(-1, 1)[start:stop])
        return np.ascontiguousarray(decode(rows(start, stop)).reshape(stop - start, -1))

    def packed(start: int, stop: int) -> NDArray[np.uint8]:
        return (rows(0, 1) if is_vector else rows(start, stop)).reshape(-1)

    identity = (str(path), entry.offset)
    return PackedTensor(entry.name, entry.shape, entry.kind, read, identity, packed=packed)


def _decoder(entry: TensorEntry) -> Callable[[NDArray[Any]], NDArray[np.float32]]:
    if entry.kind in _UNCODED:
        return partial(_cast, dtype=_UNCODED[entry.kind])
    kind = GGMLQuantizationType[entry.kind]

    def decode(data: NDArray[Any]) -> NDArray[np.float32]:
        try:
            rows: NDArray[np.float32] = gguf.quants.dequantize(data, kind)
        except NotImplementedError:
            raise CheckpointError(
                f"{entry.name[:100]} is of {entry.kind}, which cannot be decoded."
            ) from None
        return rows

    return decode


def _cast(data: NDArray[Any], dtype: str) -> NDArray[np.float32]:
    return data.view(dtype).astype(np.float32)
