"""Switches of a configuration that change what is computed, and that a plain decoder has not.

A fork often keeps `model_type: llama` and Llama's tensor names, and adds a factor that no shape
shows. Each switch here has the values at which it does nothing; at any other it is refused by name.
"""

from __future__ import annotations

from typing import Any

from convert.architectures.settings import Settings
from convert.errors import ArchitectureError

_OFF = (False, 0, 0.0)
_ONE = (1, 1.0)
_NONE: tuple[Any, ...] = ()

# Name in config.json: (values at which it does nothing, what it does otherwise).
SWITCHES: dict[str, tuple[tuple[Any, ...], str]] = {
    "attn_logit_softcapping": (_OFF, "attention scores are capped, as in Gemma 2"),
    "final_logit_softcapping": (_OFF, "logits are capped, as in Gemma 2"),
    "query_pre_attn_scalar": (_NONE, "attention is scaled by a number of its own, as in Gemma"),
    "attention_multiplier": (_NONE, "attention is scaled by a number of its own, as in Granite"),
    "embedding_multiplier": (_ONE, "embeddings are scaled, as in Granite"),
    "residual_multiplier": (_ONE, "every layer's output is scaled, as in Granite"),
    "logits_scaling": (_ONE, "logits are divided, as in Granite"),
    "logit_scale": (_ONE, "logits are scaled, as in Command R"),
    "scale_emb": (_ONE, "embeddings are scaled, as in MiniCPM"),
    "scale_depth": (_NONE, "every layer's output is scaled, as in MiniCPM"),
    "mup_enabled": (_OFF, "embeddings are scaled, as in AFMoE"),
    "clip_qkv": (_OFF, "Q, K and V are clipped, as in OLMo"),
    "qk_layernorm": (_OFF, "Q and K have norms, as in Persimmon"),
    "use_qk_norm": (_OFF, "Q and K have norms, as in Llama 4"),
    "use_parallel_residual": (_OFF, "attention and MLP run side by side, as in GPT-NeoX"),
    "attention_chunk_size": (_OFF, "attention sees chunks, as in Llama 4"),
    "attn_temperature_tuning": (_OFF, "attention is scaled by position, as in Llama 4"),
    "use_bidirectional_attention": (_OFF, "attention looks ahead"),
    "alibi": (_OFF, "positions are a slope added to the scores, as in BLOOM"),
    "kv_lora_rank": (_OFF, "K and V are compressed, as in DeepSeek"),
    "first_k_dense_replace": (_OFF, "some layers have no experts, as in DeepSeek"),
    "n_shared_experts": (_OFF, "some experts are always on, as in DeepSeek"),
    "shared_expert_intermediate_size": (_OFF, "one expert is always on, as in Qwen2-MoE"),
    "routed_scaling_factor": (_ONE, "the experts' sum is scaled, as in DeepSeek"),
    "swiglu_limit": (_OFF, "the MLP is clipped, as in gpt-oss"),
    "rotary_pct": (_ONE, "a part of each head is rotated, as in GPT-NeoX"),
}


def refuse_switches(
    settings: Settings, understood: tuple[str, ...], title: str, layer_types: tuple[str, ...]
) -> None:
    """Raise `ArchitectureError` for the first switch that `title` ("a Llama") does not have, and
    for the first of its layers that is none of `layer_types`."""
    for name, (neutral, meaning) in SWITCHES.items():
        value = settings.raw(name)
        if value is None or name in understood or value in neutral:
            continue
        raise ArchitectureError(
            f"{name} is {value!r:.40}: {meaning}; {title} in llama.cpp has nothing of the kind.",
            f"If nothing in the model reads it: --set {name}={neutral[-1]:g}." if neutral else "",
        )
    kinds = settings.raw("layer_types")
    odd = [kind for kind in kinds if kind not in layer_types] if isinstance(kinds, list) else []
    if odd:
        raise ArchitectureError(
            f"layer_types has {odd[0]!r:.40}, which {title} in llama.cpp does not compute."
        )
