"""Qwen3-MoE: a Qwen3 whose every MLP is a choice among experts."""

from convert.architectures.decoder import Decoder, Shape, decoder_family
from convert.architectures.model import HParam
from convert.architectures.settings import Settings
from convert.errors import ArchitectureError


def _own_keys(settings: Settings, shape: Shape) -> dict[str, HParam]:
    if not settings.flag("norm_topk_prob", default=False):
        raise ArchitectureError(
            "norm_topk_prob is not true: llama.cpp always normalises the weights of the experts.",
            "--set norm_topk_prob=true if it was trained so.",
        )
    settings.require("decoder_sparse_step", (1,), "llama.cpp has experts in every layer")
    settings.require("mlp_only_layers", ([],), "llama.cpp has experts in every layer")
    return {"expert_feed_forward_length": shape.n_ff}


DECODER = Decoder(
    arch="qwen3moe",
    title="a Qwen3-MoE",
    model_types=("qwen3_moe",),
    qk_norm="head",
    experts="mlp",
    default_theta=10000.0,
    window_switch=True,
    own_keys=_own_keys,
)

FAMILY = decoder_family("qwen3moe", "Qwen3-MoE", DECODER)
