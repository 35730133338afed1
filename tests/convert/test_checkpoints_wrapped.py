"""Weights are found whatever they were saved in, and so is what was saved beside them."""

from __future__ import annotations

import argparse
import dataclasses
import enum
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from convert.checkpoints import open_checkpoint
from convert.errors import CheckpointError
from tests.convert.states import assert_same

torch.set_num_threads(1)


@dataclasses.dataclass
class GPTConfig:
    n_layer: int = 2
    n_head: int = 4
    activation: str = "gelu"


class Norm(enum.Enum):
    RMS = "rms"


class Attributes(dict):  # as EasyDict and Lightning's AttributeDict are
    pass


WEIGHTS = {"wte.weight": torch.ones(4, 2), "h.0.attn.weight": torch.ones(2, 2)}
NESTED = {"model": {"n_layer": 2, "n_head": 4}, "train": {"lr": 0.1}}


@pytest.mark.parametrize(
    ("saved", "config"),
    [
        (WEIGHTS, {}),
        (OrderedDict(WEIGHTS), {}),
        ({"model": WEIGHTS, "model_args": {"n_layer": 2, "n_head": 4}}, None),
        ({"model_state": WEIGHTS, "args": argparse.Namespace(n_layer=2, n_head=4)}, None),
        ({"state_dict": WEIGHTS, "config": GPTConfig(2, 4)}, None),
        ({"state_dict": WEIGHTS, "hyper_parameters": Attributes(n_layer=2, n_head=4)}, None),
        ({"model_state_dict": WEIGHTS, "hyper_parameters": {"config": GPTConfig(2, 4)}}, None),
        ({"net": WEIGHTS, "n_layer": 2, "n_head": 4, "loss": torch.tensor(1.0)}, None),
        ({"module": WEIGHTS, "config": {"lr": 1}, "hps": {"n_layer": 2, "n_head": 4}}, None),
        ({"checkpoint": {"model": WEIGHTS}, "cfg": NESTED}, None),
        ({"model": WEIGHTS, "ema": WEIGHTS | {}, "params": {"n_layer": 2, "n_head": 4}}, None),
        ({"model": WEIGHTS, "loss": torch.ones(1), "val": torch.ones(1), "x": torch.ones(1)}, {}),
        (Attributes(model=WEIGHTS, args={"n_layer": 2, "n_head": 4}), None),
    ],
)
@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "before 1.6"])
def test_whatever_the_weights_are_wrapped_in(
    tmp_path: Path, saved: Any, config: Any, zipped: bool
) -> None:
    path = tmp_path / "ckpt.pt"
    torch.save(saved, path, _use_new_zipfile_serialization=zipped)
    checkpoint = open_checkpoint(path)
    assert_same(checkpoint, WEIGHTS)
    if config is None:
        assert checkpoint.config["n_layer"] == 2
        assert checkpoint.config["n_head"] == 4
    else:
        assert checkpoint.config == config


@pytest.mark.parametrize(
    "prefix",
    [
        *("module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module.", "_forward_module."),
        *("_fsdp_wrapped_module.", "model.", "model._orig_mod.", "net."),
    ],
)
def test_prefixes_of_wrappers_are_removed(tmp_path: Path, prefix: str) -> None:
    torch.save({prefix + name: value for name, value in WEIGHTS.items()}, tmp_path / "a.pt")
    checkpoint = open_checkpoint(tmp_path / "a.pt")
    assert_same(checkpoint, WEIGHTS)
    assert any("Removed the prefix" in note for note in checkpoint.notes)


def test_wrappers_inside_names_are_removed(tmp_path: Path) -> None:
    names = ["h.0._checkpoint_wrapped_module.w", "h.1._fsdp_wrapped_module.w", "h.2._orig_mod.w"]
    torch.save({name: torch.ones(2, 2) for name in names}, tmp_path / "a.pt")
    assert list(open_checkpoint(tmp_path / "a.pt").tensors) == ["h.0.w", "h.1.w", "h.2.w"]


def test_a_prefix_that_is_the_models_own_stays(tmp_path: Path) -> None:
    names = ["model.embed_tokens.weight", "model.layers.0.self_attn.q_proj.weight"]
    for prefix in ("", "model."):  # Lightning around the model of transformers
        saved = {prefix + name: torch.ones(2, 2) for name in names}
        torch.save({"state_dict": saved}, tmp_path / "a.ckpt")
        assert list(open_checkpoint(tmp_path / "a.ckpt").tensors) == names


def test_two_sets_of_weights_are_never_chosen_in_silence(tmp_path: Path) -> None:
    torch.save({"teacher": WEIGHTS, "student": WEIGHTS | {}}, tmp_path / "a.pt")
    with pytest.raises(CheckpointError, match="'teacher', 'student'"):
        open_checkpoint(tmp_path / "a.pt")
    torch.save({"model": WEIGHTS, "ema": WEIGHTS | {}}, tmp_path / "a.pt")
    assert any("from the key 'model'" in note for note in open_checkpoint(tmp_path / "a.pt").notes)


def test_a_tree_of_dictionaries_has_the_ways_through_it_as_names(tmp_path: Path) -> None:
    layers = [{"w": torch.ones(2, 2)}, {"w": torch.ones(2, 2)}]
    saved = {"params": {"tok": {"weight": torch.ones(2, 2)}, "layers": layers}}
    torch.save(saved, tmp_path / "a.pt")
    names = open_checkpoint(tmp_path / "a.pt").tensors.keys()
    assert names == {"tok.weight", "layers.0.w", "layers.1.w"}
    saved["params"]["pos"] = torch.ones(2, 2)
    torch.save(saved, tmp_path / "a.pt")
    assert open_checkpoint(tmp_path / "a.pt").tensors.keys() == {*names, "pos"}


class Block(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.proj = torch.nn.Linear(3, 3)
        self.register_buffer("table", torch.arange(4.0))
        self.register_buffer("mask", torch.ones(2, 2), persistent=False)


class Whole(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.config = GPTConfig(n_layer=1, n_head=3)
        self.wte = torch.nn.Embedding(5, 3)
        self.h = torch.nn.ModuleList([Block()])
        self.head = torch.nn.Linear(3, 5, bias=False)
        self.head.weight = self.wte.weight


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "before 1.6"])
@pytest.mark.parametrize("wrap", [False, True])
def test_a_whole_module_gives_its_state_dict(tmp_path: Path, zipped: bool, wrap: bool) -> None:
    module = Whole()
    saved: Any = {"model": module, "iter_num": 7} if wrap else module
    torch.save(saved, tmp_path / "a.pt", _use_new_zipfile_serialization=zipped)
    checkpoint = open_checkpoint(tmp_path / "a.pt")
    assert_same(checkpoint, module.state_dict())
    assert checkpoint.config["n_head"] == 3
    assert any("whole module" in note for note in checkpoint.notes)
    tied = checkpoint.tensors["head.weight"].identity
    assert tied == checkpoint.tensors["wte.weight"].identity


def test_facts_keep_a_vocabulary_and_plain_values(tmp_path: Path) -> None:
    characters = [chr(0x20000 + index) for index in range(70_000)]
    saved = {
        "model": WEIGHTS,
        "chars": characters,
        "meta": {"itos": dict(enumerate(characters)), "stoi": dict.fromkeys(characters, 1)},
        "loss": np.float64(1.5),
        "steps": np.int64(12),
        "tensor": torch.tensor(3.25),
        "norm": Norm.RMS,
        "dtype": torch.float16,
        "path": Path("/a/b"),
        "set": {1, 2},
        "huge": 10**100,
        "optimizer": {"m": [torch.ones(3)] * 5},
        "rng_state": [1] * 50,
    }
    torch.save(saved, tmp_path / "a.pt")
    facts = open_checkpoint(tmp_path / "a.pt").facts
    assert facts["chars"] == characters
    assert facts["itos"] == dict(enumerate(characters))
    assert len(facts["stoi"]) == 70_000
    assert (facts["loss"], facts["steps"], facts["tensor"]) == (1.5, 12, 3.25)
    assert (facts["norm"], facts["dtype"], facts["set"]) == ("rms", "torch.float16", [1, 2])
    assert not facts.keys() & {"model", "optimizer", "rng_state", "huge"}


def test_tensors_that_are_no_plain_ones_are_refused_by_name(tmp_path: Path) -> None:
    sparse = torch.eye(3).to_sparse()
    torch.save({"a": torch.ones(3), "b": torch.ones(2), "odd.weight": sparse}, tmp_path / "a.pt")
    with pytest.raises(CheckpointError, match=r"odd\.weight.*_rebuild_sparse_tensor"):
        open_checkpoint(tmp_path / "a.pt")
