"""`.safetensors`: a length, a JSON header, and the bytes of every tensor one after another.

It promises to read a tensor only when it is wanted, and to believe nothing in the header that the
file's size contradicts. The format's own package is not used: it has no bfloat16 without torch.
Source of the format: github.com/huggingface/safetensors.
"""

from __future__ import annotations

import struct
from math import prod
from pathlib import Path
from typing import Any

from convert.checkpoints.checkpoint import Checkpoint
from convert.checkpoints.objects import MAX_OBJECT, parse_json
from convert.checkpoints.tensor import NUMPY_TYPES, Tensor, fits, in_file, item_bytes
from convert.errors import CheckpointError

NAME = "safetensors"
DESCRIPTION = "safetensors file"

_MAX_NAME = 1000  # characters


def recognise(path: Path, head: bytes) -> bool:
    """Whether `path`, beginning with `head`, may be in this format."""
    pointer = head.startswith((b"version https://git-lfs", b"<", b"PK", b"GGUF"))
    return (path.suffix == ".safetensors" and len(head) > 0 and not pointer) or (
        head[8:9] == b"{" and head[5:8] == b"\0\0\0"
    )


def read(path: Path) -> Checkpoint:
    """The tensors of one file. Raises `CheckpointError`."""
    header, start = _read_header(path)
    size = path.stat().st_size
    said = header.pop("__metadata__", None)
    facts = said if isinstance(said, dict) else {}
    if not header:
        raise CheckpointError(
            f"{path.name} holds no tensors.", "Copy it again from where it was trained."
        )
    tensors = {name: _tensor(path, name, entry, start, size) for name, entry in header.items()}
    return Checkpoint(path, NAME, tensors, facts)


def _read_header(path: Path) -> tuple[dict[str, Any], int]:
    """The header's object, and where the tensors' bytes begin."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(8)
        length = struct.unpack("<Q", head)[0] if len(head) == 8 else size
        if length > size - 8:
            raise _damaged(path, f"its header of {length:,} bytes does not fit {size:,}")
        if length > MAX_OBJECT:
            raise _damaged(path, f"its header has {length:,} bytes")
        text = file.read(length)
    try:
        header = parse_json(text)
    except (ValueError, RecursionError) as error:
        raise _damaged(path, f"its header is not JSON: {str(error)[:100]}") from None
    if not isinstance(header, dict):
        raise _damaged(path, "its header is no object")
    return header, 8 + length


def _damaged(path: Path, reason: str) -> CheckpointError:
    return CheckpointError(
        f"{path.name} is damaged or was not copied to the end: {reason}.",
        "Copy it again, and compare the size with the original's.",
    )


def _tensor(path: Path, name: str, entry: Any, start: int, size: int) -> Tensor:
    if not 0 < len(name) <= _MAX_NAME:
        raise _damaged(path, f"{name[:80]!r} is no name")
    try:
        dtype, shape = entry["dtype"], tuple(entry["shape"])
        first, last = entry["data_offsets"]
    except (KeyError, TypeError, ValueError):
        raise _damaged(path, f"the entry of {name[:80]!r} is incomplete") from None
    if not isinstance(dtype, str) or dtype not in NUMPY_TYPES:
        raise CheckpointError(
            f"{path.name} holds {name[:80]!r} as {str(dtype)[:20]!r}, which is not read.",
            "Convert the weights to bfloat16, float16 or float32 first.",
        )
    if not fits(shape):
        raise _damaged(path, f"{name[:80]!r} has an impossible shape")
    if type(first) is not int or type(last) is not int or not 0 <= first <= last <= size - start:
        raise _damaged(path, f"{name[:80]!r} ends beyond the file")
    if last - first != prod(shape) * item_bytes(dtype):
        raise _damaged(path, f"{name[:80]!r} has {last - first:,} bytes, not those of {shape}")
    offset = start + first
    return in_file(name, shape, dtype, lambda: (path, offset), (str(path), offset, shape))
