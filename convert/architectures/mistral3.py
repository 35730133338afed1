"""Mistral Small 3.1 and Ministral 3: the language model of a checkpoint that sees pictures.

The language model of the former is a Mistral. Ministral 3 scales rope by YaRN, and queries by the
logarithm of their position.
"""

from dataclasses import replace

from convert.architectures import mistral
from convert.architectures.decoder import Decoder, Shape, is_decoder, read_decoder
from convert.architectures.family import Family
from convert.architectures.model import HParam, Model
from convert.architectures.rope import rope_parameters
from convert.architectures.settings import Settings
from convert.architectures.text_part import text_part
from convert.checkpoints.checkpoint import Checkpoint
from convert.errors import ArchitectureError


def _own_keys(settings: Settings, shape: Shape) -> dict[str, HParam]:  # noqa: ARG001  (a hook)
    rope = rope_parameters(settings)
    beta, original = rope.get("llama_4_scaling_beta"), rope.get("original_max_position_embeddings")
    if not beta:
        return {}
    if type(beta) not in (int, float) or type(original) is not int or original <= 0:
        raise ArchitectureError(
            f"llama_4_scaling_beta is {beta!r:.40} and original_max_position_embeddings "
            f"{original!r:.40}: queries cannot be scaled by them."
        )
    return {
        "attention.temperature_scale": float(beta),
        "rope.scaling.original_context_length": original,
    }


MINISTRAL = Decoder(
    arch="mistral3",
    title="a Ministral 3",
    model_types=("ministral3",),
    pairs=True,
    own_keys=_own_keys,
)


def recognise(checkpoint: Checkpoint) -> bool:
    """Whether config.json names this family, with its vision tower or without."""
    return checkpoint.config.get("model_type") == "mistral3" or is_decoder(checkpoint, MINISTRAL)


def read(checkpoint: Checkpoint) -> Model:
    """The model in `checkpoint`. Raises `ArchitectureError`."""
    text, seen = text_part(checkpoint, "mistral")
    decoders = {"mistral": mistral.DECODER, "ministral3": MINISTRAL}
    kind = Settings(text).text("model_type", default="ministral3")
    if kind not in decoders:
        raise ArchitectureError(
            f"The language model in {checkpoint.path.name} is of the type {kind[:40]}, no Mistral."
        )
    model = read_decoder(text, decoders[kind])
    return replace(model, ignored=(*model.ignored, *seen))


FAMILY = Family("mistral3", "Mistral Small 3.1 and Ministral 3 (text)", recognise, read)
