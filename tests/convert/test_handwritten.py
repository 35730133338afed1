"""Models written by hand that differ from the usual in one or two things are never kept wrong.

Each is trained for a moment on a text that it then knows by heart, and is read without a word about
how it was built. What llama.cpp can compute comes out as the author's own module computes it; the
rest is refused by its name.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from convert.checkpoints import open_checkpoint
from convert.errors import ConvertError
from convert.handwritten.reading import open_reading
from convert.libllama import ModelFile
from convert.parity.hand_written import HandWritten
from convert.parity.measure import Agreement, log_softmax
from convert.pipeline import convert
from convert.questions import OpenQuestions
from convert.samples import PROSE
from tests.convert.forms import (
    Style,
    Variant,
    characters,
    conv_gpt2,
    save_variant,
    train,
    write_code,
)

torch.set_num_threads(1)
TEXT = PROSE[:160] * 8
STEPS, LENGTH = 120, 32

LLAMA = Style(rope="pairs", rms=True, gated=True, bias=False, activation="silu")
CS336 = (
    ("^tok_emb", "token_embeddings"), (r"^blocks\.", "layers."), ("^ln_f", "ln_final"),
    ("^head", "lm_head"), (r"\.ffwd\.", ".ffn."), (r"\.attn\.proj", ".attn.output_proj"),
    (r"\.(q)uery\.|\.(k)ey\.|\.(v)alue\.", r".\1\2\3_proj."),
)  # fmt: skip
BOOK = (
    ("^blocks", "trf_blocks"), ("^ln_f", "final_norm"), ("^head", "out_head"),
    (r"\.attn\.proj", ".att.out_proj"), (r"\.attn\.(query|key|value)", r".att.W_\1"),
    (r"\.attn\.", ".att."), (r"\.ln([12])\.", r".norm\1."), (r"\.ffwd\.w1", ".ff.fc1"),
    (r"\.ffwd\.w3", ".ff.fc2"), (r"\.ffwd\.w2", ".ff.fc3"),
    (r"norm([12]?)\.weight", r"norm\1.scale"),
)  # fmt: skip
META = (
    ("^tok_emb", "tok_embeddings"), (r"^blocks\.", "layers."), ("^ln_f", "norm"),
    ("^head", "output"), (r"\.ffwd\.", ".feed_forward."), (r"\.attn\.proj", ".attention.wo"),
    (r"\.attn\.(q|k|v)[a-z]*", r".attention.w\1"), ("ln1", "attention_norm"), ("ln2", "ffn_norm"),
)  # fmt: skip
TUNE = (
    ("^tok_emb", "tok_embeddings"), (r"^blocks\.", "layers."), ("^ln_f.weight", "norm.scale"),
    ("^head", "output"), (r"\.ffwd\.", ".mlp."), (r"\.attn\.proj", ".attn.output_proj"),
    (r"\.attn\.(q|k|v)[a-z]*\.", r".attn.\1_proj."), (r"ln1\.weight", "sa_norm.scale"),
    (r"ln2\.weight", "mlp_norm.scale"),
)  # fmt: skip
LITGPT = (
    ("^tok_emb", "transformer.wte"), (r"^blocks\.", "transformer.h."), ("^head", "lm_head"),
    ("^ln_f", "transformer.ln_f"), (r"\.ffwd\.w1", ".mlp.fc_1"), (r"\.ffwd\.w3", ".mlp.fc_2"),
    (r"\.ffwd\.w2", ".mlp.proj"), ("ln([12])", r"norm_\1"),
)  # fmt: skip
GAMMA = ((r"(ln\w*)\.weight", r"\1.gamma"), (r"(ln\w*)\.bias", r"\1.beta"))

TAKEN: dict[str, tuple[Style, str]] = {
    "scale by the whole width, ReLU": (Style(scale="width", activation="relu"), "gpt2"),
    "no scale": (Style(scale="none"), "gpt2"),
    "a fused matrix kqv": (
        Style(fused="kqv", names=(("qkv", "kqv"), *GAMMA)),
        "gpt2",
    ),
    "V, Q and K under the name qkv": (Style(fused="vqk"), "gpt2"),
    "each head's Q, K and V together": (Style(fused="heads"), "gpt2"),
    "embeddings times the root of the width, tied": (Style(root=True, tied=True), "gpt2"),
    "no output matrix, a bias on the logits": (Style(out=False, head_bias=True), "gpt2"),
    "no biases": (Style(bias=False), "gpt2"),
    "the scale and the order": (Style(scale="width", fused="kqv"), "gpt2"),
    "a Llama that rotates pairs": (replace(LLAMA, names=CS336), "llama"),
    "a Llama that rotates halves": (replace(LLAMA, rope="halves", kv=2), "llama"),
    "a Qwen3": (replace(LLAMA, rope="halves", kv=2, qk_norm=True, names=BOOK), "qwen3"),
    "one more than the norms' weights": (replace(LLAMA, one_more=True), "llama"),
    "LayerNorm and rope": (Style(rope="halves"), "starcoder2"),
    "LayerNorm, rope and a gate": (
        Style(rope="pairs", gated=True, activation="silu", bias=False),
        "stablelm",
    ),
}
REFUSED: dict[str, tuple[Style, str]] = {
    "norms behind": (Style(norms="behind"), "norms stand behind"),
    "norms on what comes out": (Style(norms="output"), "before the sum"),
    "a last norm that is not called": (Style(last_norm=False), "saved and not applied"),
    "side by side": (Style(parallel=True), "side by side"),
    "the scale and the last norm": (Style(scale="width", last_norm=False), "saved and not applied"),
    "ReLU squared": (Style(activation="relu2"), "ReLU squared"),
}


PUBLISHED: dict[str, tuple[Style, str]] = {
    "Meta's": (replace(LLAMA, names=META), "meta"),
    "Meta's, halves": (replace(LLAMA, rope="halves", kv=2, names=META), "meta-names"),
    "torchtune's, halves": (replace(LLAMA, rope="halves", kv=2, names=TUNE), "torchtune-names"),
    "litgpt's, pairs": (replace(LLAMA, fused="qkv", names=LITGPT), "litgpt-names"),
}
OTHERWISE = {
    "residuals by half": Style(residual=0.5),
    "a scale that nobody knows": Style(scale="0.6"),
}


BY_CODE = {
    "passes": replace(LLAMA, again="each"),
    # Found as much more on the embeddings: the last norm evens that out.
    "_factor": Style(residual=0.37),
}


def trained(style: Style) -> Variant:
    """The model of a style; names change nothing of it."""
    return train(replace(style, width=32, context=LENGTH, names=()), TEXT, STEPS, 8)


def agreement(path: Path, model: Variant) -> dict[str, Any]:
    """The file against the author's own module, on the text."""
    _, ids = characters(TEXT)
    sums = Agreement()
    with ModelFile(path) as file, torch.inference_mode():
        for start in range(0, 8 * LENGTH, LENGTH):
            window = ids[start : start + LENGTH]
            expected = model(window[None])[0].numpy()
            found = file.logits(window.tolist())[:, : expected.shape[1]]
            sums.add(expected, found, window.tolist())
    return sums.report()


def saved(folder: Path, style: Style, **more: Any) -> tuple[Path, Variant]:
    model = trained(style)
    assert model.last_loss < 1.6, "it has not learned the text"
    names = replace(model.s, names=style.names)
    renamed = Variant(names, len(characters(TEXT)[0]))
    renamed.load_state_dict(model.state_dict())
    save_variant(folder, renamed, TEXT, config={"n_head": 4, **more})
    return folder / "model.pt", model


@pytest.mark.parametrize("name", TAKEN)
def test_a_model_that_llama_cpp_runs_is_taken_for_what_it_is(name: str, tmp_path: Path) -> None:
    style, arch = TAKEN[name]
    source, model = saved(tmp_path, style)
    result = convert(source, tmp_path / "out.gguf", ftype="F32")
    report = agreement(result.output, model)
    print(f"{name:45} loss {model.last_loss:.2f} KL {report['kl_mean']:.1e}")
    assert result.plan["arch"] == arch
    assert report["kl_mean"] < 1e-4
    assert any(one["evidence"] == "measured" for one in result.plan["assumptions"])


@pytest.mark.parametrize("name", REFUSED)
def test_a_model_that_llama_cpp_does_not_run_is_refused(name: str, tmp_path: Path) -> None:
    style, reason = REFUSED[name]
    source, _ = saved(tmp_path, style)
    with pytest.raises(ConvertError, match=reason):
        convert(source, tmp_path / "out.gguf", ftype="F32")
    assert not (tmp_path / "out.gguf").exists()


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_model_under_published_names_is_read_as_it_has_learned(name: str, tmp_path: Path) -> None:
    style, layout = PUBLISHED[name]
    numbers = {"rope_theta": 10000.0, "norm_eps": 1e-5, "max_seq_len": LENGTH}
    source, model = saved(tmp_path, style, **numbers)
    result = convert(source, tmp_path / "out.gguf", ftype="F32")
    assert result.plan["layout"] == layout
    assert agreement(result.output, model)["kl_mean"] < 1e-4
    found = {one["name"]: one["evidence"] for one in result.plan["assumptions"]}
    assert found["positions"] == "measured"


@pytest.mark.parametrize("name", OTHERWISE)
def test_a_number_that_only_code_has_is_asked_for(name: str, tmp_path: Path) -> None:
    source, _ = saved(tmp_path, OTHERWISE[name])
    with pytest.raises(OpenQuestions) as caught:
        convert(source, tmp_path / "out.gguf", ftype="F32")
    asked = {question.name for question in caught.value.questions}
    assert "as_read" in asked or any(name.endswith("_factor") for name in asked)
    assert not (tmp_path / "out.gguf").exists()


@pytest.mark.parametrize("name", BY_CODE)
def test_passes_and_numbers_are_read_off_the_code(name: str, tmp_path: Path) -> None:
    model = Variant(replace(BY_CODE[name], width=32, context=LENGTH), len(characters(TEXT)[0]))
    model.eval().requires_grad_(False)
    save_variant(tmp_path, model, TEXT, config={"n_head": 4})
    code = write_code(tmp_path, model, TEXT)
    result = convert(tmp_path / "model.pt", tmp_path / "out.gguf", ftype="F32", code=code)
    assert agreement(result.output, model)["kl_mean"] < 1e-5
    measured = [o["name"] for o in result.plan["assumptions"] if o["evidence"] == "measured"]
    assert any(one.endswith(name) for one in measured)


def test_a_number_that_is_said_is_folded(tmp_path: Path) -> None:
    source, model = saved(tmp_path, OTHERWISE["residuals by half"])
    said = {"residual_factor": 0.5, "activation": "gelu"}
    result = convert(source, tmp_path / "out.gguf", ftype="F32", settings=said)
    assert agreement(result.output, model)["kl_mean"] < 1e-4


def test_a_model_in_no_known_form_is_kept_with_a_word_on_it(tmp_path: Path) -> None:
    source, _ = saved(tmp_path, OTHERWISE["residuals by half"])
    said = {"as_read": "anyway", "scale": "head", "activation": "gelu", "passes": "once"}
    result = convert(source, tmp_path / "out.gguf", ftype="F32", settings=said)
    assert any("may not compute what its author's code does" in n for n in result.plan["notes"])
    assert all(one["evidence"] != "measured" for one in result.plan["assumptions"])


def test_gpt2_of_transformers_in_a_bare_state_dict_is_turned(tmp_path: Path) -> None:
    model = trained(Style(fused="qkv", activation="gelu_new"))
    save_variant(tmp_path, model, TEXT, conv_gpt2(model), config={"n_head": 4})
    result = convert(tmp_path / "model.pt", tmp_path / "out.gguf", ftype="F32")
    assert result.plan["layout"] == "gpt2-names"
    assert agreement(result.output, model)["kl_mean"] < 1e-4


def test_heads_that_cannot_be_rotated_are_none_of_the_forms(tmp_path: Path) -> None:
    model = Variant(replace(LLAMA, width=36, context=LENGTH), len(characters(TEXT)[0]))
    save_variant(tmp_path, model, TEXT)  # 36 are four heads of nine, too
    with pytest.raises(OpenQuestions) as refusal:
        convert(tmp_path / "model.pt", tmp_path / "out.gguf", ftype="F32")
    heads = refusal.value.questions[0]
    assert [choice.value for choice in heads.choices] == [3, 2, 6, 1, 9]
    assert "Besides" not in refusal.value.hint
    with pytest.raises(ConvertError, match="4 heads are 9 wide each"):
        convert(
            tmp_path / "model.pt",
            tmp_path / "out.gguf",
            settings={"n_head": 4, "positions": "pairs", "eps": 1e-5},
        )


def test_a_form_that_computes_no_number_is_the_farthest(tmp_path: Path) -> None:
    model = Variant(Style(width=32, context=LENGTH), len(characters(TEXT)[0]))
    save_variant(tmp_path, model, TEXT, config={"n_head": 4})
    checkpoint = open_checkpoint(tmp_path / "model.pt")
    reading = open_reading(checkpoint)
    windows = characters(TEXT)[1][None, :LENGTH].numpy()
    network = HandWritten(checkpoint, reading.roles, reading.form, "ours")
    own = log_softmax(network.logits(windows[0].tolist()))[None]
    own[..., 0] = -np.inf  # a token that the code never says
    assert network.distances(windows, reading.form, own).max() < 0.1
    network._weights[reading.roles.tokens][:] = np.nan
    assert network.distances(windows, reading.form, own).min() > 100
