"""Hugging Face's `tokenizer.json`: which kind of tokenizer it describes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from convert.errors import VocabError
from convert.vocab import byte_bpe, metaspace, unigram, wordpiece
from convert.vocab.files import load_json
from convert.vocab.json_parts import FILE, refuse
from convert.vocab.vocabulary import Vocab
from convert.vocab.wanted import Wanted

FILES: tuple[str, ...] = (FILE,)
DESCRIPTION = "Hugging Face's tokenizer.json: BPE on bytes or with ▁, WordPiece, unigrams"

Build = Callable[[Path, dict[str, Any], Wanted], Vocab]


def read(path: Path, wanted: Wanted) -> Vocab:
    """The vocabulary in `path`. Raises `VocabError`."""
    data = load_json(path)
    model = data.get("model")
    if not isinstance(model, dict):
        raise refuse("a model", model)
    kind = model.get("type") or ("WordPiece" if "max_input_chars_per_word" in model else "BPE")
    builders: dict[str, Build] = {
        "WordPiece": wordpiece.from_json,
        "Unigram": unigram.from_json,
        "BPE": metaspace.from_json if metaspace.recognise(data) else byte_bpe.from_json,
    }
    if kind == "WordLevel":
        raise VocabError(
            f"{FILE} has whole words for tokens (WordLevel), and one token for all other words; "
            "each of llama.cpp's tokenizers takes words that it lacks to pieces.",
            "There is no file that would read text alike: train with a BPE or with unigrams.",
        )
    if kind not in builders:
        raise refuse("a model", kind)
    return builders[str(kind)](path, data, wanted)
