"""Models of characters: nanoGPT's meta.pkl, and runs that learn and resume."""

import pickle
from dataclasses import replace
from pathlib import Path

import pytest

from chatapp.engine.pytorch.characters import load_characters
from chatapp.errors import ChatAppError, ConfigError
from chatapp.train.characters import character_tokenizer
from chatapp.train.checkpoint import load_checkpoint
from chatapp.train.run import go_on, train
from chatapp.train.sample import Draw, Sampler, write
from chatapp.train.settings import read_recipe
from chatapp.train.wishes import Wishes

TEXT = "Ψυχή, 北京 and\n🙂 the\tquick brown fox; the lazy dog!\n" * 40


SMALL = Wishes(characters=True, size="50k", context=16, batch_tokens=64)


class Silent:
    def report(self, progress: object) -> None:
        pass

    def say(self, text: str) -> None:
        pass


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "text.txt"
    path.write_text(TEXT)
    return path


def test_every_character_is_one_token():
    tokenizer = character_tokenizer([TEXT])
    ids = tokenizer.encode(TEXT).ids
    assert len(ids) == len(TEXT)
    assert tokenizer.decode(ids) == TEXT
    assert tokenizer.get_vocab_size() == len(set(TEXT))


def test_a_run_leaves_nanogpts_meta_and_no_tokenizer(text: Path, tmp_path: Path):
    out = tmp_path / "out"
    train((text,), out, wishes=replace(SMALL, steps=3), reporter=Silent())
    meta = pickle.loads((out / "meta.pkl").read_bytes())
    assert meta["vocab_size"] == len(set(TEXT))
    assert [meta["itos"][i] for i in range(meta["vocab_size"])] == sorted(set(TEXT))
    assert all(meta["stoi"][char] == i for i, char in meta["itos"].items())
    assert not (out / "tokenizer.json").exists()
    checkpoint = load_checkpoint(out)
    assert checkpoint.model["transformer.wte.weight"].shape[0] == meta["vocab_size"]
    train((text,), out, wishes=replace(SMALL, steps=5), resume=True, reporter=Silent())
    assert load_checkpoint(out).iter_num == 5
    go_on(out, Wishes(steps=6), Silent())
    assert load_checkpoint(out).iter_num == 6
    said = write(out, "the", Draw(max_tokens=9))
    assert said.startswith("the")
    assert len(said) == 12
    model = load_checkpoint(out).restore_model()
    sampler = Sampler(load_characters(out), every=0.0)
    assert sampler(model).startswith("  it is given: ")
    assert Sampler(load_characters(out))(model) == ""
    (out / "meta.pkl").write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    with pytest.raises(ChatAppError, match=r"it names os\.system"):
        write(out, "the", Draw())


def test_a_model_of_characters_has_no_turns(text: Path, tmp_path: Path):
    (tmp_path / "chat.jsonl").write_text('{"messages": []}\n')
    recipe = tmp_path / "recipe.toml"
    recipe.write_text('characters = true\n[[text]]\npath = "text.txt"\n')
    assert read_recipe(recipe).characters
    recipe.write_text(recipe.read_text() + '[[chat]]\npath = "chat.jsonl"\n')
    with pytest.raises(ConfigError, match="no turns"):
        read_recipe(recipe)
