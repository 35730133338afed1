"""Llama 1 to 3.x in Hugging Face's spelling; other spellings are brought to it by `llama_names`.

The bare state dict of llama2.c, Meta or torchtune has its rows in pairs already, as llama.cpp wants
them: they are not reordered. A Hugging Face one has them in halves, and is.
"""

from dataclasses import replace

from convert.architectures import llama_names
from convert.architectures.decoder import Decoder, is_decoder, read_decoder
from convert.architectures.family import Family
from convert.architectures.model import Model
from convert.checkpoints.checkpoint import Checkpoint

DECODER = Decoder(
    arch="llama",
    title="a Llama",
    model_types=("llama",),
    pairs=True,
    biases=("q", "k", "v", "o", "gate", "up", "down"),
    default_theta=10000.0,
)


def recognise(checkpoint: Checkpoint) -> bool:
    """Whether config.json or the tensor names are a Llama's."""
    return is_decoder(checkpoint, DECODER) or llama_names.find(checkpoint) is not None


def read(checkpoint: Checkpoint) -> Model:
    """The model in `checkpoint`. Raises `ArchitectureError`."""
    spelling = llama_names.find(checkpoint)
    if spelling is None:
        return read_decoder(checkpoint, DECODER)
    renamed = llama_names.rename(checkpoint, spelling)
    model = read_decoder(renamed, replace(DECODER, pairs=not spelling.pairs, default_theta=None))
    evidence = (spelling.evidence, *model.evidence[1:])
    notes = (*model.notes, *spelling.notes)
    return replace(model, layout=spelling.layout, evidence=evidence, notes=notes)


FAMILY = Family(
    "llama", "Llama 1 to 3.x (Hugging Face, llama2.c, Meta, torchtune, litgpt)", recognise, read
)
