"""Tokenizers: carried over exactly, or refused with the part that does not fit."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import pytest

from convert.checkpoints.checkpoint import Checkpoint
from convert.errors import VocabError
from convert.libllama import ModelFile
from convert.pipeline import convert
from convert.questions import OpenQuestions
from convert.vocab import read_vocab
from convert.vocab.vocabulary import TokenKind


def edit_json(path: Path, edit: Callable[[dict[str, Any]], Any]) -> None:
    data = json.loads(path.read_text())
    edit(data)
    path.write_text(json.dumps(data))


def test_kinds_and_special_ids(tokenizer_folder: Path) -> None:
    vocab = read_vocab(Checkpoint(tokenizer_folder, "test", {}), 512)
    assert vocab.kinds[:6] == (TokenKind.CONTROL,) * 5 + (TokenKind.NORMAL,)
    assert vocab.tokens[:2] == ("<|endoftext|>", "<|end|>")
    assert vocab.special_ids == {"bos": 0, "eos": 1, "eot": 1, "pad": 0}
    assert (vocab.model, vocab.pre) == ("gpt2", "gpt-2")
    assert len(vocab.merges) == 512 - 256 - 5


@pytest.mark.parametrize(
    ("edit", "part"),
    [
        (lambda d: d.update(pre_tokenizer={"type": "Whitespace"}), "a pre-tokenizer"),
        (lambda d: d["model"].update(type="WordLevel"), "whole words"),
        (lambda d: d["model"].update(byte_fallback=True), "byte_fallback"),
        (lambda d: d["model"].update(merges=["a b c"]), "no pair"),
        (lambda d: d["model"]["vocab"].update(extra=7), "two tokens"),
        (lambda d: d["model"]["vocab"].update(extra=10**9), "does not belong"),
        (lambda d: d["model"]["vocab"].update({"": 511}), "two tokens|empty"),
        (lambda d: d["added_tokens"][0].update(id=-1), "two tokens|negative|special"),
        (lambda d: d["added_tokens"].append(7), "added token"),
        (lambda d: d.update(added_tokens=[]), "no special token"),
        (lambda d: d["model"]["vocab"].update({"\ud800": 512}), "valid Unicode"),
    ],
)
def test_what_llama_cpp_has_not_is_refused(make, edit: Any, part: str) -> None:
    folder = make(vocab_size=520)
    edit_json(folder / "tokenizer.json", edit)
    before = set(folder.iterdir())
    with pytest.raises(VocabError, match=part):
        convert(folder, parity="off")
    assert set(folder.iterdir()) == before


@pytest.mark.parametrize(
    ("edit", "part"),
    [
        (lambda d: d.update(normalizer={"type": "NFKC"}), r"normalises text first \(NFKC"),
        (lambda d: d["pre_tokenizer"].update(add_prefix_space=True), "puts a space before"),
        (lambda d: d["pre_tokenizer"].update(use_regex=False), "none of llama.cpp's does"),
    ],
)
def test_what_llama_cpp_does_otherwise_is_asked(make, edit: Any, part: str) -> None:
    folder = make(vocab_size=520)
    edit_json(folder / "tokenizer.json", edit)
    with pytest.raises(OpenQuestions, match=part) as raised:
        convert(folder, parity="off")
    assert [question.name for question in raised.value.questions] == ["inexact_tokenizer"]
    assert not list(folder.glob("*.gguf*"))
    result = convert(folder, parity="off", inexact_tokenizer=True)
    assert result.proof is not None
    assert result.proof["tokenizer"]["differences"] > 0
    assert any(note.startswith("Accepted: ") for note in result.plan["notes"])


def test_a_token_that_takes_the_spaces_beside_it_is_noted(make) -> None:
    folder = make()
    # llama.cpp does it for a few known models only
    edit_json(folder / "tokenizer.json", lambda d: d["added_tokens"][2].update(lstrip=True))
    notes = convert(folder, parity="off").plan["notes"]
    assert any("swallow the spaces" in note for note in notes)


def test_bytes_without_a_merge_are_a_tokenizer_too(make) -> None:
    folder = make()
    edit_json(folder / "tokenizer.json", lambda d: d["model"].update(merges=[]))
    with ModelFile(convert(folder, parity="off").output, vocab_only=True) as file:
        assert len(file.tokenize("hello", add_special=False, parse_special=False)) == 5


def test_unused_ids_become_placeholders(make) -> None:
    def move(data: dict[str, Any]) -> None:
        last = max(data["model"]["vocab"], key=data["model"]["vocab"].get)
        data["model"]["vocab"][last] = 515

    folder = make(vocab_size=520)
    edit_json(folder / "tokenizer.json", move)
    output = convert(folder, parity="off").output
    field = gguf.GGUFReader(output).fields["tokenizer.ggml.token_type"]
    assert field.contents()[511:] == [5, 5, 5, 5, 1]
    with ModelFile(output, vocab_only=True) as file:
        assert file.n_tokens == 516


def test_added_ends_are_carried(make) -> None:
    folder = make()
    edit_json(folder / "tokenizer_config.json", lambda d: d.update(add_bos_token=True))
    with ModelFile(convert(folder, parity="off").output, vocab_only=True) as file:
        assert file.tokenize("hello", add_special=True, parse_special=False)[0] == 0


def test_without_configuration_the_usual_names_are_taken(make) -> None:
    folder = make()
    (folder / "tokenizer_config.json").unlink()
    result = convert(folder, parity="off")
    assert result.plan["special_ids"] == {"bos": 0, "eos": 0}
    assert any("usual names" in note for note in result.plan["notes"])
    assert any("base model" in note for note in result.plan["notes"])


def test_no_tokenizer_says_where_it_was_looked_for(make) -> None:
    folder = make()
    (folder / "tokenizer.json").unlink()
    with pytest.raises(OpenQuestions) as open_ones:
        convert(folder)
    assert re.search(r"looked for .*tokenizer\.json.* in .*tiny-model", open_ones.value.hint)


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, "[]", '{"model": 3}', '{"model": {}}'])
def test_a_damaged_tokenizer_is_refused(make, text: str) -> None:
    folder = make()
    (folder / "tokenizer.json").write_text(text)
    with pytest.raises(VocabError):
        convert(folder)
    assert not list(folder.glob("*.gguf*"))
