"""Llama outside Hugging Face: scaled rope, biases, hand-written names, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import pytest
import torch

from convert.errors import ArchitectureError
from convert.pipeline import Result, convert
from convert.questions import OpenQuestions
from tests.convert.test_llama_spellings import (
    FF,
    HEADS,
    KV,
    LITGPT,
    PARAMS,
    SIZE,
    WRITERS,
    D,
    litgpt_state,
    meta_state,
    tune_state,
    write_litgpt,
    write_llama2_c,
    write_meta,
    write_torchtune,
)
from tests.convert.tiny import write_tokenizer

torch.set_num_threads(1)
FACTS = {
    "num_attention_heads": HEADS,
    "num_key_value_heads": KV,
    "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0,
    "max_position_embeddings": 256,
}
LONGER = PARAMS | {"max_seq_len": 256}
ADJUSTED = """
rope_adjustments:
  factor: 8.0
  low_freq_factor: 1.0
  high_freq_factor: 4.0
  original_max_seq_len: 64
"""


@pytest.fixture(autouse=True)
def tokenizer(tmp_path: Path) -> None:
    write_tokenizer(tmp_path)


def check(result: Result, top1: float = 0.99, kl: float = 1e-3) -> None:
    assert result.proof is not None
    parity = result.proof["parity"]
    assert parity["status"] == "measured", parity
    print(f"{result.plan['layout']:12} top1 {parity['top1']:.4f} kl {parity['kl_mean']:.1e}")
    assert parity["top1"] >= top1
    assert parity["kl_mean"] < kl


def file_of(result: Result) -> tuple[dict[str, Any], dict[str, bytes]]:
    reader = gguf.GGUFReader(result.output)
    keys = {key: field.contents() for key, field in reader.fields.items()}
    return keys, {tensor.name: tensor.data.tobytes() for tensor in reader.tensors}


def like_transformers(prefix: str = "model.") -> dict[str, torch.Tensor]:
    """The weights of `meta_state` under transformers' names, rows in pairs still."""
    names = {
        "tok_embeddings.": f"{prefix}embed_tokens.",
        "layers.": f"{prefix}layers.",
        "attention.wq": "self_attn.q_proj",
        "attention.wk": "self_attn.k_proj",
        "attention.wv": "self_attn.v_proj",
        "attention.wo": "self_attn.o_proj",
        "feed_forward.w1": "mlp.gate_proj",
        "feed_forward.w2": "mlp.down_proj",
        "feed_forward.w3": "mlp.up_proj",
        "attention_norm": "input_layernorm",
        "ffn_norm": "post_attention_layernorm",
    }
    outside = {"norm.weight": f"{prefix}norm.weight", "output.weight": "lm_head.weight"}
    state = {}
    for name, tensor in meta_state().items():
        ours = outside.get(name, name)
        for theirs, mine in names.items():
            ours = ours.replace(theirs, mine)
        state[ours] = tensor
    return state


def with_biases(state: dict[str, torch.Tensor], *endings: str) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(5)
    biases = {
        name.removesuffix("weight") + "bias": torch.randn(len(tensor), generator=generator) * 0.3
        for name, tensor in state.items()
        if name.endswith(tuple(f"{ending}.weight" for ending in endings))
    }
    return state | biases


@pytest.mark.parametrize("name", WRITERS)
def test_q8_0_agrees_with_pytorch(name: str, tmp_path: Path) -> None:
    result = convert(WRITERS[name](tmp_path), tmp_path / "out.gguf", ftype="Q8_0")
    check(result, top1=0.9, kl=0.05)


@pytest.mark.parametrize("prefix", ["model.", ""])
@pytest.mark.parametrize("pairs", [False, True])
@pytest.mark.parametrize("biases", [(), ("q_proj", "k_proj", "v_proj", "o_proj", "down_proj")])
def test_a_state_dict_under_transformers_names(
    prefix: str, pairs: bool, biases: tuple[str, ...], tmp_path: Path
) -> None:
    torch.save(with_biases(like_transformers(prefix), *biases), tmp_path / "model.pt")
    settings = FACTS | {"rope_interleave": pairs}
    source = tmp_path / "model.pt"
    result = convert(source, tmp_path / "f16.gguf", ftype="F16", settings=settings, arch="llama")
    # pairs that are rotated are no code of transformers', and measured as by somebody's own
    assert result.plan["layout"] == ("transformers-names" if pairs else "llama-names")
    check(result, top1=0.99, kl=1e-4)  # of 768 random positions up to 4 are ties that F16 breaks
    exact = convert(source, tmp_path / "f32.gguf", ftype="F32", settings=settings, arch="llama")
    check(exact, top1=0.998, kl=1e-8)  # nothing but the mapping: no rounding


def test_the_same_weights_under_four_names_make_the_same_file(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    torch.save(like_transformers(), tmp_path / "a" / "model.pt")
    write_tokenizer(tmp_path / "a")
    files = []
    for source, settings, arch in (
        (tmp_path / "a" / "model.pt", FACTS | {"rope_interleave": True}, "llama"),
        (write_llama2_c(tmp_path), {"max_seq_len": 256}, None),
    ):
        result = convert(
            source, tmp_path / "out.gguf", force=True, parity="off", settings=settings, arch=arch
        )
        files.append(file_of(result)[1])
    assert files[0] == files[1]


def test_without_configuration_everything_is_asked_for_at_once(tmp_path: Path) -> None:
    torch.save(like_transformers(), tmp_path / "model.pt")
    with pytest.raises(OpenQuestions) as error:
        convert(tmp_path / "model.pt", tmp_path / "out.gguf")
    asked = {question.name: question for question in error.value.questions}
    told = FACTS.keys() - {"num_key_value_heads"}  # by rows of K
    assert asked.keys() == told | {"arch", "rope_interleave"}
    assert [c.value for c in asked["num_attention_heads"].choices] == [2, 4, 8, 16, 32]


def test_meta_says_scaled_rope_without_its_factor(tmp_path: Path) -> None:
    write_meta(tmp_path)
    (tmp_path / "params.json").write_text(json.dumps(LONGER | {"use_scaled_rope": True}))
    with pytest.raises(OpenQuestions, match="by which factor") as error:
        convert(tmp_path, tmp_path / "out.gguf", parity="off")
    assert error.value.questions[0].choices[0].value == 32
    result = convert(
        tmp_path, tmp_path / "out.gguf", ftype="F16", settings={"rope_scaling_factor": 32}
    )
    check(result)
    factors = next(
        t for t in gguf.GGUFReader(result.output).tensors if t.name == "rope_freqs.weight"
    )
    assert factors.data.max() == 32.0


def test_torchtune_with_the_config_of_hugging_face(tmp_path: Path) -> None:
    write_torchtune(tmp_path)
    (tmp_path / "params.json").unlink()
    scaled = {
        "rope_type": "llama3",
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 64,
    }
    config = FACTS | {"model_type": "llama", "hidden_act": "silu", "rope_scaling": scaled}
    (tmp_path / "config.json").write_text(json.dumps(config))
    check(convert(tmp_path, tmp_path / "out.gguf", ftype="F16"))


@pytest.mark.parametrize(
    "extra", [ADJUSTED, "\nrope_adjustments: {factor: 4.0}\n", "\nrope_condense_ratio: 4\n"]
)
def test_litgpt_with_scaled_rope(extra: str, tmp_path: Path) -> None:
    write_litgpt(tmp_path)
    (tmp_path / "model_config.yaml").write_text(
        LITGPT.replace("block_size: 64", "block_size: 256") + extra
    )
    check(convert(tmp_path, tmp_path / "out.gguf", ftype="F16"))


@pytest.mark.parametrize("grouped", [False, True])
def test_litgpt_with_biases_and_a_padded_vocabulary(grouped: bool, tmp_path: Path) -> None:
    write_litgpt(tmp_path, grouped)
    state = with_biases(litgpt_state(grouped), "attn.qkv", "attn.attn", "mlp.proj", "mlp.fc_1")
    for name in ("transformer.wte.weight", "lm_head.weight"):
        state[name] = torch.cat([state[name], torch.zeros(64, D)])
    torch.save({"model": state}, tmp_path / "lit_model.pth")
    check(convert(tmp_path, tmp_path / "out.gguf", ftype="F16"))


def test_tables_and_masks_are_left_out_and_named(tmp_path: Path) -> None:
    source = write_llama2_c(tmp_path)
    saved = torch.load(source)
    saved["model"] |= {
        "rope.freqs": torch.ones(8),
        "layers.0.attention.inner_attention.rope.freqs": torch.ones(8),
        "layers.0.attention.mask": torch.zeros(1, 1, 64, 64),
    }
    torch.save(saved, source)
    result = convert(source, tmp_path / "out.gguf", parity="off")
    ignored = {entry[0] if isinstance(entry, list | tuple) else entry["name"]
               for entry in result.plan["ignored"]}  # fmt: skip
    assert ignored == set(saved["model"]) - set(meta_state())
    assert any("mask" in name for name in ignored)


def test_mistrals_own_format(tmp_path: Path) -> None:
    params = LONGER | {"head_dim": SIZE, "hidden_dim": FF, "sliding_window": 128}
    (tmp_path / "params.json").write_text(json.dumps(params))
    torch.save(meta_state(), tmp_path / "consolidated.00.pth")
    result = convert(tmp_path, tmp_path / "out.gguf", ftype="F16")
    assert result.plan["layout"] == "meta"
    check(result)
    assert file_of(result)[0]["llama.context_length"] == 128


def meta_with(**params: Any) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        write_meta(folder)
        (folder / "params.json").write_text(json.dumps(PARAMS | params))

    return write


def tune_with(edit: Callable[[dict[str, torch.Tensor]], Any], **config: Any) -> Callable[..., None]:
    def write(folder: Path) -> None:
        state = tune_state()
        edit(state)
        torch.save(state, folder / "torchtune_model_0.pt")
        name = "config.json" if config else "params.json"
        (folder / name).write_text(json.dumps(FACTS | config if config else PARAMS))

    return write


def litgpt_with(old: str, new: str) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        write_litgpt(folder)
        (folder / "model_config.yaml").write_text(LITGPT.replace(old, new))

    return write


REFUSED: list[tuple[Callable[[Path], None], str]] = [
    (meta_with(moe={"num_experts": 8}), "moe is"),
    (meta_with(quantization_args={"group_size": 32}), "quantization_args"),
    (meta_with(use_qk_norm=True), "use_qk_norm"),
    (meta_with(n_heads=6), "rows, but 6 heads"),
    (tune_with(lambda s: s.update({"layers.0.attn.q_proj.bias": torch.ones(D)})), "rotates other"),
    (tune_with(lambda s: None, model_type="gemma2"), "A 'gemma2'"),
    (tune_with(lambda s: None, model_type="llama", hidden_act="gelu"), "hidden_act"),
    (tune_with(lambda s: s.pop("output.weight")), "--set hidden_act="),
    (tune_with(lambda s: s.pop("layers.1.mlp.w3.weight")), "no tensor"),
    (tune_with(lambda s: s.update({"layers.0.attn.q_norm.scale": torch.ones(SIZE)})), "no place"),
    (litgpt_with("RMSNorm", "LayerNorm"), "norm_class_name"),
    (litgpt_with("LLaMAMLP", "GemmaMLP"), "mlp_class_name"),
    (litgpt_with("parallel_residual: false", "parallel_residual: true"), "parallel_residual"),
    (litgpt_with("rotary_percentage: 1.0", "rotary_percentage: 0.5"), "rotary_percentage"),
    (litgpt_with("bias: false", "norm_qk: true"), "norm_qk"),
    (litgpt_with("bias: false", "final_logit_softcapping: 30.0"), "final_logit_softcapping"),
    (litgpt_with("bias: false", "attention_scores_scalar: 99"), "attention_scores_scalar"),
    (litgpt_with("bias: false", "rope_interleave: true"), "rope_interleave"),
    (litgpt_with(f"n_head: {HEADS}", "n_head: 3"), "do not divide"),
]


@pytest.mark.parametrize(("write", "part"), REFUSED)
def test_what_is_not_a_llama_is_refused_by_name(
    write: Callable[[Path], None], part: str, tmp_path: Path
) -> None:
    write(tmp_path)
    with pytest.raises((ArchitectureError, OpenQuestions)) as error:
        convert(tmp_path, tmp_path / "out.gguf", parity="off")
    assert part in str(error.value)
