"""What the tensors mean: the registry of model families, one a file.

To add one: a module with a `FAMILY`, a line in `FAMILIES`, and a reference for its layout in
`convert/parity/references.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from difflib import get_close_matches

from convert.architectures import (
    bert,
    cohere2,
    deepseek,
    falcon,
    gemma,
    gemma2,
    gemma3,
    gemma3n,
    gemma4,
    glm4,
    gpt2,
    gpt_oss,
    gptneox,
    granite,
    granitemoe,
    lfm2,
    llama,
    mistral,
    mistral3,
    mixtral,
    modern_bert,
    nomic_bert,
    olmo2,
    olmo3,
    phi2,
    phi3,
    qwen2,
    qwen2moe,
    qwen3,
    qwen3moe,
    qwen35,
    smollm3,
    stablelm,
    starcoder2,
    t5,
)
from convert.architectures.elsewhere import known_elsewhere
from convert.architectures.family import Family
from convert.architectures.model import Model
from convert.architectures.pooling import find_pooling
from convert.architectures.unsupported import (
    UNSUPPORTED,
    refuse_by_names,
    refuse_elsewhere,
    refuse_heads,
    refuse_unsupported,
)
from convert.checkpoints.checkpoint import Checkpoint
from convert.errors import ArchitectureError, UsageError

# The first that recognises a checkpoint reads it.
FAMILIES: tuple[Family, ...] = (
    llama.FAMILY,
    mistral.FAMILY,
    mistral3.FAMILY,
    mixtral.FAMILY,
    qwen2.FAMILY,
    qwen2moe.FAMILY,
    qwen3.FAMILY,
    qwen3moe.FAMILY,
    qwen35.FAMILY,
    qwen35.MOE_FAMILY,
    smollm3.FAMILY,
    olmo2.FAMILY,
    olmo3.FAMILY,
    granite.FAMILY,
    gemma.FAMILY,
    gemma2.FAMILY,
    gemma3.FAMILY,
    gemma3n.FAMILY,
    gemma4.FAMILY,
    phi3.FAMILY,
    phi2.FAMILY,
    stablelm.FAMILY,
    glm4.FAMILY,
    cohere2.FAMILY,
    gpt_oss.FAMILY,
    lfm2.FAMILY,
    granitemoe.FAMILY,
    deepseek.FAMILY,
    gptneox.FAMILY,
    starcoder2.FAMILY,
    falcon.FAMILY,
    bert.FAMILY,
    modern_bert.FAMILY,
    nomic_bert.FAMILY,
    t5.FAMILY,
    gpt2.FAMILY,
)


def read_model(checkpoint: Checkpoint, arch: str | None = None) -> Model:
    """The model in `checkpoint`, in whichever family it is, or in `arch` if the user says so.

    Raises `ArchitectureError`, or `OpenQuestions` with everything that it leaves open.
    """
    with checkpoint.questions.together(checkpoint.path.name):
        return _read(checkpoint, arch)


def _read(checkpoint: Checkpoint, arch: str | None) -> Model:
    if arch is not None:
        family = _named(arch)
        refuse_other_family(checkpoint, family)
        return _try(family, checkpoint)
    refuse_unsupported(checkpoint)
    for family in FAMILIES:
        if family is gpt2.FAMILY and not gpt2.is_transformers(checkpoint):
            refuse_by_names(checkpoint)
            refuse_elsewhere(checkpoint)
        if family.recognise(checkpoint):
            return _try(family, checkpoint)
    raise _unknown(checkpoint)


def _try(family: Family, checkpoint: Checkpoint) -> Model:
    """What `family` reads in `checkpoint`; a configuration in another form than it has is told."""
    if not family.embeddings:
        refuse_heads(checkpoint)
    with told(checkpoint, family.name):
        return _pooled(checkpoint, family.read(checkpoint))


@contextmanager
def told(checkpoint: Checkpoint, name: str) -> Iterator[None]:
    """Turns what a configuration or tensors in another form than `name` has cause into a sentence.

    Raises `ArchitectureError`.
    """
    try:
        yield
    except (
        *(AttributeError, TypeError, ValueError, KeyError, IndexError, ArithmeticError),
        RuntimeError,  # PyTorch's word for shapes that do not fit, when a model is measured
    ) as error:
        raise ArchitectureError(
            f"{checkpoint.path.name} cannot be read as {name}: something in its "
            f"configuration or tensors is in another form ({type(error).__name__}: "
            f"{str(error)[:120]}).",
            "Is it that family? --arch takes another.",
        ) from error


def _pooled(checkpoint: Checkpoint, model: Model) -> Model:
    """`model`, with the pooling where sentence-transformers makes embeddings with a decoder."""
    pooling = None if model.embeddings else find_pooling(checkpoint.folder)
    if pooling is None:
        return model
    return replace(
        model,
        hparams=model.hparams | {"pooling_type": pooling},
        notes=(*model.notes, "Makes embeddings (`chatapp embed`), as modules.json says."),
    )


def refuse_other_family(checkpoint: Checkpoint, family: Family) -> None:
    """Raise `ArchitectureError` where the configuration names a model that we know to be another
    than `family`: its tensors may be named alike and still mean something else."""
    kind = checkpoint.config.get("model_type")
    if not isinstance(kind, str) or family.recognise(checkpoint):
        return
    others = [other.name for other in FAMILIES if other.recognise(checkpoint)]
    if kind not in UNSUPPORTED and not others and not known_elsewhere(checkpoint):
        return
    raise ArchitectureError(
        f"{checkpoint.path.name} says its model_type is {kind!r:.40}, which is no {family.name}.",
        f"Without --arch it is read as {others[0]}."
        if others
        else f"If its config.json is not its own: --set model_type={family.name}.",
    )


def is_hand_written(checkpoint: Checkpoint, arch: str | None = None) -> bool:
    """Whether `read_model` reads it by the roles of its tensors, in a form to be found out.

    Raises `ArchitectureError` for tensors named as in a model that we do not convert.
    """
    if arch is not None:
        if arch.lower() != "gpt2" or gpt2.is_transformers(checkpoint):
            return False
        refuse_other_family(checkpoint, gpt2.FAMILY)
        return True
    refuse_unsupported(checkpoint)
    others = FAMILIES[: FAMILIES.index(gpt2.FAMILY)]
    if any(family.recognise(checkpoint) for family in others):
        return False
    found = gpt2.is_hand_written(checkpoint)
    if found:
        refuse_by_names(checkpoint)  # before anybody's model is taken for a hand-written one
        refuse_elsewhere(checkpoint)
    return found


def _unknown(checkpoint: Checkpoint) -> ArchitectureError:
    """The refusal of a model without a family: what it calls itself, and what it resembles."""
    where, kind = checkpoint.path.name, checkpoint.config.get("model_type")
    known = f"We convert: {'; '.join(family.description for family in FAMILIES)}."
    if isinstance(kind, str):
        unnamed = {key: value for key, value in checkpoint.config.items() if key != "model_type"}
        plain = replace(checkpoint, config=unnamed)
        near = next((family for family in FAMILIES if family.recognise(plain)), None)
        message = f"{where} says its model_type is {kind!r:.40}, which we do not know."
        if near is not None:
            message += (
                f" Its tensors are named as in {near.name}, which does not say that they mean the "
                "same: whoever gave it a type of its own may have changed what it computes."
            )
        return ArchitectureError(message, known)
    names = ", ".join(list(checkpoint.tensors)[:6])
    return ArchitectureError(
        f"The weights in {where} are of no family we know. The first tensors are: {names[:400]}.",
        known,
    )


def _named(arch: str) -> Family:
    for family in FAMILIES:
        if arch.lower() == family.name:
            return family
    names = [family.name for family in FAMILIES]
    near = get_close_matches(arch.lower(), names, n=1)
    raise UsageError(
        f"There is no family {arch!r:.40}{f'; nearest is {near[0]}' if near else ''}.",
        f"Families: {', '.join(names)}.",
    )
