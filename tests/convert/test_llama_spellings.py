"""Llama outside Hugging Face: llama2.c, Meta, torchtune, litgpt, each against PyTorch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from convert.pipeline import convert
from convert.questions import OpenQuestions
from tests.convert.tiny import N_TOKENS, write_tokenizer

torch.set_num_threads(1)
D, FF, HEADS, KV, LAYERS = 64, 96, 4, 2, 2
SIZE = D // HEADS


def normal(generator: torch.Generator, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=generator) * 1.5 / shape[-1] ** 0.5


def meta_state() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(2)
    state = {
        "tok_embeddings.weight": torch.randn(N_TOKENS, D, generator=generator) * 0.5,
        "norm.weight": 1 + 0.1 * torch.randn(D, generator=generator),
        "output.weight": normal(generator, N_TOKENS, D) * 2,
    }
    for layer in range(LAYERS):
        shapes = {
            "attention.wq": (D, D),
            "attention.wk": (KV * SIZE, D),
            "attention.wv": (KV * SIZE, D),
            "attention.wo": (D, D),
            "feed_forward.w1": (FF, D),
            "feed_forward.w2": (D, FF),
            "feed_forward.w3": (FF, D),
        }
        for name, shape in shapes.items():
            state[f"layers.{layer}.{name}.weight"] = normal(generator, *shape)
        for name in ("attention_norm", "ffn_norm"):
            state[f"layers.{layer}.{name}.weight"] = 1 + 0.1 * torch.randn(D, generator=generator)
    return state


def tune_state() -> dict[str, torch.Tensor]:
    names = {
        "attention.wq": "attn.q_proj",
        "attention.wk": "attn.k_proj",
        "attention.wv": "attn.v_proj",
        "attention.wo": "attn.output_proj",
        "feed_forward.w1": "mlp.w1",
        "feed_forward.w2": "mlp.w2",
        "feed_forward.w3": "mlp.w3",
        "attention_norm.weight": "sa_norm.scale",
        "ffn_norm.weight": "mlp_norm.scale",
    }
    state = {}
    for name, tensor in meta_state().items():
        for theirs, ours in names.items():
            name = name.replace(theirs, ours)
        state["norm.scale" if name == "norm.weight" else name] = tensor
    return state


def litgpt_state(grouped: bool) -> dict[str, torch.Tensor]:
    state: dict[str, torch.Tensor] = {}
    for name, tensor in meta_state().items():
        name = name.replace("layers.", "transformer.h.")
        for theirs, ours in (
            ("attention.wo", "attn.proj"),
            ("feed_forward.w1", "mlp.fc_1"),
            ("feed_forward.w3", "mlp.fc_2"),
            ("feed_forward.w2", "mlp.proj"),
            ("attention_norm", "norm_1"),
            ("ffn_norm", "norm_2"),
            ("tok_embeddings", "transformer.wte"),
            ("output.weight", "lm_head.weight"),
        ):
            name = name.replace(theirs, ours)
        state["transformer.ln_f.weight" if name == "norm.weight" else name] = tensor
    for layer in range(LAYERS):
        stem = f"transformer.h.{layer}"
        q, k, v = (state.pop(f"{stem}.attention.w{n}.weight") for n in "qkv")
        if grouped:
            parts = [
                part
                for group in range(KV)
                for part in (
                    q.view(KV, -1, D)[group],
                    k.view(KV, -1, D)[group],
                    v.view(KV, -1, D)[group],
                )
            ]
            state[f"{stem}.attn.attn.weight"] = torch.cat(parts)
        else:
            state[f"{stem}.attn.qkv.weight"] = torch.cat([q, k, v])
    return state


LITGPT = f"""
name: tiny
block_size: 64
n_layer: {LAYERS}
n_embd: {D}
n_head: {HEADS}
n_query_groups: {KV}
head_size: {SIZE}
intermediate_size: {FF}
norm_class_name: RMSNorm
norm_eps: 1.0e-05
mlp_class_name: LLaMAMLP
rope_base: 10000
rotary_percentage: 1.0
parallel_residual: false
bias: false
lm_head_bias: false
"""
PARAMS = {
    "dim": D,
    "n_layers": LAYERS,
    "n_heads": HEADS,
    "n_kv_heads": KV,
    "norm_eps": 1e-5,
    "rope_theta": 10000.0,
    "max_seq_len": 64,
}


def write_llama2_c(folder: Path) -> Path:
    args = {k: PARAMS[k] for k in ("dim", "n_layers", "n_heads", "n_kv_heads", "max_seq_len")}
    state = meta_state() | {"freqs_cos": torch.ones(64, 8), "freqs_sin": torch.ones(64, 8)}
    torch.save({"model": state, "model_args": args, "iter_num": 3}, folder / "stories.pt")
    return folder / "stories.pt"


def write_meta(folder: Path) -> Path:
    (folder / "params.json").write_text(json.dumps(PARAMS))
    shards: list[dict[str, torch.Tensor]] = [{}, {}]
    for name, tensor in meta_state().items():
        by_input = name.endswith((".wo.weight", ".w2.weight", "tok_embeddings.weight"))
        whole = tensor.ndim == 1
        parts = [tensor, tensor] if whole else tensor.chunk(2, dim=1 if by_input else 0)
        for shard, part in zip(shards, parts, strict=True):
            shard[name] = part.clone()
    for number, shard in enumerate(shards):
        torch.save(shard, folder / f"consolidated.{number:02d}.pth")
    return folder


def write_torchtune(folder: Path) -> Path:
    (folder / "params.json").write_text(json.dumps(PARAMS))
    torch.save(tune_state(), folder / "torchtune_model_0.pt")
    return folder


def write_litgpt(folder: Path, grouped: bool = False) -> Path:
    (folder / "model_config.yaml").write_text(LITGPT)
    torch.save({"model": litgpt_state(grouped)}, folder / "lit_model.pth")
    return folder


WRITERS: dict[str, Any] = {
    "llama2.c": write_llama2_c,
    "meta": write_meta,
    "torchtune": write_torchtune,
    "litgpt": write_litgpt,
    "litgpt-grouped": lambda folder: write_litgpt(folder, grouped=True),
}


@pytest.mark.parametrize("name", WRITERS)
def test_logits_agree_with_pytorch(name: str, tmp_path: Path) -> None:
    folder = tmp_path / name
    write_tokenizer(folder)
    result = convert(WRITERS[name](folder), tmp_path / "out.gguf", ftype="F16")
    assert result.plan["layout"] == name.removesuffix("-grouped")
    assert result.proof is not None
    parity = result.proof["parity"]
    print(f"{name:15} {parity['top1']:.4f} {parity['kl_mean']:.2e}")
    assert parity["top1"] >= 0.995
    assert parity["kl_mean"] < 1e-4


@pytest.mark.parametrize("missing", ["n_heads", "norm_eps", "rope_theta", "max_seq_len"])
def test_what_the_file_does_not_say_is_asked_for(missing: str, tmp_path: Path) -> None:
    write_tokenizer(tmp_path)
    source = write_meta(tmp_path)
    (tmp_path / "params.json").write_text(
        json.dumps({key: value for key, value in PARAMS.items() if key != missing})
    )
    with pytest.raises(OpenQuestions) as error:
        convert(source, tmp_path / "out.gguf", parity="off")
    (flag,) = [question.name for question in error.value.questions]
    value = PARAMS[missing]
    convert(source, tmp_path / "out.gguf", settings={flag: value}, parity="auto")


def test_litgpt_with_pythias_mlp_is_a_gptneox(tmp_path: Path) -> None:
    import transformers as hf

    from tests.convert.tiny import write_hf

    config = hf.GPTNeoXConfig(
        vocab_size=N_TOKENS,
        hidden_size=D,
        intermediate_size=FF,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        max_position_embeddings=64,
    )
    model = hf.GPTNeoXForCausalLM(config).eval()
    write_hf(tmp_path / "hf", model)
    theirs = convert(tmp_path / "hf", tmp_path / "theirs.gguf", ftype="F32", parity="off")
    state = {}
    for name, tensor in model.state_dict().items():
        name = name.replace("gpt_neox.layers", "transformer.h").replace("gpt_neox.", "transformer.")
        for old, new in (
            ("embed_in", "wte"),
            ("final_layer_norm", "ln_f"),
            ("embed_out", "lm_head"),
            ("attention.dense", "attn.proj"),
            ("mlp.dense_h_to_4h", "mlp.fc"),
            ("mlp.dense_4h_to_h", "mlp.proj"),
            ("input_layernorm", "norm_1"),
            ("post_attention_layernorm", "norm_2"),
        ):
            name = name.replace(old, new)
        if "query_key_value" in name:
            name = name.replace("attention.query_key_value", "attn.qkv")
            shape = (HEADS, 3, SIZE, *tensor.shape[1:])
            tensor = tensor.view(shape).transpose(0, 1).reshape(tensor.shape)
        state[name] = tensor.clone()
    folder = tmp_path / "lit"
    write_tokenizer(folder)
    torch.save({"model": state}, folder / "lit_model.pth")
    (folder / "model_config.yaml").write_text(
        LITGPT.replace("RMSNorm", "LayerNorm")
        .replace("LLaMAMLP", "GptNeoxMLP")
        .replace("rotary_percentage: 1.0", "rotary_percentage: 0.25")
        .replace("parallel_residual: false", "parallel_residual: true")
        .replace(f"n_query_groups: {KV}", f"n_query_groups: {HEADS}")
    )
    ours = convert(folder, tmp_path / "ours.gguf", ftype="F32", parity="off")
    import gguf

    found, expected = (gguf.GGUFReader(result.output) for result in (ours, theirs))
    for a, b in zip(found.tensors, expected.tensors, strict=True):
        assert (a.name, a.data.tobytes()) == (b.name, b.data.tobytes())
