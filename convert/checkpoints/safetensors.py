"""`.safetensors`: a length, a JSON header, and the bytes of every tensor one after another.

It promises to map a tensor only when it is wanted, and to believe nothing in the header that the
file's size contradicts. Source of the format: github.com/huggingface/safetensors.
"""

from __future__ import annotations

import json
import struct
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.checkpoints.checkpoint import Checkpoint
from convert.checkpoints.tensor import NUMPY_TYPES, Tensor, stored
from convert.errors import CheckpointError

NAME = "safetensors"
DESCRIPTION = "safetensors file"

MAX_HEADER = 100_000_000  # bytes, the format's own limit


def recognise(path: Path, head: bytes) -> bool:
    """Whether `path`, beginning with `head`, may be in this format."""
    return path.suffix == ".safetensors" or head[8:10] == b'{"'


def read(path: Path) -> Checkpoint:
    """The tensors of one file. Raises `CheckpointError`."""
    return Checkpoint(path, NAME, read_tensors(path))


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors in `path` by name. Raises `CheckpointError`."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(8)
        length = struct.unpack("<Q", head)[0] if len(head) == 8 else size
        if length > min(MAX_HEADER, size - 8):
            raise _damaged(path, f"its header of {length:,} bytes does not fit {size:,}")
        text = file.read(length)
    try:
        header = json.loads(text, object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise _damaged(path, f"its header is not JSON: {str(error)[:100]}") from None
    if not isinstance(header, dict):
        raise _damaged(path, "its header is no object")
    start = 8 + length
    return {
        name: _tensor(path, name, entry, start, size)
        for name, entry in header.items()
        if name != "__metadata__"
    }


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("one name twice")
    return found


def _damaged(path: Path, reason: str) -> CheckpointError:
    return CheckpointError(
        f"{path.name} is damaged or was not copied to the end: {reason}.",
        "Copy it again, and compare the size with the original's.",
    )


def _tensor(path: Path, name: str, entry: Any, start: int, size: int) -> Tensor:
    try:
        dtype, shape = entry["dtype"], tuple(entry["shape"])
        first, last = entry["data_offsets"]
    except (KeyError, TypeError, ValueError):
        raise _damaged(path, f"the entry of {name[:80]!r} is incomplete") from None
    if not isinstance(dtype, str) or dtype not in NUMPY_TYPES:
        raise CheckpointError(
            f"{path.name} holds {name[:80]} as {str(dtype)[:20]}, which is not read.",
            "Convert the weights to bfloat16, float16 or float32 first.",
        )
    if len(shape) > 8 or not all(type(n) is int and 0 <= n < 1 << 48 for n in shape):
        raise _damaged(path, f"{name[:80]!r} has an impossible shape")
    if type(first) is not int or type(last) is not int or not 0 <= first <= last <= size - start:
        raise _damaged(path, f"{name[:80]!r} ends beyond the file")
    if last - first != prod(shape) * np.dtype(NUMPY_TYPES[dtype]).itemsize:
        raise _damaged(path, f"{name[:80]!r} has {last - first:,} bytes, not those of {shape}")
    offset = start + first

    def open_array() -> NDArray[Any]:
        if not prod(shape):
            return np.zeros(shape, NUMPY_TYPES[dtype])
        data = np.memmap(path, np.uint8, "r", offset, (last - first,))
        return data.view(NUMPY_TYPES[dtype]).reshape(shape)

    return stored(name, shape, dtype, open_array, (str(path), offset, shape))
