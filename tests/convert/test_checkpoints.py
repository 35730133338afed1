"""Every way of storing weights gives the names, shapes, types and values that torch.load gives."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from convert.checkpoints import FORMATS, locate, open_checkpoint, others_beside
from convert.errors import CheckpointError, UsageError
from tests.convert.states import State, assert_same, make_state

torch.set_num_threads(1)


WEIGHTS = {"wte.weight": torch.ones(4, 2), "h.0.attn.weight": torch.ones(2, 2)}


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "before 1.6"])
@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_torch_save(tmp_path: Path, zipped: bool, protocol: int) -> None:
    path, state = tmp_path / "ckpt.pt", make_state()
    torch.save(
        {"model": state, "optimizer": {"m": torch.zeros(99)}},
        path,
        pickle_protocol=protocol,
        _use_new_zipfile_serialization=zipped,
    )
    loaded = torch.load(path, weights_only=False)["model"]
    checkpoint = open_checkpoint(path)
    assert_same(checkpoint, loaded)
    assert checkpoint.format == ("torch-zip" if zipped else "torch-legacy")
    assert checkpoint.tensors["tied"].identity == checkpoint.tensors["whole"].identity
    assert checkpoint.tensors["part"].identity != checkpoint.tensors["whole"].identity


def contiguous(state: State) -> State:
    return {name: tensor.contiguous().clone() for name, tensor in sorted(state.items())}


def test_safetensors(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    save_file(contiguous(make_state()), path, metadata={"format": "pt", "steps": "12"})
    checkpoint = open_checkpoint(path)
    loaded = load_file(path)
    assert_same(checkpoint, {name: loaded[name] for name in checkpoint.tensors})
    assert loaded.keys() == checkpoint.tensors.keys()
    assert checkpoint.facts["steps"] == "12"
    (tmp_path / "config.json").write_text('{"model_type": "gpt2"}')
    assert open_checkpoint(path).config == {"model_type": "gpt2"}
    assert locate(tmp_path) == path


def test_types_without_use_here_do_no_harm_until_they_are_read(tmp_path: Path) -> None:
    state = {"a.weight": torch.ones(4, 4), "freqs_cis": torch.ones(4, 2, dtype=torch.complex64)}
    torch.save(state, tmp_path / "a.pt")
    save_file(state, tmp_path / "b.safetensors")
    for name in ("a.pt", "b.safetensors"):
        checkpoint = open_checkpoint(tmp_path / name)
        assert checkpoint.tensors["a.weight"].float32().sum() == 16
        with pytest.raises(CheckpointError, match="C64"):
            checkpoint.tensors["freqs_cis"].float32()
    torch.save({"a": torch.ones(4), "n": torch.ones(3, dtype=torch.uint16)}, tmp_path / "c.pt")
    assert open_checkpoint(tmp_path / "c.pt").tensors["n"].float32().tolist() == [1, 1, 1]


def shard(folder: Path, state: State, ending: str, stem: str, *, index: bool = True) -> None:
    names = list(state)
    weight_map = {}
    for number in (1, 2):
        part = {name: state[name] for name in names[number - 1 :: 2]}
        file = f"{stem}-{number:05}-of-00002.{ending}"
        save = save_file if ending == "safetensors" else torch.save
        save(part, folder / file)
        weight_map |= dict.fromkeys(part, file)
    if index:
        text = json.dumps({"metadata": {"total_size": 1}, "weight_map": weight_map})
        (folder / f"{stem}.{ending}.index.json").write_text(text)


@pytest.mark.parametrize(
    ("ending", "stem", "index", "kind"),
    [
        ("safetensors", "model", True, "hf-safetensors"),
        ("safetensors", "model", False, "hf-safetensors"),
        ("bin", "pytorch_model", True, "hf-bin"),
        ("bin", "pytorch_model", False, "hf-bin"),
        ("safetensors", "ft-model", False, "torchtune"),
        ("bin", "ft-model", False, "torchtune"),
        ("pt", "model", False, "torchtune"),
    ],
)
def test_shards(tmp_path: Path, ending: str, stem: str, index: bool, kind: str) -> None:
    state = contiguous(make_state())
    shard(tmp_path, state, ending, stem, index=index)
    (tmp_path / "config.json").write_text('{"hidden_size": 8}')
    for source in (tmp_path, tmp_path / f"{stem}-00002-of-00002.{ending}"):
        checkpoint = open_checkpoint(locate(source))
        assert checkpoint.path == tmp_path
        assert_same(checkpoint, {name: state[name] for name in checkpoint.tensors})
        assert checkpoint.tensors.keys() == state.keys()
        assert checkpoint.config == {"hidden_size": 8}
        assert checkpoint.format == kind
        assert [path.suffix for path in checkpoint.weight_files] == [f".{ending}"] * 2
    (tmp_path / f"{stem}-00001-of-00002.{ending}").unlink()
    with pytest.raises(CheckpointError, match=r"1 of 2 shards are missing: .*-00001-of-00002"):
        open_checkpoint(locate(tmp_path))


@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin"])
def test_a_hugging_face_folder_of_one_file(tmp_path: Path, name: str) -> None:
    state = contiguous(make_state())
    if name.endswith("bin"):
        torch.save(state, tmp_path / name)
        torch.save({"state": {}}, tmp_path / "optimizer.pt")
    else:
        save_file(state, tmp_path / name)
        torch.save(state, tmp_path / "pytorch_model.bin")
    checkpoint = open_checkpoint(locate(tmp_path))
    assert checkpoint.path == tmp_path
    assert checkpoint.config == {}
    assert_same(checkpoint, {each: state[each] for each in checkpoint.tensors})
    assert ("Also there, and not used: pytorch_model.bin." in checkpoint.notes) == (
        name == "model.safetensors"
    )


def test_litgpt(tmp_path: Path) -> None:
    state = contiguous(make_state())
    torch.save({"model": state}, tmp_path / "lit_model.pth")
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    (tmp_path / "model_config.yaml").write_text(
        "name: tiny\nn_layer: 2\nbias: false\nrope_base: 10000\nnorm_eps: 1.0e-05\n"
        "hf_config:\n  name: x\nrope_condense_ratio: null\n"
    )
    for source in (tmp_path, tmp_path / "lit_model.pth"):
        checkpoint = open_checkpoint(locate(source))
        assert_same(checkpoint, state)
        assert checkpoint.config["n_layer"] == 2
        assert checkpoint.config["bias"] is False
        assert checkpoint.config["norm_eps"] == 1e-5
        assert "model_type" not in checkpoint.config


def meta_shards(n: int, vocab_rows: bool) -> tuple[State, list[State]]:
    """A Llama under Meta's names, and what `n` GPUs would each save of it."""
    generator = torch.Generator().manual_seed(4)
    shapes = {
        "tok_embeddings.weight": (32, 16),
        "norm.weight": (16,),
        "output.weight": (32, 16),
        "layers.0.attention.wq.weight": (16, 16),
        "layers.0.attention.wk.weight": (8, 16),
        "layers.0.attention.wv.weight": (8, 16),
        "layers.0.attention.wo.weight": (16, 16),
        "layers.0.feed_forward.w1.weight": (24, 16),
        "layers.0.feed_forward.w2.weight": (16, 24),
        "layers.0.feed_forward.w3.weight": (24, 16),
        "layers.0.attention_norm.weight": (16,),
        "rope.freqs": (4,),
    }
    state = {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}
    by_column = ("wo.weight", "w2.weight", *(() if vocab_rows else ("tok_embeddings.weight",)))

    def split(name: str, value: torch.Tensor) -> list[torch.Tensor]:
        if value.ndim == 1:
            return [value] * n
        return [part.clone() for part in value.chunk(n, 1 if name.endswith(by_column) else 0)]

    parts = {name: split(name, value) for name, value in state.items()}
    return state, [{name: part[i] for name, part in parts.items()} for i in range(n)]


@pytest.mark.parametrize("n", [1, 2, 4, 8])
@pytest.mark.parametrize("vocab_rows", [False, True], ids=["Llama 2", "Llama 3"])
def test_meta(tmp_path: Path, n: int, vocab_rows: bool) -> None:
    state, shards = meta_shards(n, vocab_rows)
    for number, part in enumerate(shards):
        torch.save(part, tmp_path / f"consolidated.{number:02}.pth")
    (tmp_path / "params.json").write_text('{"dim": 16, "n_layers": 1}')
    (tmp_path / "config.json").write_text('{"hidden_size": 1}')
    checkpoint = open_checkpoint(locate(tmp_path))
    assert_same(checkpoint, state)
    assert checkpoint.config == {"dim": 16, "n_layers": 1}
    assert len(checkpoint.files) == n
    if n > 2:
        (tmp_path / "consolidated.01.pth").unlink()
        with pytest.raises(CheckpointError, match=r"consolidated.01.pth is missing"):
            open_checkpoint(tmp_path)
    if n == 2 and not vocab_rows:
        (tmp_path / "consolidated.01.pth").unlink()
        with pytest.raises(CheckpointError, match=r"a part of"):
            open_checkpoint(tmp_path)


def test_torchtune_takes_the_last_epoch(tmp_path: Path) -> None:
    for epoch in (9, 10):
        for number in (1, 2):
            name = f"layers.{number}.attn.q_proj.weight"
            torch.save(
                {name: torch.full((2, 2), float(epoch))},
                tmp_path / f"hf_model_{number:04}_{epoch}.pt",
            )
    torch.save({"optimizer": {}}, tmp_path / "recipe_state.pt")
    checkpoint = open_checkpoint(locate(tmp_path))
    assert [tensor.float32().max() for tensor in checkpoint.tensors.values()] == [10, 10]
    assert any("last is taken" in note for note in checkpoint.notes)
    torch.save({"norm.scale": torch.ones(4)}, tmp_path / "meta_model_0.pt")
    assert open_checkpoint(locate(tmp_path / "meta_model_0.pt")).tensors.keys() == {"norm.scale"}


def test_the_choice_in_a_folder(tmp_path: Path) -> None:
    torch.save(WEIGHTS, tmp_path / "step1.pt")
    torch.save({}, tmp_path / "optimizer.pt")
    assert locate(tmp_path) == tmp_path / "step1.pt"
    torch.save(WEIGHTS, tmp_path / "step2.pt")
    with pytest.raises(UsageError, match=r"2 checkpoints: step1\.pt, step2\.pt"):
        locate(tmp_path)
    torch.save(WEIGHTS, tmp_path / "ckpt.pt")
    assert locate(tmp_path) == tmp_path / "ckpt.pt"
    said = others_beside(tmp_path, tmp_path / "ckpt.pt")
    assert said.startswith("ckpt.pt is taken; also in ")
    assert ": step1.pt, step2.pt. Name the file" in said
    assert others_beside(tmp_path / "step1.pt", tmp_path / "step1.pt") == ""
    save_file(WEIGHTS, tmp_path / "model.safetensors")
    assert locate(tmp_path) == tmp_path
    said = others_beside(tmp_path, tmp_path)
    assert said.startswith("The folder's model is taken; also in ")
    assert ": ckpt.pt, step1.pt, step2.pt. Name the file" in said


def test_a_hint_names_the_folder_that_holds_the_model(tmp_path: Path) -> None:
    for name in ("a_logs", "b_run", "c_empty"):
        (tmp_path / name).mkdir()
    (tmp_path / "a_logs" / "events.out").write_bytes(b"x" * 10_000)
    torch.save(WEIGHTS, tmp_path / "b_run" / "ckpt.pt")
    with pytest.raises(UsageError) as error:
        locate(tmp_path)
    assert error.value.hint == "Is it in b_run, in this folder?"
    (tmp_path / "b_run" / "ckpt.pt").unlink()
    with pytest.raises(UsageError) as error:
        locate(tmp_path)
    assert error.value.hint == "Name the file to convert."


def test_the_cache_of_downloads_is_looked_into(tmp_path: Path) -> None:
    blobs, version = tmp_path / "blobs", tmp_path / "snapshots" / "0a1b"
    blobs.mkdir()
    version.mkdir(parents=True)
    save_file(WEIGHTS, blobs / "ff")
    (version / "model.safetensors").symlink_to("../../blobs/ff")
    checkpoint = open_checkpoint(locate(tmp_path))
    assert checkpoint.folder == version
    assert_same(checkpoint, dict(sorted(WEIGHTS.items())))


def test_an_optimizer_in_types_that_are_not_read_does_no_harm(tmp_path: Path) -> None:
    odd = torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.qint8)
    torch.save({"model": WEIGHTS, "optimizer": {"m": odd}}, tmp_path / "a.pt")
    assert_same(open_checkpoint(tmp_path / "a.pt"), WEIGHTS)
    torch.save({"model": WEIGHTS | {"odd": odd}}, tmp_path / "a.pt")
    with pytest.raises(CheckpointError, match="'odd' as a torch"):
        open_checkpoint(tmp_path / "a.pt")


def test_names_of_formats_are_unique() -> None:
    assert [known.NAME for known in FORMATS] == ["torch-zip", "torch-legacy", "safetensors"]
