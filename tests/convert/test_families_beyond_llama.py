"""Families further from Llama: tiny random models against transformers, their switches, and what a
checkpoint or a configuration that does not fit is told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
import torch

from convert.architectures import read_model
from convert.checkpoints import open_checkpoint
from convert.checkpoints.checkpoint import Checkpoint
from convert.checkpoints.operations import constant
from convert.errors import ArchitectureError, ConvertError
from convert.pipeline import convert
from tests.convert.test_families import GATED, gated
from tests.convert.test_hf_llama_like import check, put
from tests.convert.tiny import write_hf, write_tokenizer

torch.set_num_threads(1)


def rope(share: float, **values: Any) -> dict[str, Any]:
    said = {"rope_type": "default", "rope_theta": 5000.0, "partial_rotary_factor": share}
    return {"rope_parameters": said | values}


SHORT = {"layer_types": ["conv", "full_attention", "conv"], "num_hidden_layers": 3}
EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 48}
SCALES = {
    "embedding_multiplier": 6.0,
    "attention_multiplier": 0.1,
    "residual_multiplier": 0.4,
    "logits_scaling": 2.0,
}
FEW = {"num_local_experts": 4, "num_experts_per_tok": 2}
HYBRID = SCALES | {
    "layer_types": ["mamba", "attention", "mamba"],
    "num_hidden_layers": 3,
    "shared_intermediate_size": 48,
    "mamba_n_heads": 8,
    "mamba_d_state": 16,
}
MICRO = HYBRID | {"layer_types": ["attention"] * 3, "position_embedding_type": "rope"}
LATENT = {
    "num_hidden_layers": 3,
    "num_key_value_heads": 4,
    "qk_nope_head_dim": 16,
    "qk_rope_head_dim": 8,
    "v_head_dim": 24,
    "kv_lora_rank": 32,
    "q_lora_rank": 40,
    "n_routed_experts": 4,
    "n_shared_experts": 2,
    "num_experts_per_tok": 2,
    "first_k_dense_replace": 1,
    "moe_intermediate_size": 32,
    "routed_scaling_factor": 2.5,
}
MSCALE = {
    "rope_type": "yarn",
    "rope_theta": 10000.0,
    "factor": 4.0,
    "original_max_position_embeddings": 64,
    "mscale": 0.707,
    "mscale_all_dim": 0.707,
}

# Name: (what the documents call it, the model).
MODELS: dict[str, tuple[str, Callable[[], Any]]] = {
    "phi2": ("Phi-2", gated("Phi")),
    "stablelm": ("StableLM", gated("StableLm", use_qkv_bias=True)),
    "stablelm-parallel": (
        "StableLM 2 12B",
        gated("StableLm", use_parallel_residual=True, qk_layernorm=True, **rope(0.5)),
    ),
    "glm4": ("GLM-4-0414", gated("Glm4", head_dim=32)),
    "glm": ("GLM-4-9B", gated("Glm", head_dim=16, attention_bias=False)),
    "cohere": ("Command R", gated("Cohere", logit_scale=0.5)),
    "cohere2": (
        "Command R7B",
        gated("Cohere2", num_hidden_layers=4, sliding_window=32, logit_scale=0.5),
    ),
    "cohere2-order": (
        "Cohere 2, other layers slide",
        gated("Cohere2", sliding_window=32, layer_types=["full_attention", "sliding_attention"]),
    ),
    "lfm2": ("LFM2", gated("Lfm2", **SHORT, conv_L_cache=4)),
    "granitemoe": ("Granite 3 MoE", gated("GraniteMoe", **SCALES, **FEW)),
    "granite4": ("Granite 4 Micro", gated("GraniteMoeHybrid", **MICRO, num_local_experts=0)),
    "granite4-experts": (
        "Granite 4, experts and attention",
        gated("GraniteMoeHybrid", **MICRO, **FEW),
    ),
    "granite4-h": (
        "Granite 4 H Micro",
        gated("GraniteMoeHybrid", **HYBRID, num_local_experts=0, mamba_n_groups=2),
    ),
    "granite4-h-experts": (
        "Granite 4 H Tiny",
        gated("GraniteMoeHybrid", **HYBRID, **FEW, position_embedding_type="rope"),
    ),
    "deepseek-lite": (
        "DeepSeek V2 Lite, YaRN",
        gated("DeepseekV2", **LATENT | {"q_lora_rank": None, "rope_parameters": MSCALE}),
    ),
    "deepseek2": ("DeepSeek V2", gated("DeepseekV2", **LATENT)),
    "deepseek3": ("DeepSeek V3", gated("DeepseekV3", **LATENT, n_group=2, topk_group=1)),
    "lfm2moe": ("LFM2-MoE", gated("Lfm2Moe", **SHORT, **EXPERTS, num_dense_layers=1)),
}


@pytest.mark.parametrize("name", MODELS)
def test_logits_agree_with_transformers(name: str, tmp_path: Path) -> None:
    torch.manual_seed(3)
    folder = write_hf(tmp_path / name, MODELS[name][1]().eval())
    result = convert(folder, tmp_path / "out.gguf", ftype="F16")
    check(result, top1=0.98, kl=5e-3)  # rounding decides where two experts are nearly as good
    assert result.proof is not None
    at_source = result.proof["parity"]["at_source"]
    print(f"at the source's precision: kl {at_source['kl_mean']:.1e}")
    assert at_source["top1"] >= 0.995
    assert at_source["kl_mean"] < 1e-5


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A folder for each model of `MODELS`, written when first asked for."""
    root = tmp_path_factory.mktemp("models")

    def folder(name: str) -> Path:
        if not (root / name).exists():
            MODELS[name][1]().save_pretrained(root / name)
            write_tokenizer(root / name)
        return root / name

    return folder


Edit = Callable[[dict[str, Any]], Any]
REFUSED: list[tuple[str, Edit, str]] = [
    ("phi2", put(qk_layernorm=True), "qk_layernorm is True"),
    ("phi2", put(hidden_act="silu"), "has gelu_new"),
    ("phi2", put(rope_parameters={"rope_theta": 1e4, "partial_rotary_factor": 2}), "no even"),
    ("phi2", put(partial_rotary_factor=0.07), "no even number"),
    ("stablelm", put(use_parallel_residual=True), "post_attention_layernorm"),
    ("stablelm", put(qk_layernorm=True), "q_layernorm"),
    ("stablelm", put(use_parallel_residual=1), "use_parallel_residual is 1"),
    ("stablelm", put(mlp_bias=True), "mlp_bias is True"),
    ("stablelm", put(layer_norm_eps=7), "layer_norm_eps is 7"),
    ("glm4", put(num_key_value_heads=3), "do not divide"),
    ("glm4", put(intermediate_size=95), "asks for"),
    ("glm", put(attention_bias=True), "q_proj.bias"),
    ("cohere", put(use_qk_norm=True), "from 64 layers on"),
    ("cohere", put(logit_scale=0), "logit_scale is 0"),
    ("cohere", put(attention_bias=True), "attention_bias is True"),
    ("cohere2", put(layer_types=["full_attention"]), "kinds of 4 layers"),
    ("cohere2", put(layer_types=["mamba"] * 4), "layer_types has 'mamba'"),
    ("cohere2", put(sliding_window=None), "sliding_window is null"),
    ("cohere2", put(sliding_window=-1), "sliding_window is -1"),
    ("lfm2", put(conv_bias=True), "conv_bias is True"),
    ("lfm2", put(conv_L_cache=1), "remembers nothing"),
    ("lfm2", put(layer_types=["conv"] * 2), "kinds of 3 layers"),
    ("lfm2", put(layer_types=["conv"] * 3), "no tensor"),
    ("lfm2", put(layer_types=["full_attention"] * 3), "self_attn"),
    ("lfm2", put(layer_types=[7, {}, []]), "layer_types has 7"),
    ("granitemoe", put(num_experts_per_tok=5), "num_experts_per_tok is 5"),
    ("granitemoe", put(logits_scaling="two"), "logits_scaling is 'two'"),
    ("granite4", put(shared_intermediate_size=49), "asks for"),
    ("granite4", put(shared_intermediate_size=0), "neither experts"),
    ("granite4-experts", put(position_embedding_type=None), "has positions in llama.cpp"),
    ("granite4-h", put(mamba_expand=3), "mamba_expand is 3"),
    ("granite4-h", put(mamba_proj_bias=True), "mamba_proj_bias is True"),
    ("granite4-h", put(mamba_n_heads=7), "do not divide"),
    ("granite4-h", put(mamba_d_state=17), "asks for"),
    ("granite4-h", put(mamba_d_conv=5), "mamba_d_conv asks for"),
    ("granite4-h", put(time_step_limit=[0.1, 0.2]), "time_step_limit is [0.1, 0.2]"),
    ("granite4-h", put(layer_types=["attention"] * 2), "kinds of 3 layers"),
    ("deepseek2", put(topk_method="group_limited_greedy"), "two best experts"),
    ("deepseek2", put(norm_topk_prob=True), "norm_topk_prob is true"),
    ("deepseek2", put(kv_lora_rank=30), "asks for"),
    ("deepseek2", put(qk_rope_head_dim=7, qk_nope_head_dim=17), "it is odd"),
    ("deepseek2", put(attention_bias=True), "attention_bias is True"),
    ("deepseek3", put(rope_interleave=False), "rope_interleave is False"),
    ("deepseek3", put(n_group=3), "do not fit 4 experts"),
    ("deepseek3", put(first_k_dense_replace=0), "no tensor"),
    ("deepseek3", put(rope_parameters=MSCALE | {"mscale": 1.0}), "mscale_all_dim alike"),
    ("deepseek3", put(rope_scaling={"type": "linear", "factor": 2.0}), "type 'linear'"),
    ("deepseek3", put(n_shared_experts=0), "n_shared_experts is 0"),
    ("lfm2moe", put(norm_topk_prob=False), "norm_topk_prob is False"),
    ("lfm2moe", put(routed_scaling_factor=2.5), "routed_scaling_factor is 2.5"),
    ("lfm2moe", put(num_dense_layers=3), "no tensor"),
    ("lfm2moe", put(num_dense_layers=0), "no tensor"),
    ("lfm2moe", put(num_dense_layers="two"), "num_dense_layers is 'two'"),
    ("lfm2moe", put(num_experts=3), "asks for (3,)"),
]


@pytest.fixture(scope="module")
def checkpoint(folders: Callable[[str], Path]) -> Callable[[str], Checkpoint]:
    """The checkpoint of a model of `MODELS`."""
    return lru_cache(lambda name: open_checkpoint(folders(name)))


@pytest.mark.parametrize(("name", "edit", "part"), REFUSED)
def test_what_llama_cpp_does_not_compute_is_refused_by_name(
    name: str, edit: Edit, part: str, checkpoint: Callable[[str], Checkpoint]
) -> None:
    config = dict(checkpoint(name).config)
    edit(config)
    with pytest.raises(ConvertError) as error:
        read_model(replace(checkpoint(name), config=config))
    assert part in str(error.value)


@pytest.mark.parametrize(
    "name", ["phi2", "stablelm-parallel", "glm4", "cohere2", "lfm2", "lfm2moe"]
)
def test_any_tensor_that_is_missing_or_has_another_shape_is_named(
    name: str, checkpoint: Callable[[str], Checkpoint]
) -> None:
    whole = checkpoint(name)
    odd = constant("odd", (3, 5), 1.0, "odd")
    for one in whole.tensors:
        without = {key: tensor for key, tensor in whole.tensors.items() if key != one}
        with pytest.raises(ArchitectureError, match=r"has no tensor|not there|layers"):
            read_model(replace(whole, tensors=without))
        with pytest.raises(ArchitectureError, match=r"shape|rows|no tensor|[Hh]eads"):
            read_model(replace(whole, tensors={**whole.tensors, one: odd}))


def test_a_head_that_cohere_does_not_have_is_refused(
    checkpoint: Callable[[str], Checkpoint],
) -> None:
    whole = checkpoint("cohere")
    head = constant("lm_head.weight", (GATED["vocab_size"], GATED["hidden_size"]), 1.0, "a head")
    with pytest.raises(ArchitectureError, match="no matrix of its own"):
        read_model(replace(whole, tensors={**whole.tensors, "lm_head.weight": head}))


def test_layers_that_predict_a_second_token_are_left_out(
    checkpoint: Callable[[str], Checkpoint],
) -> None:
    whole = checkpoint("deepseek3")
    more = constant("more", (64, 64), 1.0, "more")
    tensors = {**whole.tensors, "model.layers.3.eh_proj.weight": more}
    model = read_model(replace(whole, tensors=tensors))
    assert [name for name, _ in model.ignored] == ["model.layers.3.eh_proj.weight"]
