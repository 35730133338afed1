"""GPT-2 as different people write it, converted, against its own forward."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers as hf
from torch import nn
from torch.nn import functional as F  # noqa: N812

from convert.errors import ArchitectureError
from convert.libllama import ModelFile
from convert.parity.measure import Agreement
from convert.pipeline import convert
from convert.questions import OpenQuestions
from tests.convert.hand_written import (
    HEADS,
    Book,
    D,
    Encoder,
    Lecture,
    OldMinGPT,
    Own,
    T,
    randomise,
    save,
)
from tests.convert.tiny import N_TOKENS, write_hf, write_tokenizer

torch.set_num_threads(1)


def compare(path: Path, model: nn.Module) -> dict[str, Any]:
    """Agreement of the file with the module's own forward, on random tokens."""
    sums = Agreement()
    draw = np.random.default_rng(7)
    with ModelFile(path) as file, torch.inference_mode():
        for _ in range(12):
            ids = [int(i) for i in draw.integers(0, N_TOKENS, T)]
            expected = model(torch.tensor(ids)).numpy()
            sums.add(expected, file.logits(ids), ids)
    return sums.report()


CASES: dict[str, tuple[type[nn.Module], dict[str, Any], str]] = {
    "lecture": (Lecture, {}, "lecture"),
    "raschka": (Book, {"n_head": HEADS}, "raschka"),
    "mingpt": (OldMinGPT, {"n_head": HEADS}, "mingpt"),
    "encoder": (
        Encoder,
        {"n_head": HEADS, "norm_first": True, "activation": "gelu"},
        "pytorch-encoder",
    ),
    "own": (Own, {"n_head": HEADS, "activation": "gelu_new"}, "hand-written"),
}


@pytest.mark.parametrize("name", CASES)
def test_a_hand_written_gpt_is_the_same_model(name: str, tmp_path: Path) -> None:
    kind, settings, layout = CASES[name]
    model = randomise(kind())
    folder = save(tmp_path / name, model)
    result = convert(folder, tmp_path / "out.gguf", ftype="F32", settings=settings)
    assert result.plan["layout"] == layout
    assert result.proof is not None
    report = compare(result.output, model)
    print(f"{name:12} {report['top1']:.4f} {report['kl_mean']:.2e}")
    assert report["top1"] >= 0.99
    assert report["kl_mean"] < 1e-4
    assert result.proof["parity"]["status"] == "measured"
    assert result.proof["parity"]["kl_mean"] < 1e-4


def test_biases_on_queries_are_kept(tmp_path: Path) -> None:
    model = randomise(Book(bias=True))
    folder = save(tmp_path / "book", model, config={"n_heads": HEADS})
    result = convert(folder, tmp_path / "out.gguf", ftype="F32")
    assert compare(result.output, model)["top1"] >= 0.99


GPT2 = {
    "vocab_size": N_TOKENS,
    "n_embd": D,
    "n_layer": 2,
    "n_head": HEADS,
    "n_positions": T,
    "bos_token_id": 0,
    "eos_token_id": 1,
}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"n_inner": 96},
        {"scale_attn_by_inverse_layer_idx": True},
        {"scale_attn_weights": False},
        {"activation_function": "relu"},
        {"activation_function": "gelu"},
        {"tie_word_embeddings": False},
        {"reorder_and_upcast_attn": True},
    ],
    ids=str,
)
def test_hugging_faces_switches(changes: dict[str, Any], tmp_path: Path) -> None:
    model = hf.GPT2LMHeadModel(hf.GPT2Config(**(GPT2 | changes))).eval()
    folder = write_hf(tmp_path / "gpt2", model, scale=2.0)
    result = convert(folder, tmp_path / "out.gguf", ftype="F16")
    assert result.proof is not None
    parity = result.proof["parity"]
    print(f"{changes!s:45} {parity['top1']:.4f} {parity['kl_mean']:.2e}")
    assert parity["reference"].startswith("transformers")
    assert parity["top1"] >= 0.99


def test_a_bare_gpt2_model_has_no_prefix(tmp_path: Path) -> None:
    whole = hf.GPT2LMHeadModel(hf.GPT2Config(**GPT2)).eval()
    folder = write_hf(tmp_path / "whole", whole)
    whole.transformer.save_pretrained(folder)
    result = convert(folder, tmp_path / "out.gguf", ftype="F32")
    assert result.proof is not None
    assert result.proof["parity"]["top1"] >= 0.99


def without(*names: str) -> Any:
    def change(state: dict[str, Any]) -> None:
        for name in [n for n in state if any(part in n for part in names)]:
            del state[name]

    return change


@pytest.mark.parametrize(
    ("kind", "settings", "change", "reason"),
    [
        (Own, {"n_head": 4, "activation": "silu"}, None, "the MLP has SiLU, which gpt2"),
        (Own, {"n_head": 4, "activation": "quick_gelu"}, None, "llama.cpp's GPT-2 has GELU"),
        (Book, {"n_head": 4}, without("final_norm"), "norm after the last layer"),
        (Book, {"n_head": 4, "activation": "gelu"}, without("norm1"), "run side by side"),
        (Book, {"n_head": 4}, without("W_key"), "Q, K and V"),
        (Book, {"n_head": 4}, without("ff.layers.2"), "two or three matrices"),
        (Book, {"n_head": 5}, None, "does not divide"),
    ],
)
def test_what_does_not_fit_is_refused(
    kind: type[nn.Module], settings: dict[str, Any], change: Any, reason: str, tmp_path: Path
) -> None:
    state = randomise(kind()).state_dict()
    if change is not None:
        change(state)
    write_tokenizer(tmp_path)
    torch.save(state, tmp_path / "model.pt")
    with pytest.raises(ArchitectureError, match=reason):
        convert(tmp_path / "model.pt", settings=settings, parity="off")


def test_the_fold_of_an_output_bias_is_exact_in_float64(tmp_path: Path) -> None:
    from convert.architectures import read_model
    from convert.checkpoints import open_checkpoint

    model = randomise(Lecture())
    folder = save(tmp_path / "lecture", model)
    made = {t.name: t for t in read_model(open_checkpoint(folder / "model.pt")).tensors}
    x = torch.randn(20, D, dtype=torch.float64)
    normal = F.layer_norm(x, (D,))
    g, b = (p.double() for p in (model.ln_f.weight, model.ln_f.bias))
    expected = F.linear(normal * g + b, model.lm_head.weight.double(), model.lm_head.bias.double())
    moved = torch.from_numpy(made["output_norm.bias"].float32()).double()
    weight = torch.from_numpy(made["output.weight"].float32()).double()
    found = F.linear(normal * g + moved, weight)
    assert (found - expected).abs().max() < 1e-5  # weights are rounded to float32


@pytest.mark.parametrize(
    ("kind", "change", "names"),
    [
        (Book, None, ["n_head"]),
        (Own, None, ["n_head", "activation"]),
        (Own, without("beta"), ["n_head", "norm", "activation"]),
        (Encoder, None, ["n_head", "norms", "activation"]),
    ],
)
def test_everything_that_is_open_is_asked_for_at_once(
    kind: type[nn.Module], change: Any, names: list[str], tmp_path: Path
) -> None:
    state = randomise(kind()).state_dict()
    if change is not None:
        change(state)
    torch.save(state, tmp_path / "model.pt")
    with pytest.raises(OpenQuestions) as error:
        convert(tmp_path / "model.pt", parity="off")
    assert [question.name for question in error.value.questions] == [*names, "tokenizer"]
    write_tokenizer(tmp_path)
    answers = {q.name: q.for_the_moment for q in error.value.questions if q.name != "tokenizer"}
    assert convert(tmp_path / "model.pt", settings=answers, parity="off").bytes
