"""Signals while a model is trained: the step ends, it is saved, and what goes on is said."""

import signal
from pathlib import Path

import pytest
import torch

from chatapp.errors import ChatAppError
from chatapp.train import keeping
from chatapp.train.checkpoint import load_checkpoint
from chatapp.train.progress import Progress
from chatapp.train.run import go_on, train
from chatapp.train.wishes import Wishes

RECIPE = """
threads = 1
[model]
n_layer = 1
n_head = 1
n_embd = 8
block_size = 16
vocab_size = 300
[pretrain]
steps = 20
batch_tokens = 32
window = 16
[finetune]
steps = 2
batch_tokens = 64
window = 16
[[text]]
path = "text.txt"
[[chat]]
path = "chat.jsonl"
"""


class Signaller:
    """Sends a signal at step 10, or when it is told something; keeps what it is told."""

    def __init__(self, number: int = 0, word: str = "") -> None:
        self._number, self._word = number, word
        self.said: list[str] = []

    def report(self, progress: Progress) -> None:
        if progress.step == 10 and self._number and not self._word:
            signal.raise_signal(self._number)

    def say(self, text: str) -> None:
        self.said.append(text)
        if self._word and text.startswith(self._word):
            self._word = ""
            raise KeyboardInterrupt


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    (tmp_path / "text.txt").write_text("The cat sat on the mat, said the dog to the hog.\n" * 60)
    (tmp_path / "chat.jsonl").write_text('["hello", "Good day."]\n' * 4)
    path = tmp_path / "recipe.toml"
    path.write_text(RECIPE)
    return path


@pytest.mark.parametrize(
    ("number", "raised", "code"),
    [
        (signal.SIGINT, KeyboardInterrupt, None),
        (signal.SIGTERM, SystemExit, 143),
        (signal.SIGHUP, SystemExit, 129),
    ],
)
def test_a_signal_saves_and_says_what_goes_on(recipe: Path, number: int, raised, code):
    out = recipe.parent / "the out"
    told = Signaller(number)
    with pytest.raises(raised) as caught:
        train((recipe,), out, reporter=told)
    assert getattr(caught.value, "code", None) == code
    assert load_checkpoint(out / "pretrain").iter_num == 10
    assert told.said[-1] == f"Saved step 10. To go on: chatapp train resume '{out}'"


def test_a_signal_that_is_to_be_ignored_is(recipe: Path):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        train((recipe,), recipe.parent / "out", reporter=Signaller(signal.SIGHUP))
    finally:
        signal.signal(signal.SIGHUP, before)
    assert load_checkpoint(recipe.parent / "out" / "pretrain").iter_num == 20


def test_what_is_stopped_before_a_step_says_so(recipe: Path):
    out = recipe.parent / "out"
    told = Signaller(word="data:")
    with pytest.raises(KeyboardInterrupt):
        train((recipe,), out, reporter=told)
    assert told.said[-1] == "Stopped before a step was taken: there was nothing new to save."
    assert not list(out.rglob("ckpt.pt"))
    assert go_on(out / "pretrain", Wishes(), Signaller()) == out / "ckpt.pt"
    assert torch.isfinite(load_checkpoint(out).model["lm_head.weight"]).all()


def test_what_cannot_be_saved_names_the_run_to_go_on_with(recipe: Path, monkeypatch):
    def full(*_given: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(keeping, "save_checkpoint", full)
    out = recipe.parent / "the out"
    with pytest.raises(ChatAppError, match=r"cannot be written into .*pretrain") as caught:
        train((recipe,), out, reporter=Signaller())
    assert caught.value.hint == f"Make room, then go on: chatapp train resume '{out}'"
