"""Gemma 2: norms kept less one and around both blocks, soft-capped logits, sliding attention."""

import math

from convert.architectures.decoder import Decoder, Shape, decoder_family
from convert.architectures.model import HParam
from convert.architectures.settings import Settings
from convert.errors import ArchitectureError


def _own_keys(settings: Settings, shape: Shape) -> dict[str, HParam]:
    layers = settings.raw("layer_types")
    expected = ["full_attention" if i % 2 else "sliding_attention" for i in range(shape.n_layer)]
    if layers is not None and layers != expected:
        raise ArchitectureError("layer_types is not every second layer, as llama.cpp has Gemma 2.")
    return {
        "attention.sliding_window": settings.integer("sliding_window"),
        "attn_logit_softcapping": settings.number("attn_logit_softcapping"),
        "final_logit_softcapping": settings.number("final_logit_softcapping"),
    }


def scale_queries(settings: Settings, shape: Shape) -> float:
    """What Q is multiplied with so that llama.cpp's scale gives the configuration's.

    llama.cpp scales by the head's size, or by n_embd / n_head where it takes a model for the 27B.
    """
    wanted = settings.number("query_pre_attn_scalar", default=shape.head_dim)
    its_own = shape.n_embd // shape.n_head if shape.n_layer in _LAYERS_OF_27B else shape.head_dim
    return math.sqrt(its_own / wanted)


_LAYERS_OF_27B = (46, 62)  # Gemma 2 and Gemma 3

NORMS = {
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "post_attention_norm",
    "pre_feedforward_layernorm": "ffn_norm",
    "post_feedforward_layernorm": "post_ffw_norm",
}
DECODER = Decoder(
    arch="gemma2",
    title="a Gemma 2",
    model_types=("gemma2",),
    norms=NORMS,
    norm_shift=1.0,
    activations=("gelu_pytorch_tanh", "gelu_new"),
    tied=True,
    own_keys=_own_keys,
    q_scale=scale_queries,
    switches=("attn_logit_softcapping", "final_logit_softcapping", "query_pre_attn_scalar"),
)

FAMILY = decoder_family("gemma2", "Gemma 2", DECODER)
