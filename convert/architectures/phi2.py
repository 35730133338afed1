"""Phi-1, 1.5 and 2: LayerNorm, attention beside a plain MLP, rope on a part of each head."""

from convert.architectures.decoder import Decoder, decoder_family
from convert.architectures.layer_norm import ERF_GELU, TANH_GELU

DECODER = Decoder(
    arch="phi2",
    title="a Phi-2",
    model_types=("phi",),
    names={
        "o_proj": "dense",
        "up_proj": "fc1",
        "down_proj": "fc2",
        "norm": "final_layernorm",
    },
    norms={"input_layernorm": "attn_norm"},
    norm="layer",
    epsilon=("layer_norm_eps",),
    square=True,
    activations=(*TANH_GELU, *ERF_GELU),
    mlp="plain",
    biases=("q", "k", "v", "o", "up", "down"),
    always_biased=True,
    output_required=True,
    output_biased=True,
    default_theta=10000.0,
    rotary_share=0.5,
)

FAMILY = decoder_family("phi2", "Phi-2 and Phi-1.5", DECODER)
