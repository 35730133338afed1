"""PyTorch's format from before 1.6: several pickles, then the bytes of every storage.

It promises what `torch_zip` promises, with the same machine. The surprise: the order of the
storages is known only after the pickle that uses them, so a tensor learns late where its bytes are.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any, BinaryIO

from convert.checkpoints.checkpoint import Checkpoint
from convert.checkpoints.inert import Global
from convert.checkpoints.pickles import MAX_PICKLE, Machine, Stream
from convert.checkpoints.rebuilding import REBUILDERS
from convert.checkpoints.saved import as_checkpoint
from convert.checkpoints.storages import Storage, resolve
from convert.checkpoints.tensor import item_bytes
from convert.errors import CheckpointError

NAME = "torch-legacy"
DESCRIPTION = "PyTorch checkpoint from before 1.6"

# LONG1 of 10 bytes: torch's magic number 0x1950A86A20F9469CFC6C, in any protocol from 2 on.
_MAGIC = b"\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19"
_VERSION = 1001


def recognise(path: Path, head: bytes) -> bool:
    """Whether `path`, beginning with `head`, may be in this format."""
    return head[:1] == b"\x80" and _MAGIC in head[:32] and path.is_file()


def read(path: Path) -> Checkpoint:
    """The checkpoint in `path`. Raises `CheckpointError` with the reason it cannot be read."""
    storages: dict[str, Storage] = {}

    def make(key: str, dtype: str, n_bytes: int) -> Storage:
        known = storages.setdefault(key, Storage(path, key, dtype, n_bytes))
        if known.dtype != dtype or known.n_bytes != n_bytes:
            raise TypeError("one storage in two sizes")
        return known

    def named(pid: Any) -> Any:
        if isinstance(pid, tuple) and len(pid) == 4 and pid[0] == "module":
            return pid[1] if isinstance(pid[1], Global) else None  # a class, with its source
        if isinstance(pid, tuple) and len(pid) == 6 and pid[5] is not None:
            raise TypeError("a view of a storage, as PyTorch before 0.4 wrote it")
        return resolve(pid, make)

    with path.open("rb") as file:
        stream = Stream(file, MAX_PICKLE)
        _magic, version, system = (_load(stream, path) for _ in range(3))
        if version != _VERSION:
            raise _damaged(path, "its version is unknown")
        if not isinstance(system, dict) or system.get("little_endian") is not True:
            raise CheckpointError(
                f"{path.name} was saved on a big-endian machine.",
                "Load and save it again with PyTorch on this machine.",
            )
        machine = Machine(REBUILDERS, named, path.name)
        root = machine.load(stream)
        keys = _load(stream, path)
        if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
            raise _damaged(path, "its list of storages is no list")
        _place(file, path, keys, storages)
    return as_checkpoint(path, NAME, root, machine.unknown)


def _load(stream: Stream, path: Path) -> Any:
    def refuse(_: Any) -> Any:
        raise TypeError("a tensor where none belongs")

    return Machine({}, refuse, path.name).load(stream)


def _place(file: BinaryIO, path: Path, keys: list[str], storages: dict[str, Storage]) -> None:
    """Tell every storage where it lies: for each key a count of 8 bytes, then the weights."""
    size, at = path.stat().st_size, file.tell()
    for key in keys:
        storage = storages.get(key)
        file.seek(at)
        head = file.read(8)
        if storage is None or storage.offset >= 0 or len(head) < 8:
            raise _damaged(path, "its storages are not those of its tensors")
        count: int = struct.unpack("<q", head)[0]
        if count * item_bytes(storage.dtype) != storage.n_bytes:
            raise _damaged(path, f"storage {key[:40]!r} has {count:,} weights")
        storage.offset = at + 8
        at += 8 + storage.n_bytes
        if at > size:
            raise CheckpointError(
                f"{path.name} is damaged or was not copied to the end ({size:,} bytes are there).",
                "Copy it again, and compare the size with the original's.",
            )


def _damaged(path: Path, reason: str) -> CheckpointError:
    return CheckpointError(
        f"{path.name} was not written by PyTorch, or is damaged: {reason}.",
        "Save the checkpoint again with torch.save.",
    )
