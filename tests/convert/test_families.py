"""Every Hugging Face family: a tiny random model, converted, against transformers."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf

from convert.pipeline import convert
from tests.convert.tiny import N_TOKENS, write_hf

torch.set_num_threads(1)
hf.logging.set_verbosity_error()
hf.logging.disable_progress_bar()
logging.getLogger("transformers").setLevel(logging.ERROR)

GATED = {
    "vocab_size": N_TOKENS,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "bos_token_id": 0,
    "eos_token_id": 1,
    "pad_token_id": None,
}
LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 10000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}
YARN = {
    "rope_type": "yarn",
    "rope_theta": 10000.0,
    "factor": 4.0,
    "original_max_position_embeddings": 64,
}
LINEAR = {"rope_type": "linear", "rope_theta": 10000.0, "factor": 4.0}
MINISTRAL_ROPE = YARN | {
    "original_max_position_embeddings": 32,
    "mscale": 1.0,
    "mscale_all_dim": 1.0,
    "llama_4_scaling_beta": 0.3,
}
LONG = {
    "rope_type": "longrope",
    "rope_theta": 10000.0,
    "short_factor": [1.0 + 0.1 * i for i in range(8)],
    "long_factor": [1.5 + 0.2 * i for i in range(8)],
    "original_max_position_embeddings": 128,
}


def gated(kind: str, /, **changes: Any) -> Callable[[], Any]:
    def make() -> Any:
        config = getattr(hf, f"{kind}Config")(**(GATED | changes))
        return getattr(hf, f"{kind}ForCausalLM")(config)

    return make


def plain(kind: str, /, **config: Any) -> Callable[[], Any]:
    def make() -> Any:
        values = {"vocab_size": N_TOKENS, "bos_token_id": 0, "eos_token_id": 1} | config
        return getattr(hf, f"{kind}ForCausalLM")(getattr(hf, f"{kind}Config")(**values))

    return make


def seeing(kind: str, text: Any) -> Any:
    """A language model with a tiny vision tower beside it."""
    eye = hf.PixtralVisionConfig(
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=1,
        num_attention_heads=2,
        image_size=32,
        patch_size=16,
    )
    config = getattr(hf, f"{kind}Config")(
        text_config=text, vision_config=eye, tie_word_embeddings=False
    )
    return getattr(hf, f"{kind}ForConditionalGeneration")(config)


NEOX = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 128,
}
FALCON = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "alibi": False}

MODELS: dict[str, Callable[[], Any]] = {
    "llama": gated("Llama"),
    "llama-tied": gated("Llama", tie_word_embeddings=True),
    "llama-wide-heads": gated("Llama", head_dim=32),
    "llama-biases": gated("Llama", attention_bias=True, mlp_bias=True),
    "llama-llama3": gated("Llama", rope_parameters=LLAMA3),
    "llama-linear": gated("Llama", rope_parameters=LINEAR),
    "llama-yarn": gated("Llama", rope_parameters=YARN),
    "mistral": gated("Mistral", sliding_window=None),
    "ministral3": gated("Ministral3", head_dim=16, rope_parameters=MINISTRAL_ROPE),
    "mistral3": lambda: seeing("Mistral3", hf.MistralConfig(**GATED, head_dim=16)),
    "mistral3-ministral3": lambda: seeing(
        "Mistral3",
        hf.Ministral3Config(**GATED, head_dim=16, rope_parameters=MINISTRAL_ROPE),
    ),
    "mixtral": gated("Mixtral", num_local_experts=4, sliding_window=None),
    "qwen2": gated("Qwen2"),
    "qwen3": gated("Qwen3", head_dim=32),
    "qwen3moe": gated(
        "Qwen3Moe",
        num_experts=4,
        num_experts_per_tok=2,
        moe_intermediate_size=48,
        norm_topk_prob=True,
        head_dim=16,
        decoder_sparse_step=1,
    ),
    "qwen2moe": gated(
        "Qwen2Moe",
        num_experts=4,
        num_experts_per_tok=2,
        moe_intermediate_size=48,
        shared_expert_intermediate_size=40,
    ),
    "smollm3": gated("SmolLM3", num_hidden_layers=4),
    "olmo2": gated("Olmo2"),
    "olmo3": gated("Olmo3", num_hidden_layers=4, sliding_window=32),
    "olmo3-yarn": gated(
        "Olmo3",
        num_hidden_layers=4,
        sliding_window=32,
        rope_parameters={
            "full_attention": YARN,
            "sliding_attention": {"rope_type": "default", "rope_theta": 1e4},
        },
    ),
    "granite": gated(
        "Granite",
        embedding_multiplier=6.0,
        attention_multiplier=0.1,
        residual_multiplier=0.4,
        logits_scaling=2.0,
    ),
    "gemma": gated("Gemma", head_dim=32, tie_word_embeddings=True),
    "gemma2": gated("Gemma2", head_dim=32, query_pre_attn_scalar=20, sliding_window=32),
    "gemma3": lambda: hf.Gemma3ForCausalLM(
        hf.Gemma3TextConfig(
            **GATED | {"num_hidden_layers": 6},
            head_dim=32,
            query_pre_attn_scalar=20,
            sliding_window=32,
        )
    ),
    "phi3": gated("Phi3"),
    "phi3-longrope": gated("Phi3", rope_parameters=LONG, original_max_position_embeddings=128),
    "starcoder2": gated("Starcoder2", sliding_window=None),
    "gptneox": plain("GPTNeoX", **NEOX),
    "gptneox-serial": plain("GPTNeoX", use_parallel_residual=False, **NEOX),
    "falcon-7b": plain("Falcon", **FALCON),
    "falcon-40b": plain("Falcon", new_decoder_architecture=True, num_kv_heads=2, **FALCON),
}


@pytest.mark.parametrize("name", MODELS)
def test_logits_agree_with_transformers(name: str, tmp_path: Path) -> None:
    torch.manual_seed(3)
    folder = write_hf(tmp_path / name, MODELS[name]().eval())
    result = convert(folder, tmp_path / "out.gguf", ftype="F16")
    assert result.proof is not None
    parity = result.proof["parity"]
    print(
        name,
        {k: parity.get(k) for k in ("status", "reason", "top1", "kl_mean", "kl_max", "tokens")},
    )
    assert parity["status"] == "measured", parity
    assert parity["at_source"]["top1"] >= 0.995
    assert parity["top1"] >= 0.99
    assert parity["kl_mean"] < 1e-3
