"""`ckpt.pt` as torch.save writes it since PyTorch 1.6: a zip of one pickle and many storages.

It promises to read names and shapes only, to read a tensor's bytes when they are wanted, and to run
nothing. The optimizer's state, two thirds of a training checkpoint, is never read. PyTorch never
compresses an entry, so a compressed one is refused: that is how a zip bomb is made.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from convert.checkpoints.checkpoint import Checkpoint
from convert.checkpoints.inert import Stub
from convert.checkpoints.pickles import MAX_PICKLE, Machine
from convert.checkpoints.rebuilding import REBUILDERS
from convert.checkpoints.saved import as_checkpoint
from convert.checkpoints.storages import Storage, resolve
from convert.checkpoints.zip_directory import DamageError, locate, read_directory
from convert.errors import CheckpointError

NAME = "torch-zip"
DESCRIPTION = "PyTorch checkpoint (torch.save), such as nanoGPT's ckpt.pt"

_TORCHSCRIPT = (
    "is a TorchScript program, not a checkpoint",
    "Save the weights with torch.save(model.state_dict(), ...).",
)
# What else is a zip: (how a name in it ends, what it is, hint).
_STRANGERS: tuple[tuple[str, str, str], ...] = (
    ("constants.pkl", *_TORCHSCRIPT),
    ("archive_format", "is an exported PyTorch program, not a checkpoint", _TORCHSCRIPT[1]),
    (
        ".npy",
        "holds NumPy arrays, without the names PyTorch gives",
        "Save the weights with torch.save(model.state_dict(), ...).",
    ),
    (
        "model.weights.h5",
        "is a Keras model, not a PyTorch checkpoint",
        "Save the weights with PyTorch: Keras models are not read.",
    ),
)


def recognise(path: Path, head: bytes) -> bool:
    """Whether `path`, beginning with `head`, may be in this format."""
    return head.startswith(b"PK") and path.is_file()


def read(path: Path) -> Checkpoint:
    """The checkpoint in `path`. Raises `CheckpointError` with the reason it cannot be read."""
    archive = _Archive(path)
    machine = Machine(REBUILDERS, archive.resolve, path.name)
    root = machine.load(archive.read("data.pkl", MAX_PICKLE))
    return as_checkpoint(path, NAME, root, machine.unknown)


def load_root(path: Path) -> Any:
    """What was saved in `path`, in dicts, lists, scalars and stubs. Raises `CheckpointError`."""
    archive = _Archive(path)
    return Machine(REBUILDERS, archive.resolve, path.name).load(
        archive.read("data.pkl", MAX_PICKLE)
    )


class _Archive:
    """The entries of the zip, checked against the file's real size."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._storages: dict[str, Storage] = {}
        try:
            self._entries = read_directory(path)
        except DamageError as damage:
            size = path.stat().st_size
            raise CheckpointError(
                f"{path.name} is damaged or was not copied to the end "
                f"({size:,} bytes are there): {damage}.",
                "Copy it again, and compare the size with the original's.",
            ) from None
        self._prefix = self._find_prefix()
        if self._prefix + "byteorder" in self._entries and self.read("byteorder", 16) != b"little":
            raise CheckpointError(
                f"{path.name} was saved on a big-endian machine.",
                "Load and save it again with PyTorch on this machine.",
            )

    def _find_prefix(self) -> str:
        names = list(self._entries)
        for ending, kind, hint in _STRANGERS:
            if any(name.rpartition("/")[2].endswith(ending) for name in names):
                raise CheckpointError(f"{self._path.name} {kind}.", hint)
        roots = [name for name in names if name.count("/") == 1 and name.endswith("/data.pkl")]
        if len(roots) != 1:
            raise CheckpointError(
                f"{self._path.name} is a zip file, but not a PyTorch checkpoint.",
                "Give the file that torch.save wrote, for example nanoGPT's ckpt.pt.",
            )
        return roots[0].removesuffix("data.pkl")

    def _lie(self, reason: str) -> CheckpointError:
        return CheckpointError(
            f"{self._path.name} was not written by PyTorch, or is damaged: {reason}.",
            "Save the checkpoint again with torch.save.",
        )

    def _place(self, name: str) -> tuple[int, int]:
        """Where the entry's bytes begin, and how many there are."""
        entry = self._entries.get(self._prefix + name)
        if entry is None:
            raise self._lie(f"the entry {name[:80]!r} is missing")
        if not entry.is_plain:
            raise self._lie(f"the entry {name[:80]!r} is compressed")
        try:
            return locate(self._path, entry), entry.size
        except DamageError as damage:
            raise self._lie(str(damage)) from None

    def read(self, name: str, most: int) -> bytes:
        """The bytes of an entry that may have `most`."""
        offset, size = self._place(name)
        if size > most:
            raise self._lie(f"the entry {name!r} has {size:,} bytes")
        with self._path.open("rb") as file:
            file.seek(offset)
            return file.read(size)

    def resolve(self, pid: Any) -> Storage | Stub:
        """What a persistent id in the pickle names."""
        return resolve(pid, self._storage)

    def _storage(self, key: str, dtype: str, n_bytes: int) -> Storage:
        known = self._storages.get(key)
        if known is None:
            offset, size = self._place(f"data/{key}")
            known = self._storages[key] = Storage(self._path, key, dtype, size, offset)
        if known.dtype != dtype:
            raise self._lie(f"storage {key[:40]!r} has two types")
        if n_bytes > known.n_bytes:
            raise self._lie(f"storage {key[:40]!r} says {n_bytes:,} bytes, has {known.n_bytes:,}")
        return known
