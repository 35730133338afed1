"""Granite 3: a Llama that scales embeddings, attention, every layer's output, and the logits."""

from convert.architectures.decoder import Decoder, Shape, decoder_family
from convert.architectures.model import HParam
from convert.architectures.settings import Settings

_KEYS = {
    "embedding_multiplier": "embedding_scale",
    "attention_multiplier": "attention.scale",
    "residual_multiplier": "residual_scale",
    "logits_scaling": "logit_scale",
}


def scales(settings: Settings, shape: Shape) -> dict[str, HParam]:
    """The keys of Granite's four factors."""
    # 1.0 is transformers' own value where config.json names none, for attention too
    keys: dict[str, HParam] = {
        ours: settings.number(theirs, default=1.0) for theirs, ours in _KEYS.items()
    }
    return keys | {"vocab_size": shape.n_vocab}


DECODER = Decoder(
    arch="granite",
    title="a Granite",
    model_types=("granite",),
    pairs=True,
    biases=("q", "k", "v", "o", "gate", "up", "down"),
    default_theta=10000.0,
    switches=tuple(_KEYS),
    own_keys=scales,
)

FAMILY = decoder_family("granite", "Granite 3", DECODER)
