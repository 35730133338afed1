"""Qwen3-MoE: a Qwen3 whose every MLP is a choice among experts."""

from convert.architectures.decoder import Decoder, Shape, decoder_family
from convert.architectures.model import HParam
from convert.architectures.settings import Settings


def _own_keys(settings: Settings, shape: Shape) -> dict[str, HParam]:
    settings.require("norm_topk_prob", (True,), "llama.cpp always normalises the experts' weights")
    settings.require("decoder_sparse_step", (1,), "llama.cpp has experts in every layer")
    settings.require("mlp_only_layers", ([],), "llama.cpp has experts in every layer")
    return {"expert_feed_forward_length": shape.n_ff}


DECODER = Decoder(
    arch="qwen3moe",
    title="a Qwen3-MoE",
    model_types=("qwen3_moe",),
    qk_norm="head",
    experts="mlp",
    own_keys=_own_keys,
)

FAMILY = decoder_family("qwen3moe", "Qwen3-MoE", DECODER)
