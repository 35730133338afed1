"""Tiny checkpoints as nanoGPT writes them, each with a trained tokenizer beside it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.convert.tiny import N_TOKENS, write_tokenizer


def make_state(args: dict[str, Any], *, masks: bool = False) -> dict[str, torch.Tensor]:
    """Random weights under nanoGPT's names, large enough that logits are not alike."""
    generator = torch.Generator().manual_seed(1)
    d = args["n_embd"]
    state: dict[str, torch.Tensor] = {}

    def normal(*shape: int, scale: float = 0.08) -> torch.Tensor:
        return torch.randn(*shape, generator=generator) * scale

    def pair(name: str, weight: torch.Tensor) -> None:
        state[f"{name}.weight"] = weight
        if args["bias"]:
            state[f"{name}.bias"] = normal(weight.shape[0])

    state["transformer.wte.weight"] = normal(args["vocab_size"], d, scale=0.3)
    state["transformer.wpe.weight"] = normal(args["block_size"], d, scale=0.1)
    for layer in range(args["n_layer"]):
        block = f"transformer.h.{layer}"
        pair(f"{block}.ln_1", 1 + normal(d))
        if masks:
            t = args["block_size"]
            state[f"{block}.attn.bias"] = torch.tril(torch.ones(t, t)).view(1, 1, t, t)
        pair(f"{block}.attn.c_attn", normal(3 * d, d, scale=0.15))
        pair(f"{block}.attn.c_proj", normal(d, d))
        pair(f"{block}.ln_2", 1 + normal(d))
        pair(f"{block}.mlp.c_fc", normal(4 * d, d))
        pair(f"{block}.mlp.c_proj", normal(d, 4 * d))
    pair("transformer.ln_f", 1 + normal(d))
    state["lm_head.weight"] = state["transformer.wte.weight"]
    return state


Edit = Callable[[dict[str, Any]], None]
Maker = Callable[..., Path]


@pytest.fixture(scope="session")
def tokenizer_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tokenizer")
    write_tokenizer(folder)
    return folder


@pytest.fixture
def make(tmp_path: Path, tokenizer_folder: Path) -> Maker:
    """Writes a folder with ckpt.pt and tokenizer: `make(bias=True, prefix=..., edit=...)`.

    `edit` changes what is saved; any other keyword is one of model_args.
    """

    def write(
        *, prefix: str = "", masks: bool = False, edit: Edit | None = None, **args: Any
    ) -> Path:
        model_args = {
            "n_layer": 2,
            "n_head": 4,
            "n_embd": 64,
            "block_size": 64,
            "bias": False,
            "vocab_size": N_TOKENS,
            "dropout": 0.0,
        } | args
        state = make_state(model_args, masks=masks)
        saved = {
            "model": {prefix + name: tensor for name, tensor in state.items()},
            "optimizer": {"state": {0: {"exp_avg": torch.zeros(1000)}}, "param_groups": [{}]},
            "model_args": model_args,
            "iter_num": 1234,
            "best_val_loss": torch.tensor(3.25),
            "config": {"dataset": "tiny", **model_args},
        }
        if edit is not None:
            edit(saved)
        folder = tmp_path / "tiny-model"
        folder.mkdir(exist_ok=True)
        torch.save(saved, folder / "ckpt.pt")
        for path in tokenizer_folder.iterdir():
            shutil.copy(path, folder)
        return folder

    return write
