"""Encoders beside BERT and RoBERTa, and what sentence-transformers puts around a model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf
from safetensors.torch import load_file, save_file

from convert.errors import ArchitectureError
from convert.pipeline import convert
from tests.convert.test_bert import SIZE, write, write_roberta, write_wordpiece
from tests.convert.tiny import write_hf

torch.set_num_threads(1)
hf.logging.set_verbosity_error()
DISTILLED = {"vocab_size": 400, "dim": 64, "n_layers": 2, "n_heads": 4, "hidden_dim": 128}
WINDOWED = {"num_hidden_layers": 4, "local_attention": 16, "pad_token_id": 1}
GENERATIVE = {"num_key_value_heads": 2, "head_dim": 16, "tie_word_embeddings": True}
KINDS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "DistilBERT": ("DistilBert", "Model", DISTILLED),
    "DistilBERT with a head": ("DistilBert", "ForMaskedLM", DISTILLED),
    "ModernBERT": ("ModernBert", "Model", SIZE | WINDOWED),
    "ModernBERT with a head": ("ModernBert", "ForMaskedLM", SIZE | WINDOWED),
    "nomic-embed": ("NomicBert", "Model", SIZE),
}


def write_kind(folder: Path, name: str, **changes: Any) -> Path:
    kind, head, size = KINDS[name]
    network = getattr(hf, f"{kind}{head}")(getattr(hf, f"{kind}Config")(**(size | changes)))
    write_hf(folder, network.eval(), scale=2.0)
    (write_roberta if kind == "ModernBert" else write_wordpiece)(folder)
    return folder


def add_modules(folder: Path, *kinds: str, **pooling: bool) -> None:
    """`modules.json` as sentence-transformers writes it, and how it pools."""
    steps = [
        {"idx": at, "name": str(at), "path": f"{at}_{kind}", "type": f"st.models.{kind}"}
        for at, kind in enumerate(kinds)
    ]
    (folder / "modules.json").write_text(json.dumps(steps))
    (folder / "1_Pooling").mkdir()
    said = {f"pooling_mode_{key}": on for key, on in pooling.items()}
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(said))


@pytest.mark.parametrize("name", KINDS)
def test_embeddings_agree_with_transformers(name: str, tmp_path: Path) -> None:
    folder = write_kind(tmp_path / "model", name)
    add_modules(folder, "Transformer", "Pooling", "Normalize", cls_token=True, mean_tokens=False)
    result = convert(folder, tmp_path / "out.gguf", ftype="F32")
    assert result.proof is not None
    parity = result.proof["parity"]
    assert parity["status"] == "measured", parity
    print(f"{name} {parity['cosine_mean']:.6f} {parity['cosine_min']:.6f}")
    assert parity["cosine_min"] >= 0.9999
    assert result.plan["hparams"]["pooling_type"] == 2


@pytest.mark.parametrize(
    ("kind", "prefix"),
    [("DistilBERT", "distilbert."), ("ModernBERT", "model."), ("nomic-embed", "bert.")],
)
def test_two_models_in_one_are_not_mixed(kind: str, prefix: str, tmp_path: Path) -> None:
    folder = write_kind(tmp_path / "model", kind)
    state = load_file(folder / "model.safetensors")
    ours = min(state)
    theirs = prefix + ours
    save_file(state | {theirs: state[ours] + 1}, folder / "model.safetensors")
    with pytest.raises(ArchitectureError, match="one tensor under two names") as caught:
        convert(folder, tmp_path / "out.gguf")
    assert ours in caught.value.message
    assert theirs in caught.value.message


def test_a_decoder_for_embeddings_pools_as_its_folder_says(tmp_path: Path) -> None:
    config = hf.Qwen3Config(**(SIZE | GENERATIVE | {"vocab_size": 512}))
    folder = write_hf(tmp_path / "qwen3", hf.Qwen3Model(config).eval())
    add_modules(folder, "Transformer", "Pooling", "Normalize", lasttoken=True)
    result = convert(folder, tmp_path / "out.gguf", ftype="F32")
    assert result.proof is not None
    assert result.proof["parity"]["status"] == "measured", result.proof["parity"]
    assert result.plan["hparams"]["pooling_type"] == 3


@pytest.mark.parametrize(
    ("kinds", "pooling", "words"),
    [
        (("Transformer", "Pooling", "Dense"), {"mean_tokens": True}, "'Dense'"),
        (("Transformer", "Pooling"), {"max_tokens": True}, "max_tokens"),
        (("Transformer", "Pooling"), {"max_tokens": True, "cls_token": True}, "and"),
    ],
)
def test_what_llama_cpp_does_not_do_behind_a_model_is_refused(
    kinds: tuple[str, ...], pooling: dict[str, bool], words: str, tmp_path: Path
) -> None:
    folder = write(tmp_path / "bert", "Bert", "Model")
    add_modules(folder, *kinds, **pooling)
    with pytest.raises(ArchitectureError, match=words):
        convert(folder, tmp_path / "out.gguf", parity="off")


@pytest.mark.parametrize(
    ("name", "changes", "words"),
    [
        ("ModernBERT", {"norm_bias": True}, "no biases"),
        ("ModernBERT", {"layer_types": ["sliding_attention"] * 4}, "pattern"),
        ("nomic-embed", {"hidden_act": "gelu"}, "SwiGLU"),
    ],
)
def test_variants_that_llama_cpp_does_not_compute_are_refused(
    name: str, changes: dict[str, Any], words: str, tmp_path: Path
) -> None:
    folder = write_kind(tmp_path / "model", name, **changes)
    with pytest.raises(ArchitectureError, match=words):
        convert(folder, tmp_path / "out.gguf", parity="off")
