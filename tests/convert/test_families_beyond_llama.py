"""Families further from Llama: tiny random models against transformers, their switches, and what a
checkpoint or a configuration that does not fit is told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
import torch

from convert.architectures import read_model
from convert.checkpoints import open_checkpoint
from convert.checkpoints.checkpoint import Checkpoint
from convert.checkpoints.operations import constant
from convert.errors import ArchitectureError, ConvertError
from convert.pipeline import convert
from tests.convert.test_families import GATED, gated
from tests.convert.test_hf_llama_like import check, put
from tests.convert.tiny import write_hf, write_tokenizer

torch.set_num_threads(1)


def rope(share: float, **values: Any) -> dict[str, Any]:
    said = {"rope_type": "default", "rope_theta": 5000.0, "partial_rotary_factor": share}
    return {"rope_parameters": said | values}


# Name: (what the documents call it, the model).
MODELS: dict[str, tuple[str, Callable[[], Any]]] = {
    "phi2": ("Phi-2", gated("Phi")),
    "phi2-erf": ("Phi-2, GELU by erf", gated("Phi", hidden_act="gelu", **rope(0.25))),
    "stablelm": ("StableLM", gated("StableLm", use_qkv_bias=True)),
    "stablelm-parallel": (
        "StableLM 2 12B",
        gated("StableLm", use_parallel_residual=True, qk_layernorm=True, **rope(0.5)),
    ),
    "glm4": ("GLM-4-0414", gated("Glm4", head_dim=32)),
    "glm": ("GLM-4-9B", gated("Glm", head_dim=16, attention_bias=False)),
    "cohere": ("Command R", gated("Cohere", logit_scale=0.5)),
    "cohere2": (
        "Command R7B",
        gated("Cohere2", num_hidden_layers=4, sliding_window=32, logit_scale=0.5),
    ),
    "cohere2-order": (
        "Cohere 2, other layers slide",
        gated("Cohere2", sliding_window=32, layer_types=["full_attention", "sliding_attention"]),
    ),
}


@pytest.mark.parametrize("name", MODELS)
def test_logits_agree_with_transformers(name: str, tmp_path: Path) -> None:
    torch.manual_seed(3)
    folder = write_hf(tmp_path / name, MODELS[name][1]().eval())
    check(convert(folder, tmp_path / "out.gguf", ftype="F16"), top1=0.99)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A folder for each model of `MODELS`, written when first asked for."""
    root = tmp_path_factory.mktemp("models")

    def folder(name: str) -> Path:
        if not (root / name).exists():
            MODELS[name][1]().save_pretrained(root / name)
            write_tokenizer(root / name)
        return root / name

    return folder


Edit = Callable[[dict[str, Any]], Any]
REFUSED: list[tuple[str, Edit, str]] = [
    ("phi2", put(qk_layernorm=True), "qk_layernorm is True"),
    ("phi2", put(hidden_act="silu"), "has gelu_new"),
    ("phi2", put(rope_parameters={"rope_theta": 1e4, "partial_rotary_factor": 2}), "no even"),
    ("phi2", put(partial_rotary_factor=0.07), "no even number"),
    ("stablelm", put(use_parallel_residual=True), "post_attention_layernorm"),
    ("stablelm", put(qk_layernorm=True), "q_layernorm"),
    ("stablelm", put(use_parallel_residual=1), "use_parallel_residual is 1"),
    ("stablelm", put(mlp_bias=True), "mlp_bias is True"),
    ("stablelm", put(layer_norm_eps=7), "layer_norm_eps is 7"),
    ("glm4", put(num_key_value_heads=3), "do not divide"),
    ("glm4", put(intermediate_size=95), "asks for"),
    ("glm", put(attention_bias=True), "q_proj.bias"),
    ("cohere", put(use_qk_norm=True), "from 64 layers on"),
    ("cohere", put(logit_scale=0), "logit_scale is 0"),
    ("cohere", put(attention_bias=True), "attention_bias is True"),
    ("cohere2", put(layer_types=["full_attention"]), "kinds of 4 layers"),
    ("cohere2", put(layer_types=["mamba"] * 4), "layer_types has 'mamba'"),
    ("cohere2", put(sliding_window=None), "open: sliding_window"),
    ("cohere2", put(sliding_window=-1), "sliding_window is -1"),
]


@pytest.fixture(scope="module")
def checkpoint(folders: Callable[[str], Path]) -> Callable[[str], Checkpoint]:
    """The checkpoint of a model of `MODELS`."""
    return lru_cache(lambda name: open_checkpoint(folders(name)))


@pytest.mark.parametrize(("name", "edit", "part"), REFUSED)
def test_what_llama_cpp_does_not_compute_is_refused_by_name(
    name: str, edit: Edit, part: str, checkpoint: Callable[[str], Checkpoint]
) -> None:
    config = dict(checkpoint(name).config)
    edit(config)
    with pytest.raises(ConvertError) as error:
        read_model(replace(checkpoint(name), config=config))
    assert part in str(error.value)


@pytest.mark.parametrize("name", ["phi2", "stablelm-parallel", "glm4", "cohere2"])
def test_any_tensor_that_is_missing_or_has_another_shape_is_named(
    name: str, checkpoint: Callable[[str], Checkpoint]
) -> None:
    whole = checkpoint(name)
    odd = constant("odd", (3, 5), 1.0, "odd")
    for one in whole.tensors:
        without = {key: tensor for key, tensor in whole.tensors.items() if key != one}
        with pytest.raises(ArchitectureError, match=r"has no tensor|not there|layers"):
            read_model(replace(whole, tensors=without))
        with pytest.raises(ArchitectureError, match=r"shape|rows|no tensor|[Hh]eads"):
            read_model(replace(whole, tensors={**whole.tensors, one: odd}))


def test_a_head_that_cohere_does_not_have_is_refused(
    checkpoint: Callable[[str], Checkpoint],
) -> None:
    whole = checkpoint("cohere")
    head = constant("lm_head.weight", (GATED["vocab_size"], GATED["hidden_size"]), 1.0, "a head")
    with pytest.raises(ArchitectureError, match="no matrix of its own"):
        read_model(replace(whole, tensors={**whole.tensors, "lm_head.weight": head}))
