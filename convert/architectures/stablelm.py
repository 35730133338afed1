"""StableLM 3B, Zephyr and 2: LayerNorm, a gated MLP, rope on a part of each head.

StableLM 2 12B runs attention beside the MLP, without a second norm, and has norms over the heads of
Q and K, each head with weights of its own.
"""

from dataclasses import replace

from convert.architectures.decoder import Decoder, is_decoder, read_decoder
from convert.architectures.family import Family
from convert.architectures.model import Model
from convert.architectures.settings import Settings
from convert.checkpoints.checkpoint import Checkpoint

SERIAL = Decoder(
    arch="stablelm",
    title="a StableLM",
    model_types=("stablelm", "stablelm_epoch"),
    names={"q_norm": "q_layernorm", "k_norm": "k_layernorm"},
    norm="layer",
    epsilon=("layer_norm_eps", "norm_eps"),
    square=True,
    biases=("q", "k", "v"),
    bias_switch="use_qkv_bias",
    output_required=True,
    default_theta=10000.0,
    rotary_share=0.25,
    switches=("qk_layernorm", "use_parallel_residual"),
)


def recognise(checkpoint: Checkpoint) -> bool:
    """Whether the config.json of `checkpoint` names this family."""
    return is_decoder(checkpoint, SERIAL)


def read(checkpoint: Checkpoint) -> Model:
    """The model in `checkpoint`. Raises `ArchitectureError`."""
    settings, decoder = Settings(checkpoint), SERIAL
    if settings.flag("use_parallel_residual", default=False):
        decoder = replace(decoder, norms={"input_layernorm": "attn_norm"})
    if settings.flag("qk_layernorm", default=False):
        decoder = replace(decoder, qk_norm="heads")
    return read_decoder(checkpoint, decoder)


FAMILY = Family("stablelm", "StableLM", recognise, read)
