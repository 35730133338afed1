"""What is a checkpoint, and when it is another one."""

import os
from pathlib import Path

import pytest

from chatapp.config import Config
from chatapp.errors import ModelError
from chatapp.library.checkpoints import is_checkpoint, stamp_checkpoint
from chatapp.library.local import resolve_model
from chatapp.paths import find_paths


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with weights in it."""
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "ckpt.pt").write_bytes(b"weights")
    return folder


def test_weights_are_a_checkpoint_and_model_files_are_none(folder: Path, tmp_path: Path) -> None:
    assert is_checkpoint(folder)
    assert is_checkpoint(folder / "ckpt.pt")
    (tmp_path / "renamed.bin").write_bytes(b"GGUF and more")
    assert not is_checkpoint(tmp_path / "renamed.bin")
    (tmp_path / "notes.txt").write_text("weights")
    assert not is_checkpoint(tmp_path / "notes.txt")
    assert not is_checkpoint(tmp_path)
    assert not is_checkpoint(tmp_path / "nowhere")


def test_a_folder_means_its_checkpoint(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert resolve_model(folder, Config(), find_paths()) == folder
    monkeypatch.chdir(tmp_path)
    assert resolve_model("run", Config(), find_paths()) == folder
    (folder / "ckpt.pt").unlink()
    with pytest.raises(ModelError, match="is a folder") as caught:
        resolve_model(folder, Config(), find_paths())
    assert "no checkpoint" in caught.value.hint


@pytest.mark.parametrize("named", ["run", "run/ckpt.pt"])
def test_the_stamp_changes_with_every_file_that_counts(
    folder: Path, tmp_path: Path, named: str
) -> None:
    source = tmp_path / named
    first = stamp_checkpoint(source)
    assert stamp_checkpoint(source) == first
    (folder / "meta.pkl").write_bytes(b"characters")
    second = stamp_checkpoint(source)
    os.utime(folder / "ckpt.pt", (1, 1))
    assert len({first, second, stamp_checkpoint(source)}) == 3


@pytest.mark.parametrize("named", ["run", "run/ckpt.pt"])
def test_what_training_writes_for_itself_leaves_the_stamp(
    folder: Path, tmp_path: Path, named: str
) -> None:
    (folder / "run.json").write_text("{}")
    before = stamp_checkpoint(tmp_path / named)
    for name in ("log.jsonl", "loss.png", "run.json", "finetune.json", ".chatapp-1.part"):
        (folder / name).write_text("more")
    for name in ("trainer_state.json", "optimizer.pt", "rng_state_0.pth", "events.out.tfevents.1"):
        (folder / name).write_text("more")
    for inner in ("training", "best"):
        (folder / inner).mkdir()
        (folder / inner / "ckpt.pt").write_bytes(b"weights")
        (folder / inner / "config.json").write_text("{}")
    assert stamp_checkpoint(tmp_path / named) == before
    (folder / "trained_on.json").write_text("{}")
    assert stamp_checkpoint(tmp_path / named) != before


@pytest.mark.parametrize("named", ["run", "run/ckpt.pt"])
@pytest.mark.parametrize(
    "other",
    [
        *(
            "run/transformer/config.json",
            "run/tokenizer/tokenizer.json",
            "run/1_Pooling/config.json",
        ),
        *("run/snapshots/1/tokenizer.model", "tokenizer.json", "tokenizer/vocab.json"),
        *("data/shakespeare/meta.pkl", "data/train.bin"),
    ],
)
def test_the_stamp_changes_with_what_lies_below_and_above(
    folder: Path, tmp_path: Path, named: str, other: str
) -> None:
    source, file = tmp_path / named, tmp_path / other
    first = stamp_checkpoint(source)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("{}")
    second = stamp_checkpoint(source)
    file.write_text("{more}")
    third = stamp_checkpoint(source)
    assert len({first, second, third}) == 3
    (tmp_path / "notes.json").write_text("of another program")
    assert stamp_checkpoint(source) == third
