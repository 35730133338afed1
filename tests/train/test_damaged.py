"""Recipes, texts and checkpoints that are wrong: one sentence and a way out, never a traceback."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from chatapp.errors import ChatAppError, ConfigError
from chatapp.train.corpus import read_conversations, read_documents
from chatapp.train.run import train
from chatapp.train.settings import Source, read_recipe

TEXT = '[[text]]\npath = "text.txt"\n'
SMALL = """
[model]
n_layer = 1
n_head = 1
n_embd = 8
block_size = 32
vocab_size = 300
[pretrain]
steps = 2
batch_tokens = 64
window = 16
eval_every = 1
"""


class Silent:
    def report(self, progress: object) -> None:
        pass

    def say(self, text: str) -> None:
        pass


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "text.txt").write_text("Some words about cats and mats.\n" * 100)
    return tmp_path


def write(folder: Path, recipe: str) -> Path:
    path = folder / "recipe.toml"
    path.write_text(recipe, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        ('threads = "two"', "threads must be a whole number, not 'two'"),
        ("threads = 1.5", "threads must be a whole number"),
        ("threads = true", "threads must be a whole number"),
        ("threads = -1", "threads is -1, it must lie between 0"),
        ('temperature = "warm"', "temperature must be a number"),
        ("temperature = nan", "temperature is nan"),
        ("temperature = inf", "temperature is inf"),
        ('characters = "yes"', "characters must be true or false"),
        ("heldout = 5", "heldout must be text in quotes"),
        ("thread = 2", "Did you mean threads?"),
        ("model = 5", "must be a table"),
        ("[model]\nn_layer = 1e3", "n_layer must be a whole number"),
        ("[model]\nn_layer = 1000000000", "n_layer is 1000000000"),
        ("[model]\nn_embd = 7\nn_head = 2", "[model]: n_embd (7) cannot be split"),
        ("[model]\ndropout = 1", "dropout is 1"),
        ("[pretrain]\nlearning_rate = nan", "learning_rate is nan"),
        (f"[pretrain]\nlearning_rate = 1{'0' * 400}", "learning_rate is inf"),
        ("[finetune]\njoind = 0.5", "Did you mean joined?"),
        ("[a\n", "cannot be read"),
        ("a = " + "[" * 100_000, "cannot be read"),
    ],
)
def test_a_wrong_recipe_names_its_key(folder: Path, recipe: str, message: str) -> None:
    path = write(folder, TEXT + recipe if recipe.startswith("[") else f"{recipe}\n{TEXT}")
    with pytest.raises(ConfigError) as caught:
        read_recipe(path)
    assert message in str(caught.value)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('text = "text.txt"', "Write [[text]]"),
        ("text = 5", "Write [[text]]"),
        ('text = ["text.txt"]', "must be a table"),
        ("[[text]]\nrepeat = 1", "needs a path"),
        ("[[text]]\npath = 5", "path must be text in quotes"),
        ('[[text]]\npath = ""', "needs a path"),
        ('[[text]]\npath = "a\\u0000b"', "no file matches"),
        ('[[text]]\npath = "gone/**x/[*.txt"', "path"),
        ('[[text]]\npath = "/nowhere/at/all.txt"', "no file matches /nowhere/at/all.txt"),
        ('[[text]]\npath = "text.txt"\nrepeat = "often"', "repeat must be a number"),
        ('[[text]]\npath = "text.txt"\nrepeat = inf', "repeat is inf"),
        ('[[text]]\npath = "text.txt"\nrepeat = -1', "repeat is -1"),
        ('[[text]]\npath = "text.txt"\nrepeats = 2', "Did you mean repeat?"),
    ],
)
def test_a_wrong_source_is_named(folder: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_recipe(write(folder, text))
    assert message in str(caught.value)


def test_paths_may_be_absolute_or_hold_what_a_pattern_means(folder: Path, monkeypatch) -> None:
    odd = folder / "a[1]*.txt"
    odd.write_text("words")
    monkeypatch.setenv("HOME", str(folder))
    for path, found in {
        str(folder / "text.txt"): "text.txt",
        str(folder / "te*.txt"): "text.txt",
        "~/text.txt": "text.txt",
        "./text.txt": "text.txt",
        "a[1]*.txt": odd.name,
    }.items():
        recipe = read_recipe(write(folder, f"\ufeff[[text]]\npath = {json.dumps(path)}\n"))
        assert [source.path for source in recipe.text] == [folder / found]


@pytest.mark.parametrize(
    "line",
    [
        b"[" * 100_000,
        b"1" * 5000,
        b'{"messages": [{"role": "robot", "content": "x"}]}',
        b'{"messages": [{"role": ["user"], "content": "x"}]}',
        b'{"messages": [{"role": "user", "content": null}]}',
        b"5",
        b"{",
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "chat.jsonl"
    path.write_bytes(b'["hello", "Good day."]\n' + line)
    with pytest.raises(ChatAppError, match="line 2"):
        read_conversations(Source(path))


def test_separators_inside_a_text_end_no_line(tmp_path: Path) -> None:
    path = tmp_path / "chat.jsonl"
    path.write_text('\ufeff["a\u2028b\x85c", "half \\ud83d of it"]\n', encoding="utf-8")
    [[user, assistant]] = read_conversations(Source(path))
    assert (user.content, assistant.content) == ("a\u2028b\x85c", "half ? of it")


def test_a_damaged_gzip_is_one_sentence(tmp_path: Path) -> None:
    whole = gzip.compress(b"words " * 1000)
    for content in (whole[:-9], whole[:12] + b"\xff" * 20, b"", b"text"):
        path = tmp_path / "text.txt.gz"
        path.write_bytes(content)
        if content:
            with pytest.raises(ChatAppError, match="cannot be read"):
                list(read_documents(Source(path)))
        else:
            assert list(read_documents(Source(path))) == []


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes]:
    folder = tmp_path_factory.mktemp("run")
    (folder / "text.txt").write_text("Some words about cats and mats.\n" * 100)
    recipe = write(folder, SMALL + TEXT)
    train((recipe,), folder / "out", reporter=Silent())
    recipe.write_text(recipe.read_text().replace("steps = 2", "steps = 3"))  # it is to go on
    return recipe, (folder / "out" / "ckpt.pt").read_bytes()


def resume(whole: tuple[Path, bytes], content: bytes) -> str:
    recipe, good = whole
    path = recipe.parent / "out" / "ckpt.pt"
    path.write_bytes(content)
    try:
        with pytest.raises(ChatAppError) as caught:
            train((recipe,), path.parent, resume=True, reporter=Silent())
        assert path.read_bytes() == content
    finally:
        path.write_bytes(good)
    assert caught.value.hint
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.7, 0.99])
def test_a_truncated_checkpoint_is_one_sentence(whole, share: float) -> None:
    assert "ckpt.pt" in resume(whole, whole[1][: int(len(whole[1]) * share)])


@pytest.mark.parametrize(
    "junk", [b"\0" * 4096, b"words\n" * 50, b"PK\x03\x04junk", b"\x80\x02}q\0."]
)
def test_what_is_no_checkpoint_is_one_sentence(whole, junk: bytes) -> None:
    assert "ckpt.pt" in resume(whole, junk)


def edit(whole: tuple[Path, bytes], tmp_path: Path, change: Any) -> bytes:
    (tmp_path / "ckpt.pt").write_bytes(whole[1])
    content = torch.load(tmp_path / "ckpt.pt", weights_only=True)
    torch.save(change(content) or content, tmp_path / "ckpt.pt")
    return (tmp_path / "ckpt.pt").read_bytes()


EDITS: dict[str, Any] = {
    "list": lambda c: [c],
    "no model": lambda c: c.pop("model") and None,
    "no args": lambda c: c.pop("model_args") and None,
    "no step": lambda c: c.update(iter_num="two"),
    "model is a list": lambda c: c.update(model=[1]),
    "weights are numbers": lambda c: c.update(model=dict.fromkeys(c["model"], 1.0)),
    "a tensor is missing": lambda c: c["model"].popitem() and None,
    "a tensor more": lambda c: c["model"].update(extra=torch.zeros(1)),
    "another shape": lambda c: c["model"].update({"lm_head.weight": torch.zeros(3, 3)}),
    "args are words": lambda c: c["model_args"].update(n_embd="wide"),
    "a billion layers": lambda c: c["model_args"].update(n_layer=10**9),
    "wider than memory": lambda c: c["model_args"].update(n_embd=2**40),
    "no such heads": lambda c: c["model_args"].update(n_head=3),
    "another recipe's": lambda c: c["model_args"].update(bias=False),
    "no optimizer state": lambda c: c["optimizer"].pop("state"),
    "optimizer of words": lambda c: c.update(optimizer={"state": "x", "param_groups": "y"}),
    "moments of another shape": lambda c: c["optimizer"]["state"][0].update(exp_avg=torch.ones(2)),
    "random state": lambda c: c.update(rng={"cpu": torch.zeros(3)}),
}


@pytest.mark.parametrize("name", EDITS)
def test_wrong_parts_are_one_sentence(whole, tmp_path: Path, name: str) -> None:
    assert resume(whole, edit(whole, tmp_path, EDITS[name])).endswith(".")


def test_what_another_program_adds_is_passed_over(whole, tmp_path: Path) -> None:
    recipe, good = whole
    path = recipe.parent / "out" / "ckpt.pt"
    path.write_bytes(edit(whole, tmp_path, lambda c: c.update(wandb="run 5")))
    assert train((recipe,), path.parent, resume=True, reporter=Silent()) == path
    path.write_bytes(good)


def test_a_run_goes_on_with_its_own_shape_only(whole) -> None:
    recipe, _ = whole
    text = recipe.read_text()
    recipe.write_text(text.replace("block_size = 32", "block_size = 64"))
    with pytest.raises(ChatAppError, match="has block_size = 32, this one would have 64"):
        train((recipe,), recipe.parent / "out", resume=True, reporter=Silent())
    recipe.write_text(text)


def test_conversations_without_an_answer_teach_nothing(folder: Path) -> None:
    lines = ['{"messages": []}', '{"messages": [{"role": "user", "content": "hello"}]}', "[]"]
    (folder / "chat.jsonl").write_text("\n".join(lines))
    recipe = write(folder, f'{SMALL}{TEXT}[[chat]]\npath = "chat.jsonl"\n')
    with pytest.raises(ChatAppError, match="no conversations"):
        train((recipe,), folder / "out", reporter=Silent())
