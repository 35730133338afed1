"""Characters in every form that training scripts save them: the saved order counts."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from convert.checkpoints.checkpoint import Checkpoint
from convert.errors import VocabError
from convert.options import Options
from convert.pipeline import make_plan
from convert.questions import OpenQuestions
from convert.vocab import read_vocab
from convert.vocab.alphabets import find_ids
from tests.convert.vocabularies import prove_folder, source

ORDER = "\n hello, wrd!é京ABC"
CHARACTERS = list(dict.fromkeys(ORDER))
STOI = {character: index for index, character in enumerate(CHARACTERS)}
ITOS = dict(enumerate(CHARACTERS))


class CharTokenizer:
    """What a script may pickle whole."""

    def __init__(self) -> None:
        self.stoi, self.itos = STOI, ITOS


def as_json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


FORMS: dict[str, tuple[str, bytes]] = {
    "a list in JSON": ("chars.json", as_json(CHARACTERS)),
    "ids by character in JSON": ("stoi.json", as_json(STOI)),
    "characters by id in JSON": ("itos.json", as_json(ITOS)),
    "both in JSON": ("meta.json", as_json({"stoi": STOI, "itos": ITOS})),
    "under the name of GPT-2's vocabulary": ("vocab.json", as_json(STOI)),
    "under the name of a tokenizer": ("tokenizer.json", as_json({"char_to_idx": STOI})),
    "a pickled list": ("chars.pkl", pickle.dumps(CHARACTERS)),
    "a pickled pair": ("meta.pkl", pickle.dumps((STOI, ITOS))),
    "a pickled triple": ("vocab.pkl", pickle.dumps((CHARACTERS, STOI, ITOS))),
    "a pickled text": ("chars.pkl", pickle.dumps("".join(CHARACTERS))),
    "an object": ("tokenizer.pkl", pickle.dumps(CharTokenizer())),
    "one deeper": ("meta.pkl", pickle.dumps({"tokenizer": {"id2char": ITOS}, "n": 3})),
}


@pytest.mark.parametrize("form", FORMS)
def test_characters_beside_the_checkpoint(form: str, tmp_path: Path) -> None:
    name, data = FORMS[form]
    (tmp_path / name).write_bytes(data)
    vocab, report = prove_folder(tmp_path, len(CHARACTERS))
    assert (vocab.alphabet, report["differences"]) == ("".join(CHARACTERS), 0)
    named = read_vocab(source(tmp_path), len(CHARACTERS), tokenizer=str(tmp_path / name))
    assert named.tokens == vocab.tokens


def test_characters_saved_with_torch(tmp_path: Path) -> None:
    torch.save((STOI, ITOS), tmp_path / "vocab.pt")
    vocab, report = prove_folder(tmp_path, len(CHARACTERS))
    assert (vocab.alphabet, report["differences"]) == ("".join(CHARACTERS), 0)


INSIDE: list[dict[str, Any]] = [
    {"chars": "".join(CHARACTERS)},
    {"vocab": CHARACTERS},
    {"tokenizer": [STOI, ITOS]},
    {"char2idx": STOI},
    {"meta": {"vocabulary": CHARACTERS}},
]


@pytest.mark.parametrize("facts", INSIDE)
def test_characters_inside_the_checkpoint(facts: dict[str, Any], tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path, "test", {}, facts)
    assert read_vocab(checkpoint, len(CHARACTERS)).alphabet == "".join(CHARACTERS)


NO_CHARACTERS: list[Any] = [
    {"dataset": "tiny", "config": {"data": "books"}},
    {"encoder": {"n_layer": 2, "n_head": 4}},
    {"vocab": ["hello", "world", "a"]},
    {"layers": ["a", "b"]},
    {"stoi": {"a": "b"}},
    {"itos": {"a": "b", "c": "d"}},
    [1, 2, 3],
    None,
]


@pytest.mark.parametrize("facts", NO_CHARACTERS)
def test_settings_are_no_characters(facts: Any) -> None:
    assert find_ids(facts) is None


def test_characters_that_do_not_fit_the_rows_are_not_taken(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path, "test", {}, {"chars": CHARACTERS})
    with pytest.raises(VocabError, match="No tokenizer beside"):
        read_vocab(checkpoint, 5000)


def test_the_training_text_will_do(tmp_path: Path) -> None:
    text = tmp_path / "input.txt"
    text.write_bytes((ORDER * 3).replace("\n", "\r\n").encode())
    vocab, report = prove_folder(tmp_path, len(CHARACTERS), tokenizer=str(text))
    assert vocab.alphabet == "".join(sorted(CHARACTERS))
    assert report["differences"] == 0
    assert any("numbered in sorted order" in note for note in vocab.notes)
    with pytest.raises(VocabError, match=rf"has {len(CHARACTERS)} different .* 99 rows"):
        read_vocab(source(tmp_path), 99, tokenizer=str(text))


def test_a_text_with_as_many_characters_is_offered(
    make: Callable[..., Path], tmp_path: Path
) -> None:
    folder = make(vocab_size=len(CHARACTERS))
    for path in folder.glob("tokenizer*"):
        path.unlink()
    (folder / "other.txt").write_text("abc")
    (folder / "input.txt").write_text(ORDER)
    with pytest.raises(OpenQuestions) as raised:
        make_plan(Options(folder))
    (question,) = raised.value.questions
    assert [choice.value for choice in question.choices] == [str(folder / "input.txt")]
