"""LoRA folders of peft, merged here and by peft itself."""

from __future__ import annotations

import copy
import json
import warnings
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
import transformers as hf
from safetensors.torch import load_file, save_file

from convert.checkpoints import open_checkpoint, peft_adapter
from convert.errors import CheckpointError, ConvertError, UsageError
from convert.pipeline import convert
from tests.convert.tiny import N_TOKENS, write_hf

torch.set_num_threads(1)
hf.logging.set_verbosity_error()
warnings.filterwarnings("ignore", category=UserWarning, module="peft")


def gpt2() -> Any:
    config = hf.GPT2Config(
        vocab_size=N_TOKENS, n_embd=64, n_layer=2, n_head=4, n_positions=64,
        bos_token_id=0, eos_token_id=1,
    )  # fmt: skip
    return hf.GPT2LMHeadModel(config).eval()


def llama(**changes: Any) -> Any:
    config = hf.LlamaConfig(
        vocab_size=N_TOKENS, hidden_size=64, intermediate_size=96, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=128,
        bos_token_id=0, eos_token_id=1, pad_token_id=None, **changes,
    )  # fmt: skip
    return hf.LlamaForCausalLM(config).eval()


def randomise(model: Any) -> None:
    generator = torch.Generator().manual_seed(4)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "lora_magnitude" in name:
                weight.mul_(1 + 0.3 * torch.rand(weight.shape, generator=generator))
            elif "lora_" in name or "modules_to_save" in name:
                weight.copy_(torch.randn(weight.shape, generator=generator) * 0.1)
            elif weight.requires_grad:
                weight.add_(torch.randn(weight.shape, generator=generator) * 0.1)


def make(folder: Path, model: Any, **config: Any) -> tuple[Path, Path, Any]:
    """(base folder, adapter folder, peft's model) with a random adapter."""
    base = write_hf(folder / "base", model)
    adapted = peft.get_peft_model(copy.deepcopy(model), peft.LoraConfig(**config)).eval()
    randomise(adapted)
    adapted.save_pretrained(folder / "adapter")
    return base, folder / "adapter", adapted


CASES: dict[str, tuple[Any, dict[str, Any]]] = {
    "lora": (llama, {"r": 4, "lora_alpha": 8, "target_modules": ["q_proj", "v_proj"]}),
    "all-linear": (llama, {"r": 4, "lora_alpha": 8, "target_modules": "all-linear"}),
    "rslora": (
        llama,
        {"r": 8, "lora_alpha": 16, "target_modules": ["q_proj", "down_proj"], "use_rslora": True},
    ),
    "dora": (
        llama,
        {"r": 4, "lora_alpha": 8, "target_modules": ["k_proj", "up_proj"], "use_dora": True},
    ),
    "patterns": (
        llama,
        {
            "r": 4,
            "lora_alpha": 8,
            "target_modules": ["q_proj", "o_proj"],
            "rank_pattern": {"o_proj": 2, r"layers\.1\.self_attn\.q_proj": 6},
            "alpha_pattern": {"layers.0.self_attn.q_proj": 3},
        },
    ),
    "gpt2-conv1d": (
        gpt2,
        {"r": 4, "lora_alpha": 8, "target_modules": ["c_attn", "c_proj"], "fan_in_fan_out": True},
    ),
    "gpt2-conv1d-dora": (
        gpt2,
        {
            "r": 4,
            "lora_alpha": 8,
            "target_modules": ["c_attn", "c_proj"],
            "fan_in_fan_out": True,
            "use_dora": True,
        },
    ),
    "modules-to-save": (
        llama,
        {
            "r": 4,
            "lora_alpha": 8,
            "target_modules": ["q_proj"],
            "modules_to_save": ["lm_head", "embed_tokens"],
        },
    ),
    "bias": (
        gpt2,
        {
            "r": 4,
            "lora_alpha": 8,
            "target_modules": ["c_attn"],
            "bias": "all",
            "fan_in_fan_out": True,
        },
    ),
    "embedding": (
        llama,
        {"r": 4, "lora_alpha": 8, "target_modules": ["embed_tokens", "q_proj"]},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_merged_weights_are_pefts(name: str, tmp_path: Path) -> None:
    model, config = CASES[name]
    base, adapter, adapted = make(tmp_path, model(), **config)
    merged = peft_adapter.merge(open_checkpoint(base), adapter)
    expected = adapted.merge_and_unload().state_dict()
    changed = 0
    for key, tensor in merged.tensors.items():
        found = torch.from_numpy(tensor.float32())
        assert torch.allclose(found, expected[key], atol=2e-6), key
        changed += "merged" in tensor.identity or "magnitude" in tensor.identity
    assert changed
    assert "weights merged" in merged.notes[-1] or "weights merged" in " ".join(merged.notes)


@pytest.mark.parametrize("name", ["rslora", "dora", "gpt2-conv1d-dora", "modules-to-save"])
def test_the_file_is_the_adapted_model(name: str, tmp_path: Path) -> None:
    model, config = CASES[name]
    base, adapter, adapted = make(tmp_path, model(), **config)
    result = convert(base, tmp_path / "out.gguf", ftype="F16", lora=adapter)
    assert result.proof is not None
    assert result.proof["parity"]["at_source"]["top1"] >= 0.99
    from tests.convert.test_gpt2_spellings import compare

    class Adapted(torch.nn.Module):
        def forward(self, ids: torch.Tensor) -> torch.Tensor:
            return adapted(ids[None]).logits[0]  # type: ignore[no-any-return]

    report = compare(result.output, Adapted())
    print(f"{name:18} {report['top1']:.4f} {report['kl_mean']:.2e}")
    assert report["top1"] >= 0.99


def test_an_embedding_trained_alone_is_untied(tmp_path: Path) -> None:
    config = {"r": 4, "lora_alpha": 8, "target_modules": ["embed_tokens"]}
    base, adapter, adapted = make(tmp_path, llama(tie_word_embeddings=True), **config)
    merged = peft_adapter.merge(open_checkpoint(base), adapter)
    head = torch.from_numpy(merged.tensors["lm_head.weight"].float32())
    with torch.inference_mode():
        assert torch.equal(head, adapted.base_model.model.lm_head.weight)
    assert any("no longer tied" in note for note in merged.notes)


def test_an_adapter_alone_finds_its_base_on_the_disk(tmp_path: Path) -> None:
    model, config = CASES["lora"]
    base, adapter, _ = make(tmp_path, model(), **config)
    path = adapter / "adapter_config.json"
    said = json.loads(path.read_text())
    path.write_text(json.dumps(said | {"base_model_name_or_path": "somebody/somewhere"}))
    with pytest.raises(UsageError, match="is a LoRA adapter") as error:
        convert(adapter)
    assert "--lora" in error.value.hint
    path.write_text(json.dumps(said | {"base_model_name_or_path": str(base)}))
    result = convert(adapter, tmp_path / "out.gguf", parity="off")
    assert any("merged" in note for note in result.plan["notes"])


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"peft_type": "IA3"}, "of type IA3"),
        ({"use_qalora": True}, "use_qalora"),
        ({"trainable_token_indices": [1, 2]}, "trainable_token_indices"),
        ({"r": 5}, "does not fit"),
        ({"lora_alpha": "8"}, "does not fit"),
        ({"use_dora": True}, "magnitudes"),
        ({"rank_pattern": {"(a+)+b": 3}}, "too intricate"),
        ({"rank_pattern": {"(": 3}}, "no expression"),
    ],
)
def test_variants_are_refused_by_name(changes: dict[str, Any], reason: str, tmp_path: Path) -> None:
    model, config = CASES["lora"]
    base, adapter, _ = make(tmp_path, model(), **config)
    path = adapter / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    with pytest.raises(CheckpointError, match=reason):
        peft_adapter.merge(open_checkpoint(base), adapter)


def test_what_belongs_to_another_model_is_named(tmp_path: Path) -> None:
    model, config = CASES["lora"]
    base, adapter, _ = make(tmp_path, model(), **config)
    path = adapter / "adapter_model.safetensors"
    whole = load_file(path)
    for change, reason in (
        ({"base_model.model.model.layers.9.x.lora_A.weight": torch.ones(4, 64)}, "layers.9.x"),
        ({"base_model.model.score.weight": torch.ones(2, 64)}, "score.weight"),
        (
            {
                "base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight": torch.full(
                    (64, 4), float("nan")
                )
            },
            "not finite",
        ),
    ):
        save_file(whole | change, path)
        with pytest.raises(ConvertError, match=reason):
            peft_adapter.merge(open_checkpoint(base), adapter)
