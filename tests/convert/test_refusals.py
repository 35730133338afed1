"""Models of no family are named, with what does not fit and what is nearest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from convert.architectures import FAMILIES
from convert.architectures.unsupported import UNSUPPORTED
from convert.errors import ArchitectureError
from convert.pipeline import convert
from tests.convert.test_families import MODELS
from tests.convert.test_hf_llama_like import edit_config, put
from tests.convert.tiny import write_hf


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_hf(tmp_path / "llama", MODELS["llama"]())


def test_nothing_is_unsupported_and_a_family() -> None:
    names = {family.name for family in FAMILIES}
    nearest = {near for _, near, _ in UNSUPPORTED.values()}
    described = " ".join(family.description for family in FAMILIES)
    assert not names & UNSUPPORTED.keys()
    assert [name for name in nearest if name not in described] == []


@pytest.mark.parametrize("kind", ["bart", "qwen3_next", "nanochat"])
def test_a_known_stranger_is_named_with_its_nearest_family(kind: str, folder: Path) -> None:
    edit_config(folder, lambda config: config.update(model_type=kind))
    with pytest.raises(ArchitectureError, match="nearest family is") as error:
        convert(folder, parity="off")
    assert UNSUPPORTED[kind][0] in error.value.message


def test_an_unknown_type_may_be_a_family_by_its_names_and_no_hint_says_so(folder: Path) -> None:
    edit_config(folder, lambda config: config.update(model_type="frobnicate"))
    with pytest.raises(ArchitectureError, match="model_type is 'frobnicate'") as error:
        convert(folder, parity="off")
    assert "named as in llama, which does not say that they mean the same" in str(error.value)
    assert "--arch" not in str(error.value)
    assert convert(folder, arch="llama", parity="off").plan["arch"] == "llama"


@pytest.mark.parametrize(
    ("name", "kind"),
    [("x0_lambdas", "nanochat"), ("backbone.layers.0.mixer.A_log", "mamba")],
)
def test_weights_alone_are_named_by_what_only_they_have(
    name: str, kind: str, tmp_path: Path
) -> None:
    torch.save({name: torch.ones(4), "w": torch.ones(4, 4)}, tmp_path / "model.pt")
    with pytest.raises(ArchitectureError, match=f"is of the type {kind} by its {name}"):
        convert(tmp_path / "model.pt")


@pytest.mark.parametrize(
    ("kind", "reason", "way"),
    [
        ("xlnet", "every order of the words", "--backend torch"),
        ("nanochat", "smears", "no graph"),
        ("longformer", "an encoder of its own kind", "no graph"),
        ("bamboo", "BambaForCausalLM", "convert_hf_to_gguf.py FOLDER"),
        ("olmoe", "experts", "chatapp quantize model.gguf"),
    ],
)
def test_who_runs_what_we_do_not_convert_is_said(
    kind: str, reason: str, way: str, folder: Path
) -> None:
    edit_config(folder, put(model_type=kind, architectures=["BambaForCausalLM"]))
    with pytest.raises(ArchitectureError, match=reason) as error:
        convert(folder, parity="off")
    assert way in error.value.hint
    with pytest.raises(ArchitectureError, match="is no llama"):
        convert(folder, parity="off", arch="llama")


def test_weights_alone_of_a_family_that_needs_its_configuration(tmp_path: Path) -> None:
    name = "model.layers.0.self_attn.kv_a_proj_with_mqa.weight"
    torch.save({name: torch.ones(4, 4), "w": torch.ones(4, 4)}, tmp_path / "model.pt")
    with pytest.raises(ArchitectureError, match="is a DeepSeek V2 or V3 by its") as error:
        convert(tmp_path / "model.pt")
    assert "config.json" in error.value.hint


def test_what_the_user_says_against_the_checkpoint_is_noted(make: Any) -> None:
    result = convert(make(), parity="off", dry_run=True, settings={"n_head": 8, "n_layer": 2})
    assert "n_head is 8, as you say; the checkpoint says 4." in result.plan["notes"]
    assert not any("n_layer" in note for note in result.plan["notes"])


def test_a_dry_run_does_not_mind_what_is_there(make: Any) -> None:
    folder = make()
    output = convert(folder, parity="off").output
    notes: list[Any] = []
    result = convert(
        folder, dry_run=True, progress=lambda event, **fields: notes.append(fields.get("text"))
    )
    assert result.output == output
    assert f"{output} exists already." in notes
