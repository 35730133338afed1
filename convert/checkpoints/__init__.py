"""How the bytes are stored: the registry of checkpoint formats, one a file.

To add one: a module with `NAME`, `DESCRIPTION`, `recognise(path, head)` and `read(path)`, and a
line in `FORMATS`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from convert.checkpoints import folder, safetensors, torch_zip
from convert.checkpoints.checkpoint import Checkpoint
from convert.checkpoints.leftovers import refuse_quantised
from convert.errors import CheckpointError, UsageError


class Format(Protocol):
    """What a format's module offers."""

    NAME: str
    DESCRIPTION: str

    def recognise(self, path: Path, head: bytes) -> bool:
        """Whether `path`, beginning with `head`, may be in this format."""

    def read(self, path: Path) -> Checkpoint:
        """The checkpoint in `path`, lazily."""


FORMATS: tuple[Format, ...] = (torch_zip, safetensors)

_IN_A_FOLDER = ("ckpt.pt", "checkpoint.pt", "model.pt", "ckpt.pth", "model.pth")
_LOOSE = ("*.pt", "*.pth", "*.ckpt", "*.safetensors", "*.bin")
_LEGACY_TORCH = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19"
# What else may begin a file that somebody takes for a checkpoint: (beginning, what it is, hint).
_STRANGERS: tuple[tuple[bytes, str, str], ...] = (
    (b"GGUF", "already a GGUF model file", "Open it with chatapp: chatapp --model FILE."),
    (
        _LEGACY_TORCH,
        "in PyTorch's format from before 1.6",
        "Load it in PyTorch and save it again with torch.save.",
    ),
    (b"\x80", "a bare pickle, not a file of torch.save", "Save the weights with torch.save."),
    (b"\x1f\x8b", "compressed with gzip", "Unpack it with gunzip first."),
    (
        b"version https://git-lfs",
        "a Git LFS pointer, not the file itself",
        "Run git lfs pull where it came from.",
    ),
    (b"<", "a web page, not a checkpoint", "The download went wrong: fetch the file again."),
)


def locate(source: Path) -> Path:
    """The checkpoint meant by `source`: itself, or the file inside the folder."""
    if source.is_dir():
        if folder.recognise(source):
            return source
        for name in _IN_A_FOLDER:
            if (source / name).is_file():
                return source / name
        loose = sorted(path for kind in _LOOSE for path in source.glob(kind))
        if len(loose) == 1:
            return loose[0]
        names = sorted(path.name for path in source.iterdir())
        seen = ", ".join(path.name for path in loose[:6]) or ", ".join(names[:8]) or "nothing"
        raise UsageError(
            f"No checkpoint found in {source}: looked for Hugging Face, litgpt and Meta files, "
            f"{', '.join(_IN_A_FOLDER)}; saw {seen[:300]}.",
            "Name the file to convert.",
        )
    if not source.exists():
        raise UsageError(f"{source} does not exist.", "Give a checkpoint file or its folder.")
    if not source.is_file():
        raise UsageError(f"{source} is not a regular file.", "Give a checkpoint file.")
    return source


def open_checkpoint(path: Path) -> Checkpoint:
    """Open `path` lazily, in whichever format it is. Raises `CheckpointError`."""
    try:
        if path.is_dir():
            return refuse_quantised(folder.read(path))
        with path.open("rb") as file:
            head = file.read(64)
        for known in FORMATS:
            if known.recognise(path, head):
                return refuse_quantised(folder.add_config(known.read(path)))
    except OSError as error:
        raise CheckpointError(
            f"{path} cannot be read: {error.strerror or error}.", "Check its permissions."
        ) from error
    raise diagnose(path, head)


def diagnose(path: Path, head: bytes) -> CheckpointError:
    """Why the file `path`, beginning with `head`, is no checkpoint that we read."""
    if not head:
        return CheckpointError(f"{path.name} is empty.", "Copy it again from where it was trained.")
    for beginning, kind, hint in _STRANGERS:
        if head.startswith(beginning):
            return CheckpointError(f"{path.name} is {kind}.", hint)
    known = "; ".join(known.DESCRIPTION for known in FORMATS)
    return CheckpointError(
        f"{path.name} is in no format we read (it begins with {head[:8].hex(' ')}).",
        f"We read: {known}.",
    )
