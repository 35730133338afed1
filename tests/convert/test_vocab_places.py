"""Where a tokenizer is looked for: what lies far off is taken only if it fits the model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tokenizers import pre_tokenizers

from convert.errors import VocabError
from convert.vocab import read_vocab
from tests.convert.vocabularies import source, train_bpe

GPT2 = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)


def test_a_tokenizer_two_folders_up_that_does_not_fit_is_passed_over(tmp_path: Path) -> None:
    n_tokens = train_bpe(tmp_path, [GPT2], n_tokens=300)
    run = tmp_path / "out" / "run"
    run.mkdir(parents=True)
    vocab = read_vocab(source(run), 50304)
    assert len(vocab.tokens) == 50257
    assert any(f"tokenizer.json has {n_tokens} tokens" in note for note in vocab.notes)
    with pytest.raises(VocabError, match=rf"Passed over: .*has {n_tokens} tokens, the model 400"):
        read_vocab(source(run), 400)


@pytest.mark.parametrize("n_rows", [300, 320])
def test_one_that_fits_is_taken_and_said(tmp_path: Path, n_rows: int) -> None:
    train_bpe(tmp_path, [GPT2], n_tokens=300)
    run = tmp_path / "out" / "run"
    run.mkdir(parents=True)
    vocab = read_vocab(source(run), n_rows)
    assert f"The tokenizer was found in {tmp_path}, not beside the checkpoint." in vocab.notes


def test_nothing_further_than_two_folders_up_is_looked_at(tmp_path: Path) -> None:
    train_bpe(tmp_path, [GPT2], n_tokens=300)
    run = tmp_path / "a" / "b" / "c"
    run.mkdir(parents=True)
    with pytest.raises(VocabError, match="No tokenizer beside"):
        read_vocab(source(run), 300)


def test_a_damaged_one_far_off_does_not_stop_the_search(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text("{")
    run = tmp_path / "run"
    run.mkdir()
    vocab = read_vocab(source(run), 50257)
    assert any("Passed over" in note and "not valid JSON" in note for note in vocab.notes)


def test_faults_of_vocab_json_are_said_of_vocab_json(tmp_path: Path) -> None:
    (tmp_path / "vocab.json").write_text(json.dumps({"a": 0, "b": "c"}))
    (tmp_path / "merges.txt").write_text("")
    with pytest.raises(VocabError, match=r"^vocab\.json has a token whose id is no whole number"):
        read_vocab(source(tmp_path), 2)
