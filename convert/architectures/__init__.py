"""What the tensors mean: the registry of model families, one a file.

To add one: a module with `NAME`, `DESCRIPTION`, `recognise(checkpoint)` and `read(checkpoint)`, a
line in `FAMILIES`, and a reference for its layout in `convert/parity/references.py`.
"""

from __future__ import annotations

from typing import Protocol

from convert.architectures import gpt2
from convert.architectures.model import Model
from convert.checkpoints.checkpoint import Checkpoint
from convert.errors import ArchitectureError, UsageError


class Family(Protocol):
    """What a family's module offers."""

    NAME: str
    DESCRIPTION: str

    def recognise(self, checkpoint: Checkpoint) -> bool:
        """Whether the tensor names belong to this family."""

    def read(self, checkpoint: Checkpoint) -> Model:
        """The model, or an `ArchitectureError` naming the first thing that does not fit."""


FAMILIES: tuple[Family, ...] = (gpt2,)


def read_model(checkpoint: Checkpoint, arch: str | None = None) -> Model:
    """The model in `checkpoint`, in whichever family it is, or in `arch` if the user says so.

    Raises `ArchitectureError`.
    """
    if arch is not None:
        return _named(arch).read(checkpoint)
    for family in FAMILIES:
        if family.recognise(checkpoint):
            return family.read(checkpoint)
    names = ", ".join(list(checkpoint.tensors)[:6])
    known = "; ".join(family.DESCRIPTION for family in FAMILIES)
    raise ArchitectureError(
        f"The weights in {checkpoint.path.name} are of no family we know. The first tensors are: "
        f"{names[:400]}.",
        f"We convert: {known}.",
    )


def _named(arch: str) -> Family:
    for family in FAMILIES:
        if arch.lower() == family.NAME:
            return family
    names = ", ".join(family.NAME for family in FAMILIES)
    raise UsageError(f"There is no family {arch!r:.40}.", f"Families: {names}.")
