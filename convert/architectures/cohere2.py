"""Command R and Command R7B (Cohere 1 and 2): LayerNorm without biases, attention beside the MLP.

Both rotate neighbouring pairs and write with their embedding, scaled. Cohere 2 has rope only where
attention slides, and no positions where it does not.
"""

from dataclasses import replace

from convert.architectures.decoder import Decoder, Shape, is_decoder, read_decoder
from convert.architectures.family import Family
from convert.architectures.model import HParam, Model
from convert.architectures.settings import Settings
from convert.checkpoints.checkpoint import Checkpoint
from convert.errors import ArchitectureError

_LAYERS_WITH_NORMS = 64
_SLIDING = "sliding_attention"


def _scale(settings: Settings, shape: Shape) -> dict[str, HParam]:
    # 1/16 is transformers' own value where config.json names none
    scale = settings.number("logit_scale", default=0.0625)
    if scale == 0:
        raise ArchitectureError("logit_scale is 0: every token would be as likely.")
    return {"logit_scale": scale, "vocab_size": shape.n_vocab}


def _own_keys(settings: Settings, shape: Shape) -> dict[str, HParam]:
    kinds = settings.raw("layer_types")
    every = settings.integer("sliding_window_pattern", default=4)
    if kinds is None:
        kinds = [_SLIDING if (i + 1) % every else "full_attention" for i in range(shape.n_layer)]
    if not isinstance(kinds, list) or len(kinds) != shape.n_layer:
        raise ArchitectureError(f"layer_types does not name the kinds of {shape.n_layer} layers.")
    if settings.said("sliding_window") and settings.raw("sliding_window") is None:
        raise ArchitectureError("sliding_window is null: no layer of it would have positions.")
    return _scale(settings, shape) | {
        "attention.sliding_window": settings.integer("sliding_window", default=4096),
        "attention.sliding_window_pattern": [kind == _SLIDING for kind in kinds],
    }


FORMER = Decoder(
    arch="command-r",
    title="a Command R",
    model_types=("cohere",),
    norms={"input_layernorm": "attn_norm"},
    norm="layer-unbiased",
    epsilon=("layer_norm_eps",),
    square=True,
    tied=True,
    default_theta=10000.0,
    switches=("logit_scale", "use_qk_norm"),
    own_keys=_scale,
)
DECODER = replace(
    FORMER,
    arch="cohere2",
    title="a Cohere 2",
    model_types=("cohere2",),
    switches=("logit_scale",),
    own_keys=_own_keys,
)


def recognise(checkpoint: Checkpoint) -> bool:
    """Whether the config.json of `checkpoint` names this family."""
    return is_decoder(checkpoint, DECODER) or is_decoder(checkpoint, FORMER)


def read(checkpoint: Checkpoint) -> Model:
    """The model in `checkpoint`. Raises `ArchitectureError`."""
    if is_decoder(checkpoint, DECODER):
        return read_decoder(checkpoint, DECODER)
    settings = Settings(checkpoint)
    with_norms = settings.flag("use_qk_norm", default=False)
    n_layer = settings.integer("num_hidden_layers")
    if with_norms != (n_layer >= _LAYERS_WITH_NORMS):
        raise ArchitectureError(
            f"use_qk_norm is {with_norms} with {n_layer} layers: llama.cpp has norms over Q and K "
            f"from {_LAYERS_WITH_NORMS} layers on, as Command R+ has them, and none below."
        )
    return read_decoder(checkpoint, replace(FORMER, qk_norm="heads" if with_norms else ""))


FAMILY = Family("cohere2", "Command R and Command R7B (Cohere 2)", recognise, read)
