"""GLM-4: rope on neighbouring pairs of half of each head, gate and up in one matrix.

GLM-4-0414 has four norms in a layer, GLM-4-9B before it (`glm`, llama.cpp's chatglm) has two.
"""

from dataclasses import replace

from convert.architectures.decoder import Decoder, is_decoder, read_decoder
from convert.architectures.family import Family
from convert.architectures.model import Model
from convert.checkpoints.checkpoint import Checkpoint

FORMER = Decoder(
    arch="chatglm",
    title="a GLM-4",
    model_types=("glm",),
    square=True,
    mlp="fused",
    biases=("q", "k", "v"),
    default_theta=10000.0,
    rotary_share=0.5,
)
DECODER = replace(
    FORMER,
    arch="glm4",
    model_types=("glm4",),
    norms={
        "input_layernorm": "attn_norm",
        "post_self_attn_layernorm": "post_attention_norm",
        "post_attention_layernorm": "ffn_norm",
        "post_mlp_layernorm": "post_ffw_norm",
    },
    square=False,
)


def recognise(checkpoint: Checkpoint) -> bool:
    """Whether the config.json of `checkpoint` names this family."""
    return is_decoder(checkpoint, DECODER) or is_decoder(checkpoint, FORMER)


def read(checkpoint: Checkpoint) -> Model:
    """The model in `checkpoint`. Raises `ArchitectureError`."""
    return read_decoder(checkpoint, FORMER if is_decoder(checkpoint, FORMER) else DECODER)


FAMILY = Family("glm4", "GLM-4", recognise, read)
