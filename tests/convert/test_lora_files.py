"""Files of adapted models, merged or with an adapter beside them, against peft's own logits."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from convert.adapter import run_adapter, write_adapter
from convert.adapter_file import AdaptedFile
from convert.checkpoints import locate, open_checkpoint
from convert.checkpoints.checkpoint import Checkpoint, Finding
from convert.cli import main
from convert.errors import CheckpointError, ProofError, UsageError
from convert.libllama import ModelFile
from convert.options import Options
from convert.parity.measure import Agreement
from convert.pipeline import convert, make_plan
from convert.questions import OpenQuestions
from convert.samples import PROSE
from convert.vocab.chat import load_template
from tests.convert.hand_written import HEADS, Book, save
from tests.convert.hand_written import randomise as fill
from tests.convert.lora_folders import (
    adapt,
    gpt2,
    gptneox,
    llama,
    make,
    phi3,
    tied_llama,
    untied_gpt2,
)

ATTENTION = ["q_proj", "k_proj", "v_proj", "o_proj"]
MLP = ["gate_proj", "up_proj", "down_proj"]
GPT2 = {"target_modules": ["c_attn", "c_proj", "c_fc"], "fan_in_fan_out": True}
Case = tuple[Any, dict[str, Any]]


def agree(file: ModelFile, adapted: Any) -> dict[str, Any]:
    """How far `file` computes what `adapted` does, on the sample text."""
    ids = file.tokenize(PROSE, add_special=False, parse_special=False)[: file.n_ctx_train]
    with torch.inference_mode():
        expected = adapted(torch.tensor([ids])).logits[0].numpy()
    sums = Agreement()
    sums.add(expected, file.logits(ids), ids)
    return sums.report()


MERGED: dict[str, Case] = {
    "rslora": (llama, {"target_modules": ATTENTION + MLP, "use_rslora": True}),
    "dora": (llama, {"target_modules": ATTENTION, "use_dora": True}),
    "gpt2-dora": (gpt2, GPT2 | {"use_dora": True}),
    "saved": (llama, {"target_modules": ["q_proj"], "modules_to_save": ["lm_head"]}),
    "embedding": (tied_llama, {"target_modules": ["embed_tokens", "q_proj"]}),
    "gpt2-embedding": (gpt2, {"target_modules": ["wte"]}),
}


@pytest.mark.parametrize("name", MERGED)
def test_the_merged_file_is_the_adapted_model(name: str, tmp_path: Path) -> None:
    model, config = MERGED[name]
    base, adapter, adapted = make(tmp_path, model(), **config)
    # transformers gets the merged weights and configuration where ties are the question
    parity = "auto" if "embedding" in name else "off"
    output = tmp_path / "out.gguf"
    result = convert(base, output, ftype="F32", lora=adapter, parity=parity)
    assert result.proof is not None
    assert result.proof["parity"].get("top1", 1.0) >= 0.99
    assert any("merged" in note for note in result.plan["notes"])
    with ModelFile(result.output) as file:
        report = agree(file, adapted)
    print(f"merged {name:16} top-1 {report['top1']:.4f} KL {report['kl_mean']:.1e}")
    assert report["top1"] >= 0.99
    assert report["kl_mean"] < 1e-5


def test_a_merged_model_is_called_after_both_and_lies_beside_the_adapter(tmp_path: Path) -> None:
    model, config = ADDED["lora"]
    _, made, _ = make(tmp_path / "minillama", model(), **config)
    base = (tmp_path / "minillama" / "base").rename(tmp_path / "minillama" / "mini-1.5")
    adapter = made.rename(tmp_path / "bard")
    (adapter / "chat_template.jinja").write_text("{{ messages[0].content }}")
    named = {"base_model_name_or_path": str(base)}
    known = json.loads((adapter / "adapter_config.json").read_text())
    (adapter / "adapter_config.json").write_text(json.dumps(known | named))
    for options in (Options(base, lora=adapter), Options(adapter)):
        plan = make_plan(replace(options, parity="off"))
        assert plan.output == tmp_path / "mini-1.5-bard-F32.gguf"
        assert plan.name == "mini-1.5 bard"
        assert plan.vocab.chat_template == "{{ messages[0].content }}"
    plan = make_plan(Options(base, lora=adapter, chat_template="chatml", name="x", parity="off"))
    assert plan.name == "x"
    assert plan.vocab.chat_template == load_template("chatml")


ADDED: dict[str, Case] = {
    "lora": (llama, {"target_modules": ATTENTION + MLP}),
    "rslora": (llama, {"target_modules": ["q_proj", "v_proj"], "use_rslora": True, "r": 8}),
    "patterns": (
        llama,
        {
            "target_modules": ["q_proj", "k_proj", "down_proj"],
            "rank_pattern": {"down_proj": 6},
            "alpha_pattern": {"layers.0.self_attn.k_proj": 20},
        },
    ),
    "output": (llama, {"target_modules": ["lm_head", "embed_tokens", "o_proj"]}),
    "gpt2": (gpt2, GPT2),
    "gpt2-output": (untied_gpt2, {"target_modules": ["lm_head"]}),
    "gptneox": (gptneox, {"target_modules": ["query_key_value", "dense_h_to_4h"]}),
    "phi3": (phi3, {"target_modules": ["qkv_proj", "gate_up_proj", "down_proj"]}),
}


@pytest.mark.parametrize("name", ADDED)
def test_model_file_and_adapter_file_are_the_adapted_model(name: str, tmp_path: Path) -> None:
    model, config = ADDED[name]
    base, adapter, adapted = make(tmp_path, model(), **config)
    result = convert(base, tmp_path / "base.gguf", ftype="F32", parity="off")
    written = write_adapter(adapter, open_checkpoint(base), tmp_path / "adapter.gguf")
    with ModelFile(result.output) as file:
        apart = agree(file, adapted)
    with AdaptedFile(result.output, written.output) as file:
        report = agree(file, adapted)
    print(f"adapter {name:12} top-1 {report['top1']:.4f} KL {report['kl_mean']:.1e}", end=" ")
    print(f"(base {apart['kl_mean']:.1e}) alpha {written.alpha:.4g}")
    assert apart["kl_mean"] > 0.01  # the adapter does something
    assert report["top1"] >= 0.99
    assert report["kl_mean"] < 1e-5


def test_projections_that_the_file_has_as_one_share_a_pair(tmp_path: Path) -> None:
    model = fill(Book(bias=True))
    base, settings = save(tmp_path / "base", model), {"n_head": HEADS}
    patterns = {"rank_pattern": {"W_value": 7}, "alpha_pattern": {"W_value": 3}}
    adapted = adapt(model, target_modules=["W_query", "W_value", "out_head"], **patterns)
    adapted.save_pretrained(tmp_path / "adapter")
    checkpoint = replace(open_checkpoint(locate(base)), config=settings)
    written = write_adapter(tmp_path / "adapter", checkpoint, tmp_path / "adapter.gguf")
    assert written.n_adapted == 3  # two layers' attn_qkv, and the output
    asked = {"ftype": "F32", "parity": "off", "settings": settings}
    result = convert(base, tmp_path / "base.gguf", **asked)
    merged = convert(base, tmp_path / "out.gguf", lora=tmp_path / "adapter", **asked)
    with AdaptedFile(result.output, written.output) as file, ModelFile(merged.output) as whole:
        ids = file.tokenize(PROSE, add_special=False, parse_special=False)[: file.n_ctx_train]
        with torch.inference_mode():
            expected = adapted(torch.tensor(ids)).numpy()
        for each in (file, whole):
            sums = Agreement()
            sums.add(expected, each.logits(ids)[:, : expected.shape[1]], ids)
            assert sums.report()["top1"] >= 0.99
            assert sums.report()["kl_mean"] < 1e-5


def test_a_hand_written_base_is_measured_for_its_adapter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = fill(Book(bias=True))
    base = save(tmp_path / "base", model)
    adapted = adapt(model, target_modules=["W_query"])
    adapted.save_pretrained(tmp_path / "adapter")
    said = {"n_head": HEADS}
    with pytest.raises(OpenQuestions, match="n_head"):
        run_adapter(Options(base, lora=tmp_path / "adapter"))

    def settle(checkpoint: Checkpoint, *_: object) -> Checkpoint:
        found = {"scale": Finding("width", clear=True, detail="by a trial")}
        return replace(checkpoint, findings=checkpoint.findings | found)

    def write(name: str, **settings: Any) -> bytes:
        output = tmp_path / name
        run_adapter(Options(base, output, lora=tmp_path / "adapter", settings=said | settings))
        return output.read_bytes()

    by_head, by_width = write("head.gguf", scale="head"), write("width.gguf", scale="width")
    assert by_head != by_width
    monkeypatch.setattr("convert.handwritten.settling.settle", settle)
    assert write("measured.gguf") == by_width


def test_the_command_writes_an_adapter(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base, adapter, _ = make(tmp_path, llama(), target_modules=["q_proj"])
    assert main([str(base), "--lora", str(adapter), "--adapter"]) == 0
    out, err = capsys.readouterr()
    path = Path(out.strip())
    assert path == adapter.with_name(f"{adapter.name}-lora.gguf")
    assert "2 tensors adapted: LoRA" in err
    with ModelFile(convert(base, tmp_path / "base.gguf", parity="off").output) as file:
        n_tokens = file.n_tokens
    with AdaptedFile(tmp_path / "base.gguf", path) as file:
        assert file.logits([1, 2]).shape == (2, n_tokens)
    assert main([str(base), "--lora", str(adapter), "--adapter"]) == 2
    assert "exists already" in capsys.readouterr().err
    assert main([str(base), "--adapter"]) == 2
    assert "is no LoRA folder" in capsys.readouterr().err
    assert main([str(base), "--lora", str(adapter), "--adapter", "-q", "Q8_0"]) == 2
    assert "-q says nothing about an adapter" in capsys.readouterr().err
    assert main(["inspect", str(path)]) == 0
    assert "a LoRA for llama" in capsys.readouterr().out


REFUSED: dict[str, tuple[Any, dict[str, Any], str]] = {
    "dora": (llama, {"target_modules": ["q_proj"], "use_dora": True}, "DoRA's magnitudes"),
    "saved": (
        llama,
        {"target_modules": ["q_proj"], "modules_to_save": ["norm"]},
        "weights trained whole",
    ),
    "bias": (gpt2, {"target_modules": ["c_attn"], "bias": "all"}, "weights trained whole"),
    "tokens": (
        llama,
        {"target_modules": ["q_proj"], "trainable_token_indices": [1]},
        "weights trained whole",
    ),
    "tied": (tied_llama, {"target_modules": ["embed_tokens"]}, "the output is tied to it"),
    "tied-output": (tied_llama, {"target_modules": ["lm_head"]}, "tied to the embedding"),
    "positions": (gpt2, {"target_modules": ["wpe"]}, "not the embedding of tokens"),
    "rank": (llama, {"target_modules": ["q_proj"], "r": 70}, "above its 64 inputs"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_a_file_cannot_hold_is_refused(name: str, tmp_path: Path) -> None:
    model, config, reason = REFUSED[name]
    base, adapter, _ = make(tmp_path, model(), **config)
    output = tmp_path / "adapter.gguf"
    with pytest.raises(CheckpointError, match=reason) as error:
        write_adapter(adapter, open_checkpoint(base), output)
    assert "--lora" in error.value.hint
    assert not list(tmp_path.glob("*.gguf*"))


def test_an_adapter_for_another_model_is_told_by_llama_cpp(tmp_path: Path) -> None:
    base, adapter, _ = make(tmp_path / "one", llama(), target_modules=["q_proj"])
    other, _, _ = make(tmp_path / "two", gpt2(), target_modules=["c_attn"])
    output = write_adapter(adapter, open_checkpoint(base), tmp_path / "adapter.gguf").output
    file = convert(other, tmp_path / "other.gguf", parity="off").output
    with pytest.raises(ProofError, match="mismatch"):
        AdaptedFile(file, output)
    with pytest.raises(UsageError, match="exists already"):
        write_adapter(adapter, open_checkpoint(base), output)
    with pytest.raises(CheckpointError, match="does not fit"):
        write_adapter(adapter, open_checkpoint(other), tmp_path / "none.gguf")


def test_an_adapter_alone_is_converted_with_the_base_it_names(tmp_path: Path) -> None:
    base, adapter, _ = make(tmp_path, llama(), target_modules=["q_proj"])
    with pytest.raises(UsageError, match="not on this disk"):
        convert(adapter)
    path = adapter / "adapter_config.json"
    said = json.loads(path.read_text()) | {"base_model_name_or_path": str(base)}
    path.write_text(json.dumps(said))
    result = convert(adapter, tmp_path / "out.gguf", parity="off")
    assert any("2 weights merged" in note for note in result.plan["notes"])
