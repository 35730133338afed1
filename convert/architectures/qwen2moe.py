"""Qwen2-MoE and Qwen1.5-MoE: a Qwen2 whose MLP is a choice among experts beside one always on."""

from convert.architectures.decoder import Decoder, Shape, decoder_family
from convert.architectures.model import HParam
from convert.architectures.settings import Settings


def _own_keys(settings: Settings, shape: Shape) -> dict[str, HParam]:
    settings.require("norm_topk_prob", (False,), "llama.cpp never normalises the experts' weights")
    settings.require("decoder_sparse_step", (1,), "llama.cpp has experts in every layer")
    settings.require("mlp_only_layers", ([],), "llama.cpp has experts in every layer")
    return {
        "expert_feed_forward_length": shape.n_ff,
        "expert_shared_feed_forward_length": settings.integer("shared_expert_intermediate_size"),
    }


DECODER = Decoder(
    arch="qwen2moe",
    title="a Qwen2-MoE",
    model_types=("qwen2_moe",),
    experts="mlp",
    shared_expert=True,
    square=True,
    biases=("q", "k", "v"),
    bias_switch="qkv_bias",
    output_required=True,
    default_theta=10000.0,
    window_switch=True,
    switches=("shared_expert_intermediate_size",),
    own_keys=_own_keys,
)

FAMILY = decoder_family("qwen2moe", "Qwen2-MoE and Qwen1.5-MoE", DECODER)
