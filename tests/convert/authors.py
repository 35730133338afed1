"""Models as different authors write them (`data/authors`), tiny, with random weights."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import nn

from convert.author.model import AuthorModel
from tests.convert.hand_written import randomise
from tests.convert.tiny import N_TOKENS

FOLDER = Path(__file__).parent / "data" / "authors"
D, T, HEADS = 32, 32, 4
SIZES = {"vocab": N_TOKENS, "embd": D, "layer": 2, "ctx": T, "ff": 4 * D}


def load(name: str) -> ModuleType:
    """The module in `name`.py as Python imports it, without what it needs and nobody has."""
    sys.modules.setdefault("tiktoken_that_nobody_has", ModuleType("tiktoken_that_nobody_has"))
    spec = importlib.util.spec_from_file_location(f"authors_{name}", FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def dataclassed(bias: bool = False) -> nn.Module:
    module = load("dataclassed")
    return module.GPT(module.GPTConfig(T, N_TOKENS, 2, HEADS, D, 0.0, bias))


def noded() -> nn.Module:
    module = load("noded")
    config = module.GPT.get_default_config()
    config.merge_from_dict(
        {"model_type": None, "n_layer": 2, "n_head": HEADS, "n_embd": D}
        | {"vocab_size": N_TOKENS, "block_size": T}
    )
    return module.GPT(config)


BOOK = {
    "vocab_size": N_TOKENS,
    "context_length": T,
    "emb_dim": D,
    "n_heads": HEADS,
    "n_layers": 2,
    "drop_rate": 0.1,
}


def book(qkv_bias: bool = False) -> nn.Module:
    return load("book").GPTModel({**BOOK, "qkv_bias": qkv_bias})


META = {
    "dim": D,
    "n_layers": 2,
    "n_heads": HEADS,
    "n_kv_heads": 2,
    "vocab_size": N_TOKENS,
    "hidden_dim": 48,
    "max_seq_len": T,
}


def meta() -> nn.Module:
    module = load("meta")
    return module.Transformer(module.ModelArgs(**META))


def tutorial() -> nn.Module:
    return load("tutorial").TransformerModel(N_TOKENS, D, HEADS, 48, 2)


def lecture() -> nn.Module:
    """Its classes alone, with constants of ours: the rest of the script trains."""
    text = (FOLDER / "lecture.py").read_text()
    classes = text[text.index("class Head") : text.index("model = GPTLanguageModel()")]
    values: dict[str, Any] = {
        "nn": nn,
        "torch": torch,
        "F": nn.functional,
        "device": "cpu",
        "dropout": 0.0,
        "n_embd": D,
        "n_head": HEADS,
        "n_layer": 2,
        "block_size": T,
        "vocab_size": N_TOKENS,
    }
    exec(compile(classes, "lecture.py", "exec"), values)
    made: nn.Module = values["GPTLanguageModel"]()
    return made


# (module, what makes one, settings saved beside the weights, arguments of the user's)
Style = tuple[str, Callable[..., nn.Module], dict[str, Any], dict[str, Any]]
STYLES: dict[str, Style] = {
    "dataclass": ("dataclassed", dataclassed, {"n_head": HEADS, "bias": False}, {}),
    "globals": ("lecture", lecture, {"n_head": HEADS}, {}),
    "node": ("noded", noded, {}, {"n_head": HEADS}),
    "dictionary": ("book", book, {}, {"n_heads": HEADS}),
    "arguments of a dataclass": ("meta", meta, META, {}),
}


def describe(
    file: str, state: dict[str, torch.Tensor], config: dict[str, Any], **changed: Any
) -> AuthorModel:
    """The author's model for a checkpoint of `state`, as the process would make it."""
    shapes = {key: list(t.shape) for key, t in state.items() if t.is_floating_point()}
    job = {
        "name": "",
        "arguments": {},
        "config": config,
        "shapes": shapes,
        "ignored": [],
        "told": {},
        "sizes": SIZES,
        "hints": {},
        "widths": [N_TOKENS],
        "n_ctx": T,
        **changed,
    }
    path = FOLDER / file
    return AuthorModel(path, path.read_bytes(), job)


def fill(author: AuthorModel, state: dict[str, torch.Tensor]) -> AuthorModel:
    """`author` with the weights of `state`, asked once."""
    author.build()
    for key in author.wanted:
        author.open(key)[:] = state[key].contiguous().numpy().view("uint8").reshape(-1).data
    author.finish()
    return author


def make_state(make: Callable[..., nn.Module], **options: Any) -> tuple[nn.Module, dict[str, Any]]:
    model = randomise(make(**options))
    return model, {key: value.clone() for key, value in model.state_dict().items()}
