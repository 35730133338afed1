"""What is refused before anything is trained, and a run at its end: no file is touched."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tokenizers import Tokenizer

from chatapp.errors import ChatAppError
from chatapp.train import plan
from chatapp.train.bases import open_base
from chatapp.train.progress import Silent
from chatapp.train.run import foretell, go_on, learn_tokenizer, train
from chatapp.train.sample import Draw, write
from chatapp.train.tuning import go_on_tuning, tune
from chatapp.train.tuning_settings import Tuning, find_tuning
from chatapp.train.wishes import Wishes
from tests.engine.transformers_folders import write_gpt2

SMALL = Wishes(steps=1, size="40k", context=16, batch_tokens=32, vocab_size=320)


class Listener(Silent):
    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`text.txt`, a run on it in `out`, fine-tuned in `tuned`; two tokenizers of other texts."""
    place = tmp_path_factory.mktemp("runs")
    text, other = place / "text.txt", place / "other.txt"
    text.write_text("\n".join(f"The {n} cats sat on {n % 7} mats." for n in range(400)))
    other.write_text("\n".join(f"Jackdaws love {n} big sphinxes of quartz." for n in range(400)))
    train((text,), place / "out", wishes=SMALL, reporter=Silent())
    learn_tokenizer((other,), place / "fewer", 300, Silent())
    learn_tokenizer((other,), place / "others", 320, Silent())
    (place / "chats.jsonl").write_text('["a", "b"]\n["c", "d"]\n')
    tune(Tuning(place / "out", (place / "chats.jsonl",), steps=1), place / "tuned", Silent())
    return place


def look(folder: Path) -> dict[Path, tuple[bytes, int]]:
    """Every file with its content and its time."""
    files = [file for file in folder.rglob("*") if file.is_file()]
    return {file: (file.read_bytes(), file.stat().st_mtime_ns) for file in files}


USES: dict[str, Callable[[Path], Any]] = {
    "resume": lambda out: go_on(out, Wishes(steps=2), Silent()),
    "sample": lambda out: write(out / "ckpt.pt", "The", Draw(max_tokens=1)),
    "finetune": lambda out: open_base(out, 0, "", frozen=False),
}


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("words", ["fewer", "others"])
def test_a_tokenizer_that_is_not_the_checkpoints(place: Path, tmp_path: Path, words: str, use: str):
    out = tmp_path / "out"
    shutil.copytree(place / "out", out)
    assert USES[use](out)
    shutil.copyfile(place / words / "tokenizer.json", out / "tokenizer.json")
    before = look(out)
    with pytest.raises(ChatAppError, match="do not belong together") as caught:
        USES[use](out)
    assert caught.value.hint
    assert look(out) == before


@pytest.mark.parametrize("words", ["fewer", "others"])
def test_a_run_that_goes_on_keeps_its_tokenizer(place: Path, words: str):
    before = look(place / "out")
    wishes = Wishes(steps=2, size="40k", context=16, batch_tokens=32, tokenizer=place / words)
    with pytest.raises(ChatAppError, match="tokens of its own"):
        train((place / "text.txt",), place / "out", resume=True, wishes=wishes, reporter=Silent())
    with pytest.raises(ChatAppError, match="block_size = 16, this one would have 32"):
        go_on(place / "out", Wishes(steps=2, context=32), Silent())
    assert look(place / "out") == before


def test_a_folders_tokenizer_that_is_not_the_models(tmp_path: Path):
    folder = write_gpt2(tmp_path / "gpt2")
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    tokenizer["model"].update(
        vocab={word: n for word, n in tokenizer["model"]["vocab"].items() if n < 300}, merges=[]
    )
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    assert Tokenizer.from_file(str(folder / "tokenizer.json")).get_vocab_size() == 300
    with pytest.raises(ChatAppError, match=r"has 300 tokens, the model 3.*do not belong together"):
        open_base(folder, 0, "", frozen=False)


def test_no_room_is_said_before_anything_is_trained(place: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _folder: SimpleNamespace(free=500_000))
    before = look(place)
    told = r"will write about 1 MB into .*, where 500 kB are free"
    with pytest.raises(ChatAppError, match=told):
        train((place / "text.txt",), place / "new", wishes=SMALL, reporter=Silent())
    with pytest.raises(ChatAppError, match=told):
        tune(Tuning(place / "out", (place / "chats.jsonl",), steps=1), place / "new", Silent())
    assert look(place) == before
    assert not (place / "new").exists()


def test_a_model_that_memory_cannot_hold_is_not_made(place: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(plan, "memory_bytes", lambda: (100_000, 2**40))
    told = r"Training .* needs .* kB of memory at least, and 100 kB are free"
    with pytest.raises(ChatAppError, match=told):
        train((place / "text.txt",), place / "new", wishes=SMALL, reporter=Silent())
    with pytest.raises(ChatAppError, match=told):
        foretell((place / "text.txt",), SMALL)
    assert not (place / "new").exists()


def test_a_run_at_its_end_is_left_as_it_is(place: Path):
    before = look(place)
    told = Listener()
    assert go_on(place / "out" / "best" / "ckpt.pt", reporter=told) == place / "out" / "ckpt.pt"
    assert find_tuning(place / "tuned" / "best" / "ckpt.pt") == place / "tuned"
    assert find_tuning(place / "out" / "best") is None
    assert told.said == [f"The run in {place / 'out'} is at its end, step 1."]
    assert go_on_tuning(place / "tuned", reporter=told).folder == place / "tuned"
    assert told.said[1] == f"The run in {place / 'tuned'} is at its end, step 1."
    assert look(place) == before
