"""Hugging Face's Llama and its kin beyond the plain case: older configurations, windows, refusals.

`test_families.py` has every family at F16; here are Q8_0 and what configurations can say.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import pytest
import torch
import transformers as hf

from convert.architectures import FAMILIES
from convert.architectures.unsupported import UNSUPPORTED
from convert.checkpoints.checkpoint import Checkpoint
from convert.errors import ArchitectureError
from convert.parity.hf import build
from convert.parity.references import Unavailable
from convert.pipeline import Result, convert
from convert.questions import OpenQuestions
from tests.convert.tiny import N_TOKENS, write_hf, write_tokenizer

torch.set_num_threads(1)
hf.logging.set_verbosity_error()
hf.logging.disable_progress_bar()
logging.getLogger("transformers").setLevel(logging.ERROR)

SIZES = {
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
EXPERTS = {"num_experts_per_tok": 2, "sliding_window": None}
QWEN_EXPERTS = {
    "num_experts": 4,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 32,
    "norm_topk_prob": True,
    "head_dim": 16,
}
SCALED = {
    "embedding_multiplier": 3.0,
    "attention_multiplier": 0.2,
    "residual_multiplier": 0.7,
    "logits_scaling": 1.5,
}
YARN = {"rope_type": "yarn", "rope_theta": 10000.0, "factor": 4.0}


def make(kind: str, /, **changes: Any) -> Any:
    torch.manual_seed(3)
    config = getattr(hf, f"{kind}Config")(**(SIZES | changes))
    return getattr(hf, f"{kind}ForCausalLM")(config).eval()


def edit_config(folder: Path, edit: Callable[[dict[str, Any]], Any]) -> None:
    path = folder / "config.json"
    config = json.loads(path.read_text())
    edit(config)
    path.write_text(json.dumps(config))


def keys(result: Result) -> dict[str, Any]:
    fields = gguf.GGUFReader(result.output).fields
    return {key: field.contents() for key, field in fields.items()}


def check(result: Result, top1: float = 0.99, kl: float = 1e-3) -> None:
    assert result.proof is not None
    parity = result.proof["parity"]
    assert parity["status"] == "measured", parity
    print(f"top1 {parity['top1']:.4f} kl {parity['kl_mean']:.1e} nmse {parity['nmse']:.1e}")
    assert parity["top1"] >= top1
    assert parity["kl_mean"] < kl


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("Llama", {}),
        ("Mixtral", {"num_local_experts": 4, **EXPERTS}),
        ("Qwen2", {}),
        ("Qwen3", {"head_dim": 32}),
        ("Qwen3Moe", QWEN_EXPERTS),
        ("SmolLM3", {"num_hidden_layers": 4}),
        ("Olmo2", {}),
        ("Granite", SCALED),
    ],
)
def test_q8_0_agrees_with_transformers(kind: str, changes: dict[str, Any], tmp_path: Path) -> None:
    folder = write_hf(tmp_path / kind, make(kind, **changes))
    result = convert(folder, tmp_path / "out.gguf", ftype="Q8_0")
    assert result.proof is not None
    at_source = result.proof["parity"]["at_source"]
    print(f"{kind:9} source {at_source['top1']:.4f}", end=" Q8_0 ")
    assert at_source["top1"] >= 0.995
    check(result, top1=0.9, kl=0.15)
    assert result.proof["parity"]["nmse"] < 0.02  # rounding; wrong rows give about 1


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("Granite", SCALED),
        ("Granite", {"attention_bias": True, "mlp_bias": True}),
        ("Llama", {"num_attention_heads": 4, "num_key_value_heads": 1, "head_dim": 24}),
        ("Llama", {"hidden_size": 96, "num_attention_heads": 6, "num_key_value_heads": 3}),
        ("Llama", {"rope_parameters": YARN | {"original_max_position_embeddings": 64}}),
        ("Llama", {"rope_parameters": YARN | {
            "original_max_position_embeddings": 64, "attention_factor": 1.4,
        }}),
        ("Llama", {"rope_parameters": YARN}),
        ("Qwen2", {"rope_parameters": YARN | {"original_max_position_embeddings": 64}}),
        ("Qwen2", {"tie_word_embeddings": True}),
        ("Qwen3", {"head_dim": 24, "num_key_value_heads": 4}),
        ("Mistral", {"head_dim": 32, "sliding_window": None}),
        ("Olmo2", {"tie_word_embeddings": True, "num_key_value_heads": 4}),
        ("SmolLM3", {"num_hidden_layers": 5, "tie_word_embeddings": False}),
        ("Mixtral", {"num_local_experts": 5, "head_dim": 24, **EXPERTS}),
    ],
)  # fmt: skip
def test_variants_agree_with_transformers(
    kind: str, changes: dict[str, Any], tmp_path: Path
) -> None:
    folder = write_hf(tmp_path / kind, make(kind, **changes))
    check(convert(folder, tmp_path / "out.gguf", ftype="F16"))


@pytest.mark.parametrize(
    ("kind", "changes"), [("Mixtral", {"num_local_experts": 4, **EXPERTS}),
                          ("Qwen3Moe", QWEN_EXPERTS)],
)  # fmt: skip
def test_experts_fused_as_in_memory(kind: str, changes: dict[str, Any], tmp_path: Path) -> None:
    model = make(kind, **changes)
    folder = write_hf(tmp_path / kind, model)
    one_by_one = convert(folder, tmp_path / "a.gguf", ftype="F16", parity="off")
    (folder / "model.safetensors").unlink()
    torch.save(model.state_dict(), folder / "pytorch_model.bin")
    assert any(name.endswith("experts.gate_up_proj") for name in model.state_dict())
    fused = convert(folder, tmp_path / "b.gguf", ftype="F16")
    check(fused)
    tensors = [
        {t.name: t.data.tobytes() for t in gguf.GGUFReader(result.output).tensors}
        for result in (one_by_one, fused)
    ]
    assert tensors[0] == tensors[1]


def test_configurations_of_transformers_4(tmp_path: Path) -> None:
    llama3 = {
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 64,
    }
    scaled = {"rope_type": "llama3", "rope_theta": 5000.0, **llama3}
    folder = write_hf(tmp_path / "llama", make("Llama", rope_parameters=scaled))
    new = convert(folder, tmp_path / "new.gguf", ftype="F16")

    def as_before(config: dict[str, Any]) -> None:
        del config["rope_parameters"]
        config |= {"rope_theta": 5000.0, "rope_scaling": {"type": "llama3", **llama3}}

    edit_config(folder, as_before)
    old = convert(folder, tmp_path / "old.gguf", ftype="F16")
    check(old)
    files = [gguf.GGUFReader(result.output) for result in (new, old)]
    factors, again = (next(t for t in f.tensors if t.name == "rope_freqs.weight") for f in files)
    assert factors.data.tobytes() == again.data.tobytes()
    assert factors.data.min() == 1.0
    assert factors.data.max() == 8.0
    assert keys(old)["llama.rope.freq_base"] == 5000.0


def test_a_configuration_without_base_means_that_of_transformers(tmp_path: Path) -> None:
    folder = write_hf(tmp_path / "llama", make("Llama"))
    edit_config(folder, lambda config: config.pop("rope_parameters"))
    result = convert(folder, tmp_path / "out.gguf", ftype="F16")
    check(result)
    assert any("no rope_theta: 10000" in note for note in result.plan["notes"])


def test_without_model_type_the_class_tells(tmp_path: Path) -> None:
    folder = write_hf(tmp_path / "llama", make("Qwen3Moe", **QWEN_EXPERTS))
    edit_config(folder, lambda config: config.pop("model_type"))
    result = convert(folder, tmp_path / "out.gguf", parity="off")
    assert result.plan["arch"] == "qwen3moe"


def test_a_model_without_head_and_prefix(tmp_path: Path) -> None:
    model = make("Llama", tie_word_embeddings=True)
    folder = write_hf(tmp_path / "llama", model)
    whole = convert(folder, tmp_path / "a.gguf", ftype="F16", parity="off")
    model.model.save_pretrained(folder)
    bare = convert(folder, tmp_path / "b.gguf", ftype="F16", parity="off")
    a, b = (gguf.GGUFReader(result.output).tensors for result in (whole, bare))
    assert [(t.name, t.data.tobytes()) for t in a] == [(t.name, t.data.tobytes()) for t in b]
    edit_config(folder, lambda config: config.update(tie_word_embeddings=False))
    with pytest.raises(ArchitectureError, match="not tied, but it is not there"):
        convert(folder, tmp_path / "c.gguf", parity="off")


def test_a_head_that_differs_from_its_embedding_is_kept(tmp_path: Path) -> None:
    folder = write_hf(tmp_path / "llama", make("Llama"))
    edit_config(folder, lambda config: config.update(tie_word_embeddings=True))
    result = convert(folder, tmp_path / "out.gguf", ftype="F16")
    check(result)
    assert any("both are kept" in note for note in result.plan["notes"])


@pytest.mark.parametrize(
    ("kind", "changes", "n_ctx"),
    [
        ("Mistral", {"sliding_window": 64}, 64),
        ("Mistral", {"sliding_window": 256}, 256),
        ("Mistral", {"sliding_window": None}, 256),
        ("Qwen2", {"sliding_window": 64}, 256),
        ("Qwen2", {"sliding_window": 64, "use_sliding_window": True, "max_window_layers": 1}, 64),
        ("Qwen2", {"sliding_window": 64, "use_sliding_window": True, "max_window_layers": 2}, 256),
        ("Llama", {"rope_parameters": YARN | {"rope_type": "dynamic"}}, 256),
    ],
)
def test_a_file_ends_where_llama_cpp_would_differ(
    kind: str, changes: dict[str, Any], n_ctx: int, tmp_path: Path
) -> None:
    folder = write_hf(tmp_path / kind, make(kind, **changes))
    result = convert(folder, tmp_path / "out.gguf", ftype="F16")
    check(result)
    assert keys(result)[f"{result.plan['arch']}.context_length"] == n_ctx
    limited = any("limited to" in note for note in result.plan["notes"])
    assert limited == (n_ctx < 256 or kind == "Llama")


def test_a_mistral_that_says_nothing_of_its_window_has_transformers_own(tmp_path: Path) -> None:
    folder = write_hf(tmp_path / "mistral", make("Mistral", max_position_embeddings=8192))
    edit_config(folder, lambda config: config.pop("sliding_window"))
    result = convert(folder, tmp_path / "out.gguf", parity="off")
    assert keys(result)["llama.context_length"] == 4096


def put(**values: Any) -> Callable[[dict[str, Any]], Any]:
    return lambda config: config.update(values)


def rope(**values: Any) -> Callable[[dict[str, Any]], Any]:
    return put(rope_parameters={"rope_theta": 10000.0, **values})


REFUSED: list[tuple[str, dict[str, Any], Callable[[dict[str, Any]], Any], str]] = [
    ("Llama", {}, put(hidden_act="gelu"), "hidden_act is 'gelu'"),
    ("Llama", {}, put(logit_scale=0.5), "logit_scale is 0.5"),
    ("Llama", {}, put(attn_logit_softcapping=50.0), "attn_logit_softcapping"),
    ("Llama", {}, put(clip_qkv=8), "clip_qkv is 8"),
    ("Llama", {}, put(attention_multiplier=0.1), "attention_multiplier is 0.1"),
    ("Llama", {}, put(layer_types=[[]]), "layer_types has []"),
    ("Llama", {}, put(rms_norm_eps=-1), "not between 0 and 1"),
    ("Llama", {}, put(model_type=[]), "no family"),
    ("Llama", {}, put(layer_types=["full_attention", "mamba"]), "layer_types has 'mamba'"),
    ("Llama", {}, put(partial_rotary_factor=0.5), "partial_rotary_factor is 0.5"),
    ("Llama", {}, put(num_hidden_layers=3), "num_hidden_layers is 3"),
    ("Llama", {}, put(num_attention_heads=6), "rows, but 6 heads"),
    ("Llama", {}, put(num_key_value_heads=3), "do not divide"),
    ("Llama", {}, put(num_key_value_heads=4), "asks for"),
    ("Llama", {}, put(head_dim=1 << 30), "rows, but 4 heads"),
    ("Llama", {}, put(intermediate_size=95), "asks for"),
    ("Llama", {}, put(rms_norm_eps=None), "--set rms_norm_eps"),
    ("Llama", {}, put(rms_norm_eps="1e-5"), "not a number"),
    ("Llama", {}, put(max_position_embeddings=None), "--set max_position_embeddings"),
    ("Llama", {}, rope(rope_type="longrope"), "longrope"),
    ("Llama", {}, rope(rope_type="new"), "type 'new'"),
    ("Llama", {}, rope(rope_type="linear"), "no usable factor"),
    ("Llama", {}, rope(rope_type="yarn", factor=2.0, beta_fast=16), "beta_fast=16"),
    ("Llama", {}, rope(rope_type="yarn", factor=2.0, truncate=False), "truncation"),
    ("Llama", {}, rope(rope_theta="many"), "rope_theta"),
    ("Qwen3", {"attention_bias": True}, put(), "attention_bias is True"),
    ("Qwen3Moe", QWEN_EXPERTS, put(norm_topk_prob=False), "norm_topk_prob"),
    ("Qwen3Moe", QWEN_EXPERTS, lambda c: c.pop("norm_topk_prob"), "norm_topk_prob"),
    ("Qwen3Moe", QWEN_EXPERTS | {"decoder_sparse_step": 2}, put(), "decoder_sparse_step is 2"),
    ("Qwen3Moe", QWEN_EXPERTS | {"mlp_only_layers": [1]}, put(), "mlp_only_layers"),
    ("Qwen3Moe", QWEN_EXPERTS, put(num_experts_per_tok=9), "num_experts_per_tok is 9"),
    ("Qwen3Moe", QWEN_EXPERTS, put(num_local_experts=10**9), "more than llama.cpp has"),
    ("SmolLM3", {"no_rope_layers": [1, 0]}, put(), "no_rope_layers"),
    ("SmolLM3", {}, put(no_rope_layers=None, no_rope_layer_interval=3), "no_rope_layer_interval"),
    ("Olmo2", {"head_dim": 32}, put(), "both alike"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "changes", "edit", "part"), REFUSED)
def test_what_llama_cpp_does_not_compute_is_refused_by_name(
    kind: str,
    changes: dict[str, Any],
    edit: Callable[[dict[str, Any]], Any],
    part: str,
    tmp_path: Path,
) -> None:
    folder = tmp_path / kind
    make(kind, **changes).save_pretrained(folder)
    write_tokenizer(folder)
    edit_config(folder, edit)
    with pytest.raises((ArchitectureError, OpenQuestions)) as error:
        convert(folder, tmp_path / "out.gguf", parity="off")
    assert part in str(error.value)
    assert not (tmp_path / "out.gguf").exists()


def test_code_in_a_configuration_is_not_run_and_that_is_said(tmp_path: Path) -> None:
    folder = write_hf(tmp_path / "llama", make("Llama"))
    edit_config(folder, put(auto_map={"AutoModelForCausalLM": "own.OwnForCausalLM"}))
    (folder / "own.py").write_text("raise SystemExit('it was run')\n")
    result = convert(folder, tmp_path / "out.gguf", ftype="F16")
    check(result)
    assert any("was not run" in note for note in result.plan["notes"])


def test_known_models_are_refused_with_the_nearest_family(tmp_path: Path) -> None:
    folder = tmp_path / "llama"
    make("Llama").save_pretrained(folder)
    write_tokenizer(folder)
    names = {family.description for family in FAMILIES}
    for kind, (difference, nearest, _) in UNSUPPORTED.items():
        edit_config(folder, put(model_type=kind))
        with pytest.raises(ArchitectureError) as error:
            convert(folder, tmp_path / "out.gguf", parity="off")
        assert (
            f"is of the type {kind}, which we do not convert: {difference}" in error.value.message
        )
        assert any(nearest.partition("-MoE")[0] in name for name in names), nearest
        assert error.value.hint


def test_a_word_that_stands_for_no_number_is_no_crash(tmp_path: Path) -> None:
    config = {"model_type": "llama", "rope_theta": {"__float__": "x"}, "vocab_size": 8}
    made = Checkpoint(tmp_path, "made", {}, config=config | {"hidden_size": 4})
    with pytest.raises(Unavailable, match="transformers"):
        build(made, "AutoModelForCausalLM")
