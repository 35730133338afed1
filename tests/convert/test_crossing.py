"""Every family that --arch can name, on every kind of checkpoint: a model, a question or a
sentence, and never one that its own configuration says it is not."""

from __future__ import annotations

import json
import random
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf

from convert.architectures import FAMILIES, bare, read_model
from convert.checkpoints.checkpoint import Checkpoint
from convert.checkpoints.operations import computed
from convert.errors import ArchitectureError, ConvertError
from convert.pipeline import convert
from convert.questions import OpenQuestions
from tests.convert.conftest import make_state
from tests.convert.test_families import GATED, MODELS
from tests.convert.test_llama_spellings import litgpt_state, meta_state, tune_state
from tests.convert.tiny import N_TOKENS, write_hf

GPT2 = {"vocab_size": N_TOKENS, "n_positions": 64, "n_embd": 64, "n_layer": 2, "n_head": 4}
NANO = {"n_embd": 64, "vocab_size": N_TOKENS, "block_size": 64, "n_layer": 2, "bias": True}
STATES = {
    "nanogpt": lambda: make_state(NANO),
    "meta": meta_state,
    "torchtune": tune_state,
    "litgpt": lambda: litgpt_state(grouped=True),
}
OTHERS = {
    "bert": lambda: hf.BertModel(hf.BertConfig(**small())),
    "roberta": lambda: hf.RobertaForMaskedLM(hf.RobertaConfig(**small())),
    "distilbert": lambda: hf.DistilBertForMaskedLM(
        hf.DistilBertConfig(vocab_size=N_TOKENS, dim=64, n_layers=2, n_heads=4, hidden_dim=96)
    ),
    "deberta": lambda: hf.DebertaV2ForMaskedLM(hf.DebertaV2Config(**small())),
    "electra": lambda: hf.ElectraModel(hf.ElectraConfig(**small())),
    "gpt2": lambda: hf.GPT2LMHeadModel(hf.GPT2Config(**GPT2)),
    "opt": lambda: hf.OPTForCausalLM(hf.OPTConfig(**small(), ffn_dim=96, word_embed_proj_dim=64)),
    "classifier": lambda: hf.LlamaForSequenceClassification(hf.LlamaConfig(**GATED)),
    "gpt2-classifier": lambda: hf.GPT2ForSequenceClassification(hf.GPT2Config(**GPT2)),
    "helium": lambda: hf.HeliumForCausalLM(hf.HeliumConfig(**GATED, head_dim=16)),
}


def small() -> dict[str, Any]:
    names = ("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads")
    return {name: GATED[name] for name in names} | {"max_position_embeddings": 64}


@cache
def made(name: str) -> Checkpoint:
    """A tiny random model as if it had been read from a folder."""
    if name in STATES:
        state, config = STATES[name](), {}
    else:
        torch.manual_seed(1)
        model = (MODELS | OTHERS)[name]()
        state, config = model.state_dict(), json.loads(model.config.to_json_string())
        config["architectures"] = [type(model).__name__]
    tensors = {
        key: computed(key, value.detach().float().numpy(), key) for key, value in state.items()
    }
    return Checkpoint(Path("model"), "made", tensors, config=config)


def ask(name: str, arch: str | None, config: dict[str, Any]) -> str:
    """What becomes of it: the layout, or the refusal."""
    known = made(name)
    checkpoint = Checkpoint(Path("model"), "made", known.tensors, config=config)
    try:
        return f"read as {read_model(bare.complete(checkpoint, arch), arch).arch}"
    except ConvertError as error:
        return str(error)


NAMES = [*STATES, *MODELS, *OTHERS]


@pytest.mark.parametrize("name", NAMES)
def test_every_family_on_every_checkpoint_ends_in_a_sentence(name: str) -> None:
    config = made(name).config
    for arch in (None, *(family.name for family in FAMILIES)):
        for said in (config, {}, {"model_type": "frobnicate"}, config | {"model_type": 7}):
            found = ask(name, arch, said)
            assert found
            assert "in another form" not in found, (arch, said, found)


@pytest.mark.parametrize("name", ["deberta", "electra", "opt", "helium"])
def test_no_hint_leads_to_a_file_of_another_model(name: str) -> None:
    with pytest.raises(ArchitectureError) as error:
        read_model(made(name))
    assert "--arch" not in str(error.value)
    for family in FAMILIES:
        assert not ask(name, family.name, made(name).config).startswith("read as"), family.name


@pytest.mark.parametrize("name", ["classifier", "gpt2-classifier"])
@pytest.mark.parametrize("bare_state", [False, True])
def test_a_classifier_is_called_one(name: str, bare_state: bool) -> None:
    config = {} if bare_state else made(name).config
    assert "gives scores, not the next token" in ask(name, None, config)


@pytest.mark.parametrize(
    ("name", "families"),
    [
        ("llama", ["llama", "mistral", "smollm3", "granite"]),
        ("smollm3", ["llama", "mistral", "smollm3", "granite"]),
        ("granite", ["llama", "mistral", "smollm3", "granite"]),
        ("qwen2", []),
        ("qwen3", []),
        ("olmo2", []),
    ],
)
def test_a_state_dict_that_several_families_share_is_asked_for(
    name: str, families: list[str]
) -> None:
    checkpoint = Checkpoint(Path("model.pt"), "made", made(name).tensors)
    with pytest.raises(OpenQuestions) as error:
        read_model(bare.complete(checkpoint, None))
    asked = {question.name: question for question in error.value.questions}
    offered = [choice.value for choice in asked["arch"].choices] if "arch" in asked else []
    assert offered == families
    assert ("num_attention_heads" in asked) == (name != "qwen3"), "a norm of a head tells"
    granite = ask("granite", "granite", {})
    assert "logits_scaling" in granite
    assert "n_head" not in ask("granite", "granite", {"n_head": 4})


def test_a_damaged_configuration_is_a_sentence() -> None:
    chance = random.Random(5)
    odd = (None, True, -1, 0, 3, 1 << 40, 0.5, float("nan"), "", "silu", [], [1], {}, {"a": 1})
    for name in ("llama", "gemma3", "mixtral", "gptneox", "falcon-7b", "bert", "gpt2"):
        for _ in range(40):
            config = dict(made(name).config)
            for key in chance.sample(sorted(config), 3):
                config[key] = chance.choice(odd)
            assert ask(name, None, config)


@pytest.mark.parametrize("name", ["smollm3", "granite", "qwen2", "qwen3", "olmo2"])
def test_a_state_dict_with_every_answer_is_the_model(name: str, tmp_path: Path) -> None:
    folder = write_hf(tmp_path / "whole", MODELS[name]().eval())
    said = json.loads((folder / "config.json").read_text())
    (folder / "config.json").unlink()
    said["rope_theta"] = said["rope_parameters"]["rope_theta"]
    arch = name if name in ("smollm3", "granite") else None  # the others' tensors tell
    with pytest.raises(OpenQuestions) as error:
        convert(folder / "model.safetensors", arch=arch)
    answers = {question.name: said[question.name] for question in error.value.questions}
    output = tmp_path / "out.gguf"
    result = convert(folder / "model.safetensors", output, settings=answers, arch=arch)
    assert result.proof is not None
    assert result.proof["parity"]["top1"] > 0.99, result.proof["parity"]
    assert "transformers" in result.proof["parity"]["reference"]
