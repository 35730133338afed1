"""`ckpt.pt` as torch.save writes it since PyTorch 1.6: a zip of one pickle and many storages.

It promises to read names and shapes only, to map a tensor's bytes when they are wanted, and to run
nothing. The optimizer's state, two thirds of a training checkpoint, is never mapped. PyTorch never
compresses an entry, so a compressed one is refused: that is how a zip bomb is made.
"""

from __future__ import annotations

import struct
import zipfile
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.checkpoints.checkpoint import Checkpoint
from convert.checkpoints.inert import Global
from convert.checkpoints.pickles import Machine, Rebuild
from convert.checkpoints.state_dict import find_state_dict
from convert.checkpoints.tensor import NUMPY_TYPES, Tensor, stored
from convert.errors import CheckpointError

NAME = "torch-zip"
DESCRIPTION = "PyTorch checkpoint (torch.save), such as nanoGPT's ckpt.pt"

MAX_PICKLE = 256 << 20  # the names of a thousand-tensor checkpoint take under 1 MB
_LOCAL_HEADER = 30  # bytes before the name in a zip's local file header

# In this order: nanoGPT's `config` also holds the training's settings, so `model_args` goes first.
_CONFIG_KEYS = ("model_args", "model_config", "config", "hparams", "hyper_parameters", "args")

_STORAGES = {
    "DoubleStorage": "F64",
    "FloatStorage": "F32",
    "HalfStorage": "F16",
    "BFloat16Storage": "BF16",
    "LongStorage": "I64",
    "IntStorage": "I32",
    "ShortStorage": "I16",
    "CharStorage": "I8",
    "ByteStorage": "U8",
    "BoolStorage": "BOOL",
}


def recognise(path: Path, head: bytes) -> bool:
    """Whether `path`, beginning with `head`, may be in this format."""
    return head.startswith(b"PK") and path.is_file()


def read(path: Path) -> Checkpoint:
    """The checkpoint in `path`. Raises `CheckpointError` with the reason it cannot be read."""
    archive = _Archive(path)
    machine = Machine(_rebuilders(archive), archive.storage, path.name)
    root = machine.load(archive.pickle())
    state = find_state_dict(root, path.name, machine.unknown)
    notes = list(state.notes)
    if machine.unknown:
        listed = ", ".join(sorted(machine.unknown)[:8])
        notes.append(f"Objects of unknown classes were left unread: {listed}.")
    return Checkpoint(
        path, NAME, state.tensors, state.facts, tuple(notes), config=_find_config(state.facts)
    )


def _find_config(facts: dict[str, Any]) -> dict[str, Any]:
    """What was saved beside the weights to describe the model: nanoGPT's `model_args`, or other."""
    for key in _CONFIG_KEYS:
        value = facts.get(key)
        if isinstance(value, dict) and value:
            return value
    return {}


@dataclass(frozen=True)
class _Entry:
    offset: int
    size: int


@dataclass(frozen=True)
class _Storage:
    key: str
    dtype: str
    entry: _Entry


class _Archive:
    """The entries of the zip, checked against the file's real size."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._size = path.stat().st_size
        entries = self._directory()
        roots = [name for name in entries if name.count("/") == 1 and name.endswith("/data.pkl")]
        if len(roots) != 1:
            raise CheckpointError(
                f"{path.name} is a zip file, but not a PyTorch checkpoint.",
                "Give the file that torch.save wrote, for example nanoGPT's ckpt.pt.",
            )
        self._prefix = roots[0].removesuffix("data.pkl")
        self._entries = entries
        if self._prefix + "constants.pkl" in entries:
            raise CheckpointError(
                f"{path.name} is a TorchScript program, not a checkpoint.",
                "Save the weights with torch.save(model.state_dict(), ...).",
            )
        self._refuse_big_endian()

    def _directory(self) -> dict[str, zipfile.ZipInfo]:
        try:
            with zipfile.ZipFile(self.path) as archive:
                infos = archive.infolist()
        except (zipfile.BadZipFile, ValueError, struct.error, NotImplementedError, OverflowError):
            raise CheckpointError(
                f"{self.path.name} is damaged or was not copied to the end "
                f"({self._size:,} bytes are there).",
                "Copy it again, and compare the size with the original's.",
            ) from None
        entries = {info.filename: info for info in infos}
        if len(entries) != len(infos):
            raise self._lie("two entries have the same name")
        for info in infos:
            if info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size:
                raise self._lie(f"the entry {info.filename[:80]!r} is compressed")
            if info.header_offset + info.file_size > self._size:
                raise self._lie(f"the entry {info.filename[:80]!r} ends beyond the file")
        return entries

    def _lie(self, reason: str) -> CheckpointError:
        return CheckpointError(
            f"{self.path.name} was not written by PyTorch, or is damaged: {reason}.",
            "Save the checkpoint again with torch.save.",
        )

    def _refuse_big_endian(self) -> None:
        name = self._prefix + "byteorder"
        if name in self._entries and self._bytes(self._locate(name))[:16] != b"little":
            raise CheckpointError(
                f"{self.path.name} was saved on a big-endian machine.",
                "Load and save it again with PyTorch on this machine.",
            )

    def pickle(self) -> bytes:
        """The pickle that names the tensors."""
        entry = self._locate(self._prefix + "data.pkl")
        if entry.size > MAX_PICKLE:
            raise self._lie(f"its pickle has {entry.size:,} bytes")
        return self._bytes(entry)

    def _bytes(self, entry: _Entry) -> bytes:
        with self.path.open("rb") as file:
            file.seek(entry.offset)
            data = file.read(entry.size)
        if len(data) != entry.size:
            raise self._lie("an entry ends beyond the file")
        return data

    def _locate(self, name: str) -> _Entry:
        if name not in self._entries:
            raise self._lie(f"the entry {name[:80]!r} is missing")
        info = self._entries[name]
        with self.path.open("rb") as file:
            file.seek(info.header_offset)
            header = file.read(_LOCAL_HEADER)
        if len(header) < _LOCAL_HEADER or header[:4] != b"PK\x03\x04":
            raise self._lie(f"the entry {name[:80]!r} has no header")
        name_bytes, extra_bytes = struct.unpack_from("<HH", header, 26)
        offset = info.header_offset + _LOCAL_HEADER + name_bytes + extra_bytes
        if offset + info.file_size > self._size:
            raise self._lie(f"the entry {name[:80]!r} ends beyond the file")
        return _Entry(offset, info.file_size)

    def storage(self, pid: Any) -> _Storage:
        """The storage behind a persistent id: ('storage', type, key, location, numel)."""
        if not (isinstance(pid, tuple) and len(pid) == 5 and pid[0] == "storage"):
            raise TypeError("a reference to something that is no storage")
        _, kind, key, _, n_weights = pid
        if not (isinstance(kind, Global) and isinstance(key, str)):
            raise TypeError("a storage without type or key")
        dtype = _STORAGES.get(kind.name)
        if dtype is None:
            raise CheckpointError(
                f"{self.path.name} holds tensors of type {kind.name[:80]}, which is not read.",
                "Convert the weights to float32 or float16 in PyTorch and save them again.",
            )
        entry = self._locate(f"{self._prefix}data/{key}")
        needed = n_weights * np.dtype(NUMPY_TYPES[dtype]).itemsize
        if not isinstance(n_weights, int) or not 0 <= needed <= entry.size:
            raise self._lie(f"storage {key[:40]!r} says {needed:,} bytes and has {entry.size:,}")
        return _Storage(key, dtype, entry)

    def tensor(self, storage: _Storage, start: int, shape: Any, strides: Any) -> Tensor:
        """The tensor over `storage`, after checking that it stays inside it."""
        if not isinstance(storage, _Storage):
            raise TypeError("a tensor without a storage")
        itemsize = np.dtype(NUMPY_TYPES[storage.dtype]).itemsize
        available = storage.entry.size // itemsize
        shape, strides = _as_sizes(shape), _as_sizes(strides)
        if len(shape) != len(strides) or not isinstance(start, int) or start < 0:
            raise TypeError("a tensor whose shape and strides do not match")
        last = start + sum((n - 1) * stride for n, stride in zip(shape, strides, strict=True))
        # numel beyond the storage means a stride of 0: one weight shown a billion times
        if prod(shape) > available or (prod(shape) and last >= available):
            raise self._lie(f"a tensor of shape {shape} reaches beyond its {available:,} weights")
        entry, path = storage.entry, self.path

        def open_view() -> NDArray[Any]:
            if not prod(shape):
                return np.zeros(shape, NUMPY_TYPES[storage.dtype])
            data = np.memmap(path, np.uint8, "r", entry.offset, (available * itemsize,))
            flat = data.view(NUMPY_TYPES[storage.dtype])[start:]
            return np.lib.stride_tricks.as_strided(
                flat, shape, tuple(stride * itemsize for stride in strides), writeable=False
            )

        identity = (str(path), storage.key, start, shape, strides)
        return stored("", shape, storage.dtype, open_view, identity)


def _as_sizes(value: Any) -> tuple[int, ...]:
    if not isinstance(value, tuple | list) or len(value) > 8:
        raise TypeError("a tensor without a shape")
    if not all(isinstance(n, int) and 0 <= n < 1 << 48 for n in value):
        raise TypeError("a tensor with an impossible shape")
    return tuple(value)


def _rebuilders(archive: _Archive) -> dict[str, Rebuild]:
    """What the functions that torch.save names stand for."""

    def rebuild_tensor(storage: Any, start: Any, shape: Any, strides: Any, *_: Any) -> Tensor:
        return archive.tensor(storage, start, shape, strides)

    def rebuild_parameter(data: Any, *_: Any) -> Any:
        return data

    def rebuild_dict(pairs: Any = (), *_: Any) -> dict[Any, Any]:
        return {key: value for key, value in pairs if isinstance(key, str)}

    def rebuild_size(sizes: Any = (), *_: Any) -> tuple[int, ...]:
        return _as_sizes(sizes)

    return {
        "collections.OrderedDict": rebuild_dict,
        "torch._utils._rebuild_tensor": rebuild_tensor,
        "torch._utils._rebuild_tensor_v2": rebuild_tensor,
        "torch._utils._rebuild_parameter": rebuild_parameter,
        "torch._utils._rebuild_parameter_with_state": rebuild_parameter,
        "torch.Size": rebuild_size,
    }
