"""The registry of formats of a single file.

To add one: a module with `NAME`, `DESCRIPTION`, `recognise(path, head)` and `read(path)`, and a
line in `FORMATS`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from convert.checkpoints import safetensors, torch_legacy, torch_zip
from convert.checkpoints.checkpoint import Checkpoint
from convert.checkpoints.strangers import diagnose
from convert.errors import CheckpointError

HEAD = 512  # bytes that tell a format; tar is known by its 257th


class Format(Protocol):
    """What the module of a file format offers."""

    NAME: str
    DESCRIPTION: str

    def recognise(self, path: Path, head: bytes) -> bool:
        """Whether `path`, beginning with `head`, may be in this format."""

    def read(self, path: Path) -> Checkpoint:
        """The checkpoint in `path`, whose weights are read when they are needed."""


FORMATS: tuple[Format, ...] = (torch_zip, torch_legacy, safetensors)


def read_file(path: Path) -> Checkpoint:
    """The checkpoint in one file, in whichever format it is. Raises `CheckpointError`."""
    if not path.is_file():  # a pipe would be waited for, a device never ends
        raise CheckpointError(f"{path.name} is not a regular file.", "Give a checkpoint file.")
    try:
        with path.open("rb") as file:
            head = file.read(HEAD)
        for known in FORMATS:
            if known.recognise(path, head):
                return known.read(path)
    except OSError as error:
        raise CheckpointError(
            f"{path} cannot be read: {error.strerror or error}.", "Check its permissions."
        ) from error
    raise diagnose(path, head, "; ".join(known.DESCRIPTION for known in FORMATS))
