"""A GGUF written again: its metadata byte for byte, its tensors in other types.

It promises every key as the source packs it, but for what changes with the type: the file's type,
the importance matrix, and a proof, which was of the source.
"""

from __future__ import annotations

from pathlib import Path
from struct import Struct

from chatapp.gguf.ggml_types import TensorType
from chatapp.gguf.header import ALIGNMENT, Header, padded
from convert.checkpoints.tensor import Tensor
from convert.errors import OutputError
from convert.ftype import FileType
from convert.metadata import QUANTIZATION_VERSION, REPORT_KEY
from convert.progress import Progress
from convert.writing import Importance, write_tensors

_U32, _U64 = Struct("<I"), Struct("<Q")
_UINT32, _STRING = 4, 8  # of `enum gguf_type`
_VERSION, _MATRIX = "general.quantization_version", "quantize.imatrix."
# A proof of the source is none of the copy.
_REPLACED = frozenset({"general.file_type", _VERSION, REPORT_KEY})


def pack_metadata(
    header: Header, ftype: FileType, dataset: str | None, n_entries: int
) -> list[bytes]:
    """Every key as it is packed. `dataset` is the text an importance matrix was measured on."""
    keys = []
    with header.path.open("rb") as file:
        for name, (start, stop) in header.spans.items():
            if name in _REPLACED or name.startswith(_MATRIX):
                continue
            file.seek(start)
            keys.append(file.read(stop - start))
    keys += [_number("general.file_type", ftype.number), _number(_VERSION, QUANTIZATION_VERSION)]
    if dataset is not None:  # as llama-quantize notes it
        value = dataset.encode("utf-8", "replace")
        keys.append(_text(f"{_MATRIX}dataset") + _U32.pack(_STRING) + _U64.pack(len(value)) + value)
        keys.append(_number(f"{_MATRIX}entries_count", n_entries))
    return keys


def _text(value: str) -> bytes:
    return _U64.pack(len(value)) + value.encode()


def _number(key: str, value: int) -> bytes:
    return _text(key) + _U32.pack(_UINT32) + _U32.pack(value)


def write_copy(
    path: Path,
    header: Header,
    metadata: list[bytes],
    tensors: list[tuple[Tensor, TensorType]],
    importance: Importance,
    progress: Progress,
) -> None:
    """Write the file of `header` with `metadata` and `tensors`. Raises `OutputError`."""
    alignment = header.integer("general.alignment") or ALIGNMENT
    try:
        with path.open("wb") as file:
            file.write(b"GGUF" + _U32.pack(3) + _U64.pack(len(tensors)) + _U64.pack(len(metadata)))
            file.writelines(metadata)
            offset = 0
            for tensor, kind in tensors:
                name, shape = tensor.name.encode(), tensor.shape[::-1]
                file.write(_U64.pack(len(name)) + name + _U32.pack(len(shape)))
                file.writelines(map(_U64.pack, shape))
                file.write(_U32.pack(kind.number) + _U64.pack(offset))
                offset += padded(kind.tensor_bytes(tensor.shape), alignment)
            write_tensors(file, tensors, importance, progress, alignment)
    except OSError as error:
        raise OutputError(
            f"{path} cannot be written: {error.strerror or error}.",
            "Free some space or choose another folder with -o.",
        ) from error
