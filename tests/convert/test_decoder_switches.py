"""What configurations of the newer decoders can say: each switch is the same function, or refused.

At F32, so that only a wrong reading is left to differ: the logits agree to about 1e-5.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf

import convert.parity
from convert.architectures import read_model
from convert.checkpoints import open_checkpoint
from convert.errors import ArchitectureError, ConvertError
from convert.options import Options
from convert.pipeline import convert as run
from convert.pipeline import open_source
from convert.questions import OpenQuestions
from convert.samples import PROSE
from tests.convert.recent import GPT_OSS, RECENT, gemma3n, gemma4, qwen35, qwen35moe
from tests.convert.test_families import LINEAR, LLAMA3, MINISTRAL_ROPE, MODELS, YARN, gated
from tests.convert.tiny import write_hf

torch.set_num_threads(1)
hf.logging.set_verbosity_error()
hf.logging.disable_progress_bar()
logging.getLogger("transformers").setLevel(logging.ERROR)

Make = Callable[..., Callable[[], Any]]
LOCAL = {"rope_type": "default", "rope_theta": 1e4}


def kind(name: str, /, **base: Any) -> Make:
    return lambda **changes: gated(name, **(base | changes))


GEMMA = kind("Gemma", head_dim=24, tie_word_embeddings=True)
OLMO3 = kind("Olmo3", num_hidden_layers=4, sliding_window=32)
QWEN2MOE = kind(
    "Qwen2Moe",
    num_experts=4,
    num_experts_per_tok=2,
    moe_intermediate_size=48,
    shared_expert_intermediate_size=40,
)
MINISTRAL = kind("Ministral3", head_dim=16, rope_parameters=MINISTRAL_ROPE)

SAME: dict[str, tuple[Make, dict[str, Any]]] = {
    "gemma-mqa": (GEMMA, {"num_key_value_heads": 1}),
    "gemma-gelu": (GEMMA, {"hidden_act": "gelu"}),
    "gemma-yarn": (GEMMA, {"rope_parameters": YARN}),
    "olmo3-types": (
        OLMO3,
        {"layer_types": ["full_attention", *["sliding_attention"] * 2, "full_attention"]},
    ),
    "olmo3-no-window": (OLMO3, {"layer_types": ["full_attention"] * 4}),
    "olmo3-windows-only": (OLMO3, {"layer_types": ["sliding_attention"] * 4}),
    "olmo3-linear": (
        OLMO3,
        {"rope_parameters": {"full_attention": LINEAR, "sliding_attention": LOCAL}},
    ),
    "olmo3-tied": (OLMO3, {"tie_word_embeddings": True, "num_key_value_heads": 4}),
    "qwen2moe-5": (QWEN2MOE, {"num_experts": 5, "num_experts_per_tok": 3, "qkv_bias": False}),
    "qwen2moe-tied": (QWEN2MOE, {"tie_word_embeddings": True, "rope_parameters": YARN}),
    "ministral3-mscale": (MINISTRAL, {"rope_parameters": MINISTRAL_ROPE | {"mscale": 0.7}}),
    "ministral3-plain": (
        MINISTRAL,
        {
            "head_dim": 32,
            "rope_parameters": LOCAL
            | {"llama_4_scaling_beta": 0.3, "original_max_position_embeddings": 32},
        },
    ),
    "gpt-oss-yarn": (
        GPT_OSS,
        {"rope_parameters": YARN | {"original_max_position_embeddings": 64}},
    ),
    "gpt-oss-unbiased": (GPT_OSS, {"attention_bias": False, "tie_word_embeddings": True}),
    "gpt-oss-types": (
        GPT_OSS,
        {"layer_types": ["full_attention", "sliding_attention"], "num_local_experts": 5},
    ),
    "qwen35-heads": (qwen35, {"linear_num_value_heads": 6, "tie_word_embeddings": True}),
    "qwen35-types": (
        qwen35,
        {
            "layer_types": ["full_attention", "linear_attention"] * 2,
            "linear_conv_kernel_dim": 2,
            "linear_num_value_heads": 2,
        },
    ),
    "qwen35-rope": (qwen35, {"rope_parameters": None}),
    "qwen35moe-5": (qwen35moe, {"num_experts": 5, "num_experts_per_tok": 3}),
    "gemma3n-rope": (
        gemma3n,
        {
            "altup_correct_scale": False,
            "rope_parameters": {
                "sliding_attention": LOCAL | {"rope_theta": 5000.0},
                "full_attention": LOCAL | {"rope_theta": 1e5},
            },
            "tie_word_embeddings": False,
        },
    ),
    "gemma4-values": (
        gemma4,
        {
            "attention_k_eq_v": True,
            "num_global_key_value_heads": 1,
            "hidden_size_per_layer_input": 0,
            "final_logit_softcapping": None,
        },
    ),
    "gemma4-shared": (gemma4, {"num_kv_shared_layers": 2, "use_double_wide_mlp": True}),
    "gemma4-experts": (
        gemma4,
        {
            "enable_moe_block": True,
            "num_experts": 4,
            "top_k_experts": 2,
            "moe_intermediate_size": 32,
            "tie_word_embeddings": False,
        },
    ),
    "gemma4-rope": (
        gemma4,
        {
            "use_bidirectional_attention": "vision",
            "rope_parameters": {
                "sliding_attention": LOCAL,
                "full_attention": {
                    "rope_type": "proportional",
                    "rope_theta": 1e5,
                    "partial_rotary_factor": 0.5,
                    "factor": 2.0,
                },
            },
        },
    ),
    "llama-mscale": (
        kind("Llama"),
        {"rope_parameters": YARN | {"mscale": 1.0, "mscale_all_dim": 0.6}},
    ),
}


SAME |= {name: (lambda make=make: make, {}) for name, make in RECENT.items()}


@pytest.fixture(autouse=True)
def short_greedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(convert.parity, "GREEDY", 1)


@pytest.mark.parametrize("name", SAME)
def test_a_switch_is_carried_over(name: str, tmp_path: Path) -> None:
    make, changes = SAME[name]
    torch.manual_seed(3)
    folder = write_hf(tmp_path / "model", make(**changes)().eval())
    result = run(folder, tmp_path / "out.gguf", ftype="F32")
    assert result.proof is not None
    parity = result.proof["parity"]
    assert parity["status"] == "measured", parity
    print(f"{name} top1 {parity['top1']:.4f} kl {parity['kl_mean']:.1e}")
    assert parity["top1"] >= 0.99
    assert parity["kl_mean"] < (
        1e-3 if name.startswith(("gemma3n", "gemma4")) else 1e-5
    )  # GELU's table; others 1e-10


def test_the_last_layers_of_a_gemma3n_take_keys_and_values_from_earlier_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers.models.gemma3n.modeling_gemma3n import Gemma3nTextMLP

    def strongest(self: Any, gates: torch.Tensor) -> torch.Tensor:
        """As llama.cpp has it, whose deviation is of n - 1 numbers: 22 layers multiply that."""
        share = torch.tensor(self.activation_sparsity)
        factor = torch.distributions.normal.Normal(0, 1).icdf(share)
        mean, deviation = gates.mean(-1, keepdim=True), gates.std(-1, keepdim=True)
        return torch.relu(gates - mean - deviation * factor)

    monkeypatch.setattr(Gemma3nTextMLP, "_gaussian_topk", strongest)
    torch.manual_seed(3)
    model = gemma3n(n_layer=22, intermediate_size=64)().eval()
    folder = write_hf(tmp_path / "model", model, scale=1.0)
    text = tmp_path / "text.txt"
    text.write_text(PROSE[:600])
    result = run(folder, tmp_path / "out.gguf", ftype="F32", parity_text=text)
    assert result.proof is not None
    parity = result.proof["parity"]
    print(f"top1 {parity['top1']:.4f} kl {parity['kl_mean']:.1e}")
    assert parity["kl_mean"] < 0.01


KINDS = [*["sliding_attention"] * 4, "full_attention"]
REFUSED: list[tuple[Make, dict[str, Any], str]] = [
    (kind("Gemma2"), {"tie_word_embeddings": False}, "no matrix of its own for the logits"),
    (GEMMA, {"tie_word_embeddings": False}, "no matrix of its own for the logits"),
    (GEMMA, {"hidden_act": "silu"}, "hidden_act is 'silu'"),
    (GEMMA, {"attention_bias": True}, "attention_bias is True"),
    (GEMMA, {"use_bidirectional_attention": True}, "attention looks ahead"),
    (OLMO3, {"rope_parameters": {"full_attention": LLAMA3, "sliding_attention": LOCAL}}, "llama3"),
    (
        OLMO3,
        {"rope_parameters": {"full_attention": YARN, "sliding_attention": YARN}},
        "unscaled there",
    ),
    (OLMO3, {"attention_bias": True}, "attention_bias is True"),
    (GPT_OSS, {"swiglu_limit": 6.0}, "swiglu_limit is 6.0"),
    (GPT_OSS, {"swiglu_alpha": 1.5}, "swiglu_alpha is 1.5"),
    (GPT_OSS, {"layer_types": ["full_attention"] * 2}, "No layer slides"),
    (qwen35, {"linear_value_head_dim": 32}, "equally wide"),
    (qwen35, {"attention_bias": True}, "attention_bias is True"),
    (qwen35, {"layer_types": ["linear_attention"] * 4}, "layers with a state and others"),
    (
        qwen35,
        {"rope_parameters": LOCAL | {"mrope_section": [4, 2, 2], "partial_rotary_factor": 0.5}},
        "without a position",
    ),
    (gemma3n, {"altup_num_inputs": 3}, "altup_num_inputs is 3"),
    (gemma3n, {"laurel_rank": 32}, "laurel_rank is 32"),
    (gemma3n, {"hidden_size_per_layer_input": 64}, "hidden_size_per_layer_input is 64"),
    (gemma3n, {"final_logit_softcapping": 20.0}, "final_logit_softcapping is 20.0"),
    (gemma3n, {"layer_types": KINDS[::-1]}, "not one full layer in five"),
    (gemma3n, {"activation_sparsity_pattern": [0.9] * 5}, "activation_sparsity_pattern is"),
    (gemma3n, {"intermediate_size": [512, 512, 512, 512, 256]}, "all layers are alike"),
    (gemma4, {"use_bidirectional_attention": "all"}, "looks back only"),
    (gemma4, {"attention_bias": True}, "attention_bias is True"),
    (gemma4, {"layer_types": ["full_attention"] * 4}, "No layer slides"),
    (
        gemma4,
        {
            "num_kv_shared_layers": 1,
            "layer_types": ["full_attention", *["sliding_attention"] * 2, "full_attention"],
        },
        "num_kv_shared_layers is 1",
    ),
    (QWEN2MOE, {"norm_topk_prob": True}, "norm_topk_prob is True"),
    (QWEN2MOE, {"decoder_sparse_step": 2}, "decoder_sparse_step is 2"),
    (QWEN2MOE, {"mlp_only_layers": [0]}, "mlp_only_layers is [0]"),
    (QWEN2MOE, {"rope_parameters": LLAMA3}, "'llama3' is not in a Qwen2-MoE"),
]


@pytest.mark.parametrize(("make", "changes", "part"), REFUSED)
def test_a_switch_that_llama_cpp_does_not_have_is_refused_by_name(
    make: Make, changes: dict[str, Any], part: str, tmp_path: Path
) -> None:
    make(**changes)().save_pretrained(tmp_path)
    with pytest.raises(ArchitectureError) as error:
        read_model(open_checkpoint(tmp_path))
    assert part in str(error.value)


def put(**values: Any) -> Callable[[dict[str, Any]], Any]:
    return lambda config: config.update(values)


BAD: list[tuple[str, Callable[[dict[str, Any]], Any], str]] = [
    ("olmo3", put(layer_types=["full_attention"]), "not a list of 4 layers"),
    ("olmo3", put(layer_types=7), "not a list of 4 layers"),
    ("olmo3", put(sliding_window=None), "sliding_window"),
    ("olmo3", put(sliding_window="wide"), "sliding_window is 'wide'"),
    ("qwen2moe", put(shared_expert_intermediate_size=41), "asks for"),
    ("qwen2moe", put(num_experts=5), "the number of experts asks for"),
    ("qwen2moe", put(num_experts_per_tok=5), "num_experts_per_tok is 5"),
    ("mistral3", lambda c: c["text_config"].update(model_type="mamba"), "no Mistral"),
    ("mistral3", lambda c: c["text_config"].update(model_type=[1]), "not a text"),
    ("mistral3", put(text_config=3), "no Mistral"),
    ("gpt-oss", put(num_local_experts=5), "the number of experts asks for"),
    ("gpt-oss", put(intermediate_size=95), "asks for"),
    ("gpt-oss", put(num_experts_per_tok=7), "num_experts_per_tok is 7"),
    ("gemma3n", put(final_logit_softcapping=None), "final_logit_softcapping is null"),
    ("gemma3n", put(num_kv_shared_layers="two"), "num_kv_shared_layers is 'two'"),
    ("gemma3n", put(num_kv_shared_layers=2), "num_kv_shared_layers is 2"),
    ("gemma3n", put(intermediate_size=["wide"] * 5), "intermediate_size"),
    ("gemma3n", put(rope_parameters={"full_attention": {"rope_type": "yarn"}}), "scal"),
    ("gemma4", put(per_layer_config={"1": {"head_dim": 32}}), "full layers are alike"),
    ("gemma4", put(per_layer_config={"1": 3, "3": 3}), "full layers are alike"),
    ("gemma4", put(per_layer_config=None, global_head_dim=31), "odd"),
    ("gemma4", put(per_layer_config=None, global_head_dim="wide"), "'wide', not a number"),
    ("gemma4", put(per_layer_config=None, global_head_dim=64), "asks for"),
    ("gemma4", put(num_kv_shared_layers="two"), "num_kv_shared_layers is 'two'"),
    ("gemma4", put(num_kv_shared_layers=9), "num_kv_shared_layers is 9"),
    ("gemma4", put(hidden_size_per_layer_input=17), "asks for"),
    ("gemma4", put(use_double_wide_mlp="yes"), "use_double_wide_mlp is 'yes'"),
    (
        "gemma4",
        lambda c: c["rope_parameters"].update(sliding_attention=[1]),
        "The rope of sliding layers",
    ),
    (
        "gemma4",
        lambda c: c["rope_parameters"]["full_attention"].update(partial_rotary_factor="half"),
        "The rope of full layers",
    ),
    (
        "gemma4",
        lambda c: c["rope_parameters"]["full_attention"].update(rope_type="yarn", factor=2.0),
        "not in a Gemma 4",
    ),
    ("qwen35", put(linear_num_key_heads=3), "so many values for each key"),
    ("qwen35", put(linear_num_key_heads=1 << 30, linear_num_value_heads=1 << 30), "no model's"),
    ("qwen35", put(linear_conv_kernel_dim=5), "asks for"),
    ("qwen35", put(layer_types=["linear_attention"]), "not a list of 4 layers"),
    ("qwen35", put(layer_types=None, full_attention_interval=3), "no tensor"),
    ("qwen35", lambda c: c["rope_parameters"].update(mrope_section="1"), "three numbers"),
    (
        "ministral3",
        lambda c: c["rope_parameters"].update(llama_4_scaling_beta="much"),
        "cannot be scaled",
    ),
    (
        "ministral3",
        lambda c: c["rope_parameters"].update(original_max_position_embeddings=-1),
        "original_max_position_embeddings",
    ),
]


@pytest.mark.parametrize(("name", "edit", "part"), BAD)
def test_a_configuration_that_makes_no_sense_is_refused_with_a_sentence(
    name: str, edit: Callable[[dict[str, Any]], Any], part: str, tmp_path: Path
) -> None:
    (MODELS | RECENT)[name]().save_pretrained(tmp_path)
    path = tmp_path / "config.json"
    config = json.loads(path.read_text())
    edit(config)
    path.write_text(json.dumps(config))
    with pytest.raises(ConvertError) as error:
        read_model(open_checkpoint(tmp_path))
    assert part in str(error.value)


@pytest.mark.parametrize("name", ["gemma", "mistral3-ministral3", "olmo3", "qwen2moe", *RECENT])
def test_no_tensor_may_be_missing_or_of_another_shape(name: str, tmp_path: Path) -> None:
    (MODELS | RECENT)[name]().save_pretrained(tmp_path)
    checkpoint = open_checkpoint(tmp_path)
    model = read_model(checkpoint)
    ignored = {ignored for ignored, _ in model.ignored}
    for tensor in checkpoint.tensors.values():
        if tensor.name in ignored:
            continue
        rest = {key: t for key, t in checkpoint.tensors.items() if t is not tensor}
        shape = (*tensor.shape[:-1], tensor.shape[-1] + 2)
        for tensors in (rest, rest | {tensor.name: replace(tensor, shape=shape)}):
            with pytest.raises(ArchitectureError):
                read_model(replace(checkpoint, tensors=tensors))


@pytest.mark.parametrize("name", ["gemma4-seeing", "qwen35-seeing"])
def test_the_user_answers_for_the_language_model_in_one_that_sees(
    name: str, tmp_path: Path
) -> None:
    key, written = {
        "gemma4-seeing": ("sliding_window", "attention.sliding_window"),
        "qwen35-seeing": ("linear_conv_kernel_dim", "ssm.conv_kernel"),
    }[name]
    RECENT[name]().save_pretrained(tmp_path)
    path = tmp_path / "config.json"
    config = json.loads(path.read_text())
    value = config["text_config"].pop(key)
    path.write_text(json.dumps(config))
    with pytest.raises(OpenQuestions, match=key):
        read_model(open_source(Options(tmp_path)))
    told = open_source(Options(tmp_path, settings={key: value, "model_type": config["model_type"]}))
    assert read_model(told).hparams[written] == value
    assert told.config["text_config"]["model_type"] == config["text_config"]["model_type"]


def test_a_tensor_of_the_language_model_under_two_names_is_refused(tmp_path: Path) -> None:
    RECENT["gemma4-seeing"]().save_pretrained(tmp_path)
    checkpoint = open_checkpoint(tmp_path)
    name = next(name for name in checkpoint.tensors if name.startswith("model.language_model."))
    again = name.replace("model.language_model.", "language_model.model.")
    tensors = checkpoint.tensors | {again: checkpoint.tensors[name]}
    with pytest.raises(ArchitectureError, match="under two names"):
        read_model(replace(checkpoint, tensors=tensors))
