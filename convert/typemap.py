"""Which tensor gets which type: asked of llama.cpp itself, before a weight is read.

A header without weights (a sparse file: gigabytes in length, kilobytes on the disk) goes through
`llama_model_quantize` as a dry run, whose log names every tensor's type. So the mixture is
llama.cpp's own, whatever its version.
"""

from __future__ import annotations

import ctypes
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import numpy as np
from gguf import GGMLQuantizationType, GGUFValueType, GGUFWriter

from chatapp.gguf.ggml_types import TYPES_BY_NAME, TensorType
from chatapp.gguf.header import padded
from convert.architectures.model import TOKEN_EMBEDDING, HParam, Model
from convert.checkpoints.gguf_file import open_header
from convert.checkpoints.packed import PackedTensor
from convert.errors import ArchitectureError
from convert.ftype import EXACT, FTYPES, FileType

_LINE = re.compile(
    r"\[ *\d+/ *\d+\] (\S+) .*?size = +[\d.]+ MiB(?: -> +[\d.]+ MiB \((\w+)\))?\s*\n"
)

Types = dict[str, TensorType]


class TypeMap:
    """llama.cpp's choice for one model; use as a context manager."""

    def __init__(self, model: Model) -> None:
        """Nothing is written before `__enter__`."""
        self._model = model
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._found: dict[tuple[str, bool], Types] = {}

    def __enter__(self) -> Self:
        self._folder = tempfile.TemporaryDirectory(prefix="chatapp-types-")
        _write_header(self._path, self._model)
        return self

    def __exit__(self, *_: object) -> None:
        assert self._folder is not None
        self._folder.cleanup()

    @property
    def _path(self) -> Path:
        assert self._folder is not None
        return Path(self._folder.name) / "header.gguf"

    def types(self, ftype: FileType, *, imatrix: bool = False) -> Types:
        """The type of every tensor in a file of `ftype`. `imatrix`: one will be given."""
        key = (ftype.name, imatrix)
        if key not in self._found:
            found = dry_run(self._path, ftype, imatrix=imatrix)
            self._found[key] = found | (self._packed if ftype.name in EXACT else {})
        return self._found[key]

    @property
    def _packed(self) -> Types:
        """What the source has in one of llama.cpp's types: no exact type is closer to it."""
        packed = [tensor for tensor in self._model.tensors if isinstance(tensor, PackedTensor)]
        return {tensor.name: _tensor_type(tensor.dtype) for tensor in packed}

    def size(self, ftype: FileType, *, imatrix: bool = False) -> int:
        """Bytes the tensors take in a file of `ftype`, padding included."""
        types = self.types(ftype, imatrix=imatrix or ftype.needs_imatrix)
        return weight_bytes(self._model, types)

    def sizes(self, *, imatrix: bool = False) -> dict[str, int]:
        """A model's size in bytes for every file type."""
        return {name: self.size(ftype, imatrix=imatrix) for name, ftype in FTYPES.items()}


def weight_bytes(model: Model, types: Types) -> int:
    """Bytes the tensors take, padding included."""
    return sum(padded(types[t.name].tensor_bytes(t.shape)) for t in model.tensors)


def dry_run(path: Path, ftype: FileType, *, imatrix: bool) -> Types:
    """llama.cpp's types for the tensors of the GGUF `path`. Raises `ArchitectureError`."""
    import llama_cpp.llama_cpp as C  # noqa: N812  (a C library)

    from convert.libllama import open_log

    params = C.llama_model_quantize_default_params()
    params.ftype, params.dry_run, params.allow_requantize = ftype.number, True, True
    entries = _no_matrix(C) if imatrix else None
    if entries is not None:
        params.imatrix = ctypes.cast(entries, type(params.imatrix))
    log = open_log()
    with log.listening() as heard:
        failed = C.llama_model_quantize(
            os.fsencode(path), os.fsencode(path.with_suffix(".none")), ctypes.byref(params)
        )
    if failed:
        raise ArchitectureError(f"llama.cpp cannot quantise this model: {log.reason()}.")
    return dict(_resolved(path, dict(_LINE.findall("".join(heard)))))


def _resolved(path: Path, found: dict[str, str]) -> Iterator[tuple[str, TensorType]]:
    """Tensors and types; those llama.cpp leaves alone keep the type they have in the file."""
    entries = {entry.name: entry for entry in open_header(path).tensors}
    if found.keys() != entries.keys():
        name = next(iter(entries.keys() ^ found.keys()))
        raise ArchitectureError(f"llama.cpp does not say how it would write {name[:100]!r}.")
    for name, kind in found.items():
        yield name, _tensor_type(kind or entries[name].kind)


def _tensor_type(name: str) -> TensorType:
    """The type of that name, in any case; of those nobody converts to as well, such as I32."""
    kind = TYPES_BY_NAME.get(name.upper())
    if kind is None:
        raise ArchitectureError(f"There is a tensor of {name[:40]}, which is not known.")
    return kind


def _no_matrix(C: Any) -> Any:  # noqa: N803  (a C library)
    """An importance matrix of one unused entry: llama.cpp asks only whether there is one."""
    value = (ctypes.c_float * 1)(1.0)
    entries = (C.llama_model_imatrix_data * 2)()
    entries[0].name, entries[0].data, entries[0].size = b"unused", value, 1
    return entries


def _write_header(path: Path, model: Model) -> None:
    writer = GGUFWriter(path, model.arch)
    writer.add_key_value(f"{model.arch}.vocab_size", _rows(model), GGUFValueType.UINT32)
    for key, value in model.hparams.items():
        if key != "vocab_size":
            add_value(writer, f"{model.arch}.{key}", value)
    offset = 0
    for tensor in model.tensors:
        size = 4 * tensor.n_weights
        writer.add_tensor_info(
            tensor.name,
            tensor.shape,
            np.dtype(np.float32),
            size,
            raw_dtype=GGMLQuantizationType.F32,
        )
        offset += padded(size)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    writer.close()
    os.truncate(path, padded(path.stat().st_size) + offset)


def add_value(writer: GGUFWriter, key: str, value: HParam) -> None:
    """One key in the type that llama.cpp reads it in."""
    if isinstance(value, str):
        writer.add_string(key, value)
    elif isinstance(value, list):
        writer.add_array(key, value)
    elif isinstance(value, bool):
        writer.add_bool(key, value)
    elif isinstance(value, int):
        writer.add_key_value(key, value, GGUFValueType.UINT32)
    else:
        writer.add_float32(key, value)


def _rows(model: Model) -> int:
    return next((t.shape[0] for t in model.tensors if t.name == TOKEN_EMBEDDING), 1)


@contextmanager
def type_map(model: Model) -> Iterator[TypeMap]:
    """`TypeMap`, opened. Raises `ArchitectureError` when the temporary folder is full."""
    try:
        with TypeMap(model) as found:
            yield found
    except OSError as error:
        raise ArchitectureError(
            f"The temporary folder cannot be used: {error.strerror or error}.", "Set TMPDIR."
        ) from error
