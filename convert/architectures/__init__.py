"""What the tensors mean: the registry of model families, one a file.

To add one: a module with a `FAMILY`, a line in `FAMILIES`, and a reference for its layout in
`convert/parity/references.py`.
"""

from __future__ import annotations

from convert.architectures import (
    bert,
    falcon,
    gemma2,
    gemma3,
    gpt2,
    gptneox,
    granite,
    llama,
    mistral,
    mixtral,
    olmo2,
    phi3,
    qwen2,
    qwen3,
    qwen3moe,
    smollm3,
    starcoder2,
)
from convert.architectures.family import Family
from convert.architectures.model import Model
from convert.architectures.unsupported import refuse_unsupported
from convert.checkpoints.checkpoint import Checkpoint
from convert.errors import ArchitectureError, UsageError

# The first that recognises a checkpoint reads it.
FAMILIES: tuple[Family, ...] = (
    llama.FAMILY,
    mistral.FAMILY,
    mixtral.FAMILY,
    qwen2.FAMILY,
    qwen3.FAMILY,
    qwen3moe.FAMILY,
    smollm3.FAMILY,
    olmo2.FAMILY,
    granite.FAMILY,
    gemma2.FAMILY,
    gemma3.FAMILY,
    phi3.FAMILY,
    gptneox.FAMILY,
    starcoder2.FAMILY,
    falcon.FAMILY,
    bert.FAMILY,
    gpt2.FAMILY,
)


def read_model(checkpoint: Checkpoint, arch: str | None = None) -> Model:
    """The model in `checkpoint`, in whichever family it is, or in `arch` if the user says so.

    Raises `ArchitectureError`.
    """
    if arch is not None:
        return _named(arch).read(checkpoint)
    refuse_unsupported(checkpoint)
    for family in FAMILIES:
        if family.recognise(checkpoint):
            return family.read(checkpoint)
    names = ", ".join(list(checkpoint.tensors)[:6])
    known = "; ".join(family.description for family in FAMILIES)
    raise ArchitectureError(
        f"The weights in {checkpoint.path.name} are of no family we know. The first tensors are: "
        f"{names[:400]}.",
        f"We convert: {known}.",
    )


def _named(arch: str) -> Family:
    for family in FAMILIES:
        if arch.lower() == family.name:
            return family
    names = ", ".join(family.name for family in FAMILIES)
    raise UsageError(f"There is no family {arch!r:.40}.", f"Families: {names}.")
