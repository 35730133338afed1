"""What is trained on is noted beside the checkpoint: those tokens, and no others."""

import os
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer

from chatapp.gguf.seen import FILE, Seen
from chatapp.train import noting
from chatapp.train.chat_format import END_OF_TEXT
from chatapp.train.noting import note_texts
from chatapp.train.packing import FACTS_FILE
from chatapp.train.tokenizer import train_tokenizer

LINES = [f"line number {n} of a text that is trained on" for n in range(200)]


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return train_tokenizer(LINES, 280)


def read(folder: Path) -> Seen:
    seen = Seen.parse((folder / FILE).read_text())
    assert seen is not None
    return seen


def test_the_text_of_the_tokens_is_noted_whatever_the_blocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tokenizer: Tokenizer
) -> None:
    monkeypatch.setattr(noting, "_BLOCK", 500)
    (tmp_path / FACTS_FILE).write_text("{}")
    ids: list[int] = []
    for line in LINES[:100]:  # documents without a line's end
        ids += [*tokenizer.encode(line).ids, tokenizer.token_to_id(END_OF_TEXT)]
    note_texts(np.array(ids, np.uint16), tokenizer, tmp_path, tmp_path)
    assert read(tmp_path).overlap("\n".join(LINES[:100])).share > 0.9  # blocks cut a few lines
    assert read(tmp_path).overlap("\n".join(LINES[100:])).share == 0.0


def test_it_is_made_again_when_the_tokens_are(tmp_path: Path, tokenizer: Tokenizer) -> None:
    facts = tmp_path / FACTS_FILE
    facts.write_text("{}")
    for line in LINES[:2]:
        note_texts(np.array(tokenizer.encode(line).ids), tokenizer, tmp_path, tmp_path)
        assert read(tmp_path).overlap(LINES[0]).share == 1.0  # the second call changes nothing
    later = (tmp_path / FILE).stat().st_mtime + 10
    os.utime(facts, (later, later))
    note_texts(np.array(tokenizer.encode(LINES[1]).ids), tokenizer, tmp_path, tmp_path)
    assert read(tmp_path).overlap(LINES[0]).share == 0.0
