"""LoRA folders of peft, merged here and by peft itself."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from convert.checkpoints import open_checkpoint, peft_adapter, peft_patterns
from convert.checkpoints.checkpoint import Checkpoint
from convert.errors import CheckpointError, ConvertError, UsageError
from convert.parity.hf import HuggingFace
from tests.convert.lora_folders import (
    adapt,
    biased_llama,
    gpt2,
    gptneox,
    llama,
    make,
    tied_llama,
    untied_gpt2,
)
from tests.convert.tiny import N_TOKENS, write_hf

PREFIX = "base_model.model.model.layers.0.self_attn.q_proj"
CONV1D = {"target_modules": ["c_attn", "c_proj", "c_fc"], "fan_in_fan_out": True}
CASES: dict[str, tuple[Any, dict[str, Any]]] = {
    "lora": (llama, {"target_modules": ["q_proj", "v_proj"]}),
    "all-linear": (llama, {"target_modules": "all-linear"}),
    "rslora": (
        llama,
        {"r": 8, "lora_alpha": 16, "target_modules": ["q_proj", "down_proj"], "use_rslora": True},
    ),
    "dora": (llama, {"target_modules": ["k_proj", "o_proj", "up_proj"], "use_dora": True}),
    "rsdora": (llama, {"target_modules": ["v_proj"], "use_dora": True, "use_rslora": True}),
    "patterns": (
        llama,
        {
            "target_modules": ["q_proj", "o_proj", "up_proj"],
            # the first that fits holds, in the alphabet's order: so peft saves them
            "rank_pattern": {r"layers\.1\.self_attn\.(q|k)_proj": 6, "o_proj": 2, "up.*": 3},
            "alpha_pattern": {
                "model.layers.0.self_attn.q_proj": 3,
                "proj": 100,
                r"^model\.layers\.\d+\.mlp\.up_proj": 5,
            },
        },
    ),
    "rslora-patterns": (
        llama,
        {
            "target_modules": ["q_proj", "v_proj"],
            "use_rslora": True,
            "rank_pattern": {"v_proj": 9},
            "alpha_pattern": {"q_proj": 7},
        },
    ),
    "modules-to-save": (
        llama,
        {"target_modules": ["q_proj"], "modules_to_save": ["lm_head", "embed_tokens", "norm"]},
    ),
    "lm-head": (llama, {"target_modules": ["lm_head", "v_proj"]}),
    "embedding": (llama, {"target_modules": ["embed_tokens", "q_proj"]}),
    "embedding-dora": (llama, {"target_modules": ["embed_tokens"], "use_dora": True}),
    "tokens": (llama, {"target_modules": ["q_proj"], "trainable_token_indices": [3, 511, 7]}),
    "layers": (llama, {"target_modules": ["q_proj"], "layers_to_transform": [1]}),
    "orthogonal": (llama, {"target_modules": ["q_proj"], "init_lora_weights": "orthogonal"}),
    "lora-bias": (biased_llama, {"target_modules": ["q_proj", "o_proj"], "lora_bias": True}),
    "gptneox": (gptneox, {"target_modules": ["query_key_value", "dense"]}),
    "gptneox-head": (gptneox, {"target_modules": ["lm_head", "embed_in"]}),
    "conv1d": (gpt2, CONV1D),
    "conv1d-dora": (gpt2, CONV1D | {"use_dora": True}),
    "conv1d-and-linear": (untied_gpt2, {"target_modules": ["c_proj", "lm_head"]}),
    "positions": (gpt2, {"target_modules": ["wpe", "c_attn"]}),
    "bias-all": (gpt2, {"target_modules": ["c_attn"], "bias": "all", "fan_in_fan_out": True}),
    "bias-lora": (gpt2, {"target_modules": ["c_fc"], "bias": "lora_only", "fan_in_fan_out": True}),
}
TIED: dict[str, tuple[Any, dict[str, Any], bool]] = {
    "embedding": (tied_llama, {"target_modules": ["embed_tokens"]}, False),
    "head": (tied_llama, {"target_modules": ["lm_head", "q_proj"]}, False),
    "both": (tied_llama, {"target_modules": ["lm_head", "embed_tokens"]}, False),
    "saved": (
        tied_llama,
        {"target_modules": ["q_proj"], "modules_to_save": ["embed_tokens"]},
        False,
    ),
    "saved-head": (gpt2, {"target_modules": ["c_fc"], "modules_to_save": ["lm_head"]}, False),
    "kept": (
        tied_llama,
        {
            "target_modules": ["q_proj"],
            "modules_to_save": ["embed_tokens"],
            "ensure_weight_tying": True,
        },
        True,
    ),
    "tokens": (
        tied_llama,
        {"target_modules": ["q_proj"], "trainable_token_indices": [5, 9]},
        True,
    ),
    "gpt2-embedding": (gpt2, {"target_modules": ["wte"]}, False),
}


def assert_same_logits(merged: Checkpoint, adapted: Any) -> None:
    """transformers, given the merged tensors and configuration, computes what peft does."""
    ids = [5, 400, 17, 230, 9, 511, 3, 64]
    with torch.inference_mode():
        expected = adapted(torch.tensor([ids])).logits[0]
    found = torch.from_numpy(HuggingFace(merged).logits(ids))
    assert expected.std() > 0.5
    assert torch.allclose(found, expected, atol=2e-4), (found - expected).abs().max()


@pytest.mark.parametrize("name", CASES)
def test_merged_weights_are_pefts(name: str, tmp_path: Path) -> None:
    model, config = CASES[name]
    base, adapter, adapted = make(tmp_path, model(), **config)
    before = open_checkpoint(base)
    merged = peft_adapter.merge(before, adapter)
    assert_same_logits(merged, adapted)
    expected = adapted.merge_and_unload().state_dict()
    changed = 0
    for key, tensor in merged.tensors.items():
        found = torch.from_numpy(tensor.float32())
        name = key.replace("embed_out", "lm_head")  # GPT-NeoX in memory
        assert torch.allclose(found, expected[name], rtol=1e-6, atol=1e-6), key
        blocks = torch.cat([torch.from_numpy(tensor.read(i, i + 1)) for i in range(tensor.n_rows)])
        assert torch.allclose(blocks.reshape(found.shape), found, atol=1e-6), key
        changed += key not in before.tensors or tensor is not before.tensors[key]
    assert changed
    assert merged.files[-1] == adapter / "adapter_model.safetensors"


@pytest.mark.parametrize("name", TIED)
def test_a_tied_embedding_trained_on_one_side_is_untied(name: str, tmp_path: Path) -> None:
    model, config, stays = TIED[name]
    base, adapter, adapted = make(tmp_path, model(), **config)
    merged = peft_adapter.open_adapter(adapter, base)
    assert_same_logits(merged, adapted)
    assert ("lm_head.weight" not in merged.tensors) == stays
    assert any("no longer tied" in note for note in merged.notes) != stays


def test_a_resized_vocabulary_comes_from_the_adapter(tmp_path: Path) -> None:
    for model, config in (
        (llama(), {"target_modules": ["q_proj"]}),
        (tied_llama(), {"target_modules": ["q_proj"]}),
        (llama(), {"target_modules": ["q_proj"], "modules_to_save": ["embed_tokens", "lm_head"]}),
        (llama(), {"target_modules": ["q_proj"], "trainable_token_indices": [N_TOKENS + 2, 4]}),
    ):
        base = write_hf(tmp_path / "base", model)
        bigger = copy.deepcopy(model)
        bigger.resize_token_embeddings(N_TOKENS + 8, mean_resizing=False)
        adapted = adapt(bigger, **config)
        adapted.save_pretrained(tmp_path / "adapter", save_embedding_layers=True)
        merged = peft_adapter.open_adapter(tmp_path / "adapter", base)
        assert merged.config["vocab_size"] == N_TOKENS + 8
        assert_same_logits(merged, adapted)


def test_the_notes_say_what_was_merged(tmp_path: Path) -> None:
    model, config = CASES["rslora"]
    base, adapter, _ = make(tmp_path, model(), **config)
    notes = peft_adapter.open_adapter(adapter, base).notes
    assert "4 weights merged: rsLoRA r=8 alpha=16 scale 5.657." in notes


def test_the_base_keeps_its_type(tmp_path: Path) -> None:
    _, adapter, _ = make(tmp_path, llama(), target_modules=["q_proj"])
    half = write_hf(tmp_path / "half", llama().bfloat16())
    merged = peft_adapter.open_adapter(adapter, half)
    assert {tensor.dtype for tensor in merged.tensors.values()} == {"BF16"}


def test_an_adapter_alone_finds_its_base_on_the_disk(tmp_path: Path) -> None:
    model, config = CASES["lora"]
    base, adapter, adapted = make(tmp_path, model(), **config)
    assert peft_adapter.recognise(adapter)
    assert peft_adapter.recognise(adapter / "adapter_model.safetensors")
    assert not peft_adapter.recognise(base)
    rewrite(adapter, base_model_name_or_path="somebody/somewhere")
    with pytest.raises(UsageError, match="'somebody/somewhere', is not on this disk") as error:
        peft_adapter.open_adapter(adapter)
    assert f"chatapp convert MODEL --lora {adapter}" in error.value.hint
    rewrite(adapter, base_model_name_or_path="unsloth/Qwen3-4B-bnb-4bit")
    with pytest.raises(UsageError) as error:
        peft_adapter.open_adapter(adapter)
    assert error.value.hint.startswith("That is a quantised copy: give the 16-bit model")
    notes = peft_adapter.open_adapter(adapter, base).notes
    assert any("trained on a quantised copy, unsloth/Qwen3-4B-bnb-4bit" in note for note in notes)
    rewrite(adapter, base_model_name_or_path=str(base))
    assert_same_logits(peft_adapter.open_adapter(adapter), adapted)
    # as trainers that save "the model" call it
    (adapter / "adapter_model.safetensors").rename(adapter / "model.safetensors")
    (adapter / "config.json").write_text((base / "config.json").read_text())
    assert peft_adapter.recognise(adapter)
    assert peft_adapter.recognise(adapter / "model.safetensors")
    assert_same_logits(peft_adapter.open_adapter(adapter), adapted)
    assert not peft_adapter.recognise(base / "model.safetensors")
    with pytest.raises(UsageError, match="is a LoRA adapter too"):
        peft_adapter.open_adapter(adapter, adapter)
    with pytest.raises(UsageError, match="It holds adapters in adapter"):
        peft_adapter.open_adapter(tmp_path, base)


def test_names_with_the_adapters_own_name_and_torch_files(tmp_path: Path) -> None:
    model, config = CASES["modules-to-save"]
    base, adapter, adapted = make(tmp_path, model(), **config)
    path = adapter / "adapter_model.safetensors"
    renamed = {}
    for name, tensor in load_file(path).items():
        module, _, end = name.rpartition(".weight")
        if "lora_" in name:
            renamed[f"{module}.default.weight{end}"] = tensor
        else:
            renamed[f"{module}.modules_to_save.default.weight{end}"] = tensor
            renamed[f"{module}.original_module.weight{end}"] = torch.zeros_like(tensor)
    path.unlink()
    torch.save(renamed, adapter / "adapter_model.bin")
    assert_same_logits(peft_adapter.open_adapter(adapter, base), adapted)
    renamed[f"{PREFIX}.lora_A.other.weight"] = torch.zeros(4, 64)
    torch.save(renamed, adapter / "adapter_model.bin")
    with pytest.raises(CheckpointError, match="twice, with other weights"):
        peft_adapter.open_adapter(adapter, base)


def rewrite(adapter: Path, **changes: Any) -> None:
    path = adapter / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """(base, adapter) of plain LoRA; tests put back what they change."""
    model, config = CASES["lora"]
    return make(tmp_path_factory.mktemp("plain"), model(), **config)[:2]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"peft_type": "IA3"}, "of type IA3"),
        ({"peft_type": "LOHA"}, "of type LOHA"),
        ({"peft_type": "PREFIX_TUNING"}, "of type PREFIX_TUNING"),
        ({"peft_type": None}, "of type None"),
        ({"use_qalora": True}, "use_qalora: QALoRA"),
        ({"alora_invocation_tokens": [1]}, "aLoRA"),
        ({"target_parameters": ["experts.gate_up_proj"]}, "target_parameters"),
        ({"kasa_config": {"beta": 1}}, "KaSA"),
        ({"use_new_thing": True}, "use_new_thing: something that came after"),
        ({"thing_config": {"a": 1}}, "thing_config"),
        ({"init_lora_weights": "corda"}, "changes the base model too"),
        ({"init_lora_weights": "pissa_niter_4"}, "changes the base model too"),
        ({"init_lora_weights": "olora"}, "'olora'"),
        ({"init_lora_weights": "loftq"}, "'loftq'"),
        ({"init_lora_weights": ["pissa"]}, "changes the base model too"),
        ({"r": 5}, "its rank is 4, the configuration says 5"),
        ({"lora_alpha": "8"}, "no number"),
        ({"lora_alpha": float("nan")}, "alpha"),
        ({"use_dora": True}, "lacks magnitudes"),
        ({"use_dora": "yes"}, "neither true nor false"),
        ({"rank_pattern": {"(": 3}}, "no regular expression"),
        ({"rank_pattern": {"(a{99999999999})": 3}}, "no regular expression"),
        ({"rank_pattern": [3]}, "no object"),
        ({"rank_pattern": {"q_proj": "4"}}, "its rank is 4"),
        ({"rank_pattern": {"x" * 2000: 4}}, "too long"),
    ],
)
def test_variants_are_refused_by_name(
    changes: dict[str, Any], reason: str, plain: tuple[Path, Path]
) -> None:
    base, adapter = plain
    path = adapter / "adapter_config.json"
    before = path.read_text()
    rewrite(adapter, **changes)
    try:
        with pytest.raises(CheckpointError, match=reason):
            peft_adapter.open_adapter(adapter, base)
    finally:
        path.write_text(before)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        (
            {
                "base_model.model.model.layers.9.x.lora_A.weight": torch.ones(4, 64),
                "base_model.model.model.layers.9.x.lora_B.weight": torch.ones(64, 4),
                "base_model.model.score.weight": torch.ones(2, 64),
                f"{PREFIX}.lora_C.weight": torch.ones(2),
            },
            r"adapts 3 weights .*q_proj\.lora_C\.weight, .*layers\.9\.x\.weight, score\.weight",
        ),
        ({f"{PREFIX}.lora_B.weight": torch.full((64, 4), torch.nan)}, "not finite"),
        ({f"{PREFIX}.lora_B.weight": torch.ones(32, 4)}, r"\(64, 64\) in the model, \(32, 64\)"),
        ({f"{PREFIX}.lora_B.weight": torch.ones(64, 3)}, "do not multiply"),
        ({f"{PREFIX}.lora_A.weight": torch.ones(0)}, "do not multiply"),
        ({f"{PREFIX}.lora_A.weight": None}, "no factor A"),
        ({f"{PREFIX}.lora_A.weight": torch.ones(4, 64, dtype=torch.int8)}, "holds I8"),
        ({f"{PREFIX}.lora_magnitude_vector": torch.ones(64)}, "has magnitudes"),
        ({f"{PREFIX}.lora_B.bias": torch.ones(64)}, r"q_proj\.bias"),
        ({"base_model.model.model.norm.weight": torch.ones(32)}, "does not fit model.norm.weight"),
        (
            {"base_model.model.model.embed_tokens.token_adapter.trainable_tokens_delta":
             torch.ones(2, 64)},
            "does not list its tokens",
        ),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_named(
    changes: dict[str, Any], reason: str, plain: tuple[Path, Path]
) -> None:
    base, adapter = plain
    path = adapter / "adapter_model.safetensors"
    whole = load_file(path)
    changed = {name: tensor for name, tensor in (whole | changes).items() if tensor is not None}
    save_file(changed, path)
    try:
        with pytest.raises(ConvertError, match=reason):
            peft_adapter.open_adapter(adapter, base)
    finally:
        save_file(whole, path)


def test_an_expression_that_never_ends_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peft_patterns, "MAX_SECONDS", 1.0)
    with pytest.raises(CheckpointError, match="too intricate"):
        peft_patterns.match(["(a|a)*b"], ["a" * 80], "rank_pattern")


def test_patterns_are_matched_as_peft_does() -> None:
    from peft.utils.other import get_pattern_key

    names = [f"model.layers.{i}.self_attn.{letter}_proj" for i in (0, 1, 11) for letter in "qk"]
    for patterns in (
        ["q_proj", "self_attn.k_proj"],
        ["layers.1.self_attn.q_proj", r"^model\.layers\.11", r"layers\.\d\.self_attn\..+"],
        ["proj", ".*", "q_proj"],
        ["(layers|blocks).[01].*", "^q_proj$"],
        ["q_proj|k_proj"],
    ):
        found = peft_patterns.match(patterns, names, "rank_pattern")
        for name, index in zip(names, found, strict=True):
            expected = get_pattern_key(patterns, name)
            assert (patterns[index] if index >= 0 else name) == expected
