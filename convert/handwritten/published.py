"""Judges a model under the names of somebody's published code: many people take the names and
change the code.

A trained model says itself whether it computes what the published code does. Where it clearly does
otherwise it is read as the hand-written model that it is, and what is open is asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from convert.architectures.model import Model
from convert.author.asked import Code
from convert.checkpoints.checkpoint import Checkpoint
from convert.errors import ArchitectureError, CodeError
from convert.handwritten.form import FACTORS, meaning
from convert.handwritten.reading import open_reading, read
from convert.handwritten.rest import AS_READ
from convert.handwritten.settling import settle
from convert.progress import Progress
from convert.vocab.vocabulary import Vocab

_LAYOUTS = frozenset({"meta", "llama2.c", "torchtune", "litgpt", "llama-names"})
_SCALED = "rope.scaling"


def settle_published(
    checkpoint: Checkpoint,
    model: Model,
    vocab: Vocab,
    text: Path | None,
    progress: Progress,
    code: Code | None,
    told: Mapping[str, Any],
) -> tuple[Checkpoint, Model]:
    """`checkpoint` and `model`, which its names say, or what its weights say that it is.

    Nothing is measured while something else is to be asked, nor where positions are scaled, which
    only large models have. `told` is what the user said.
    """
    scaled = any(key.startswith(_SCALED) for key in model.hparams)
    if model.layout not in _LAYOUTS or model.arch != "llama" or scaled:
        return checkpoint, model
    if checkpoint.questions.pending or any(t.name.startswith("rope_freqs") for t in model.tensors):
        return checkpoint, model
    config = checkpoint.config
    if config.get("rope_interleave") is False and "rope_interleave" not in told:
        config = {key: value for key, value in config.items() if key != "rope_interleave"}
    bare = replace(checkpoint, config=config)
    try:
        reading = open_reading(bare)
        settled = settle(bare, vocab, text, progress, code, told)
    except (ArchitectureError, CodeError) as error:
        if isinstance(error, ArchitectureError) and AS_READ in error.hint:
            raise  # trained, and in no form that we know
        return checkpoint, model  # no roles to be found, or what the proof will say
    usual = reading.choices.form().but(**reading.spelling.fixed)
    values = {name: one.value for name, one in settled.findings.items() if one.clear}
    values |= {name: value for name, value in reading.choices.said.items() if name != "n_head"}
    published = {*reading.spelling.fixed, "order", *FACTORS}
    odd = [
        meaning(name, value)
        for name, value in values.items()
        if name in published and value != (1.0 if name in FACTORS else usual.value(name))
    ]
    if odd or settled.questions.pending:
        note = (
            f"Under the names of {_name(model.layout)}, but it computes otherwise: "
            f"{'; '.join(odd)}."
        )
        notes = (*settled.notes, note) if odd else settled.notes
        settled = replace(settled, notes=notes)
        return settled, read(settled)
    if not settled.findings:  # it does not tell
        return replace(checkpoint, notes=settled.notes), model
    with suppress(ArchitectureError):  # more than our roles know, such as a table of theirs
        model = replace(model, assumptions=read(settled).assumptions)
    return replace(checkpoint, notes=settled.notes), model


def _name(layout: str) -> str:
    names = {"meta": "Meta's Llama", "llama-names": "transformers' Llama"}
    return names.get(layout, layout)
