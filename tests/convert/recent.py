"""Tiny random models of the families whose layers differ from one another."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers as hf

from tests.convert.test_families import GATED, gated

Make = Callable[[], Any]
_STATE = {
    "num_hidden_layers": 4,
    "head_dim": 32,
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 4,
    "linear_key_head_dim": 16,
    "linear_value_head_dim": 16,
    "rope_parameters": {
        "rope_type": "default",
        "rope_theta": 10000.0,
        "partial_rotary_factor": 0.5,
        "mrope_section": [3, 3, 2],
    },
}
_EXPERTS = {
    "num_experts": 4,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 48,
    "shared_expert_intermediate_size": 40,
}
_EYE = {
    "depth": 1,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_heads": 2,
    "out_hidden_size": 64,
    "num_position_embeddings": 16,
    "patch_size": 4,
}


def GPT_OSS(**changes: Any) -> Make:  # noqa: N802  (a maker, as the constants beside it)
    base = {
        "num_local_experts": 4,
        "num_experts_per_tok": 2,
        "head_dim": 16,
        "sliding_window": 32,
        "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0},
    }
    return gated("GptOss", **(base | changes))


def qwen35(**changes: Any) -> Make:
    config = GATED | _STATE | changes
    return lambda: hf.Qwen3_5ForCausalLM(hf.Qwen3_5TextConfig(**config))


def qwen35moe(**changes: Any) -> Make:
    config = GATED | _STATE | _EXPERTS | changes
    return lambda: hf.Qwen3_5MoeForCausalLM(hf.Qwen3_5MoeTextConfig(**config))


def _qwen35_seeing() -> Any:
    text = hf.Qwen3_5TextConfig(**GATED | _STATE).to_dict()
    config = hf.Qwen3_5Config(text_config=text, vision_config=_EYE)
    return hf.Qwen3_5ForConditionalGeneration(config)


def gemma4(**changes: Any) -> Make:
    base = {
        "num_hidden_layers": 4,
        "head_dim": 16,
        "global_head_dim": 32,
        "hidden_size_per_layer_input": 16,
        "vocab_size_per_layer_input": GATED["vocab_size"],
        "layer_types": ["sliding_attention", "full_attention"] * 2,
        "sliding_window": 32,
        "tie_word_embeddings": True,
        "final_logit_softcapping": 10.0,
        "pad_token_id": 0,
    }
    text = hf.Gemma4TextConfig(**GATED | base | changes)

    def make() -> Any:
        model = hf.Gemma4ForCausalLM(text)
        for name, buffer in model.named_buffers():
            if name.endswith("layer_scalar"):
                buffer.fill_(0.7)
        return model

    return make


def gemma3n(n_layer: int = 5, **changes: Any) -> Make:
    base = {
        "num_hidden_layers": n_layer,
        "head_dim": 16,
        "intermediate_size": 512,  # llama.cpp's deviation is of n - 1 numbers
        "vocab_size_per_layer_input": GATED["vocab_size"] - 2,
        "activation_sparsity_pattern": [0.95] * min(10, n_layer) + [0.0] * max(0, n_layer - 10),
        "num_kv_shared_layers": max(0, n_layer - 20),
        "sliding_window": 32,
        "tie_word_embeddings": True,
        "pad_token_id": 0,
    }
    text = hf.Gemma3nTextConfig(**GATED | base | changes)
    return lambda: hf.Gemma3nForCausalLM(text)


def _gemma4_seeing() -> Any:
    eye = {
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "head_dim": 16,
        "patch_size": 4,
        "position_embedding_size": 64,
    }
    text = gemma4()().config.to_dict()
    config = hf.Gemma4Config(text_config=text, vision_config=eye, audio_config=None)
    return hf.Gemma4ForConditionalGeneration(config)


RECENT: dict[str, Make] = {
    "gpt-oss": GPT_OSS(),
    "qwen35": qwen35(),
    "qwen35moe": qwen35moe(),
    "qwen35-seeing": _qwen35_seeing,
    "gemma3n": gemma3n(),
    "gemma4": gemma4(),
    "gemma4-seeing": _gemma4_seeing,
}

# In the table of what has been compared.
TITLES = {
    "gpt-oss": "gpt-oss",
    "qwen35": "Qwen3.5 (text)",
    "qwen35moe": "Qwen3.5-MoE (text)",
    "gemma3n": "Gemma 3n (text)",
    "gemma4": "Gemma 4 (text)",
}


def pack_experts(folder: Path) -> dict[str, torch.Tensor]:
    """Put random experts in MXFP4 into a gpt-oss, as it is published; what they were made of."""
    from safetensors.torch import load_file, save_file

    generator = torch.Generator().manual_seed(0)
    kept, packed = {}, {}
    for name, weight in load_file(folder / "model.safetensors").items():
        if not name.endswith(("experts.gate_up_proj", "experts.down_proj")):
            kept[name] = weight
            continue
        n, n_in, n_out = weight.shape
        codes = torch.randint(0, 256, (n, n_out, n_in // 32, 16), generator=generator)
        scales = torch.randint(122, 126, (n, n_out, n_in // 32), generator=generator)
        packed[f"{name}_blocks"] = codes.to(torch.uint8)
        packed[f"{name}_scales"] = scales.to(torch.uint8)
    save_file(kept | packed, folder / "model.safetensors", metadata={"format": "pt"})
    path = folder / "config.json"
    config = json.loads(path.read_text()) | {"quantization_config": {"quant_method": "mxfp4"}}
    path.write_text(json.dumps(config))
    return packed
