"""What an original does to a text before it splits it, and llama.cpp does not: as functions.

It promises that the proof can tell a known change of the text from an unknown difference: llama.cpp
given the changed text must split it as the original splits the plain one. Libraries are loaded when
the first text comes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any
from unicodedata import normalize

Rewrite = Callable[[str], str]


def compose(text: str) -> str:
    """Characters and their marks as one character each (NFC)."""
    return normalize("NFC", text)


def prefix_space(text: str) -> str:
    """A space before a text that begins with none, as ByteLevel's add_prefix_space puts it."""
    return text if not text or text.startswith(" ") else f" {text}"


def drop_space(text: str) -> str:
    """Text without a space it begins with, which llama.cpp puts there itself."""
    return text.removeprefix(" ")


def is_space(text: str) -> bool:
    """Whether `text` is one space, which llama.cpp cannot read as one."""
    return text == " "


def between(markers: Sequence[str], rewrite: Rewrite) -> Rewrite:
    """`rewrite` for each part of a text that lies between `markers`, which stay."""
    if not markers:
        return rewrite
    longest = sorted(markers, key=len, reverse=True)
    pattern = re.compile(f"({'|'.join(map(re.escape, longest))})")
    known = frozenset(markers)

    def apply(text: str) -> str:
        parts = pattern.split(text)
        return "".join(part if part in known or not part else rewrite(part) for part in parts)

    return apply


def chain(*steps: Rewrite) -> Rewrite:
    """A rewriting that does one after another of those given."""

    def apply(text: str) -> str:
        for step in steps:
            text = step(text)
        return text

    return apply


def by_tokenizers(normalizer: Any) -> Rewrite:
    """The normalizer of a `tokenizer.json`, run by Hugging Face's tokenizers."""

    @cache
    def load() -> Any:
        import tokenizers

        model = {"type": "WordLevel", "vocab": {"a": 0}, "unk_token": "a"}
        whole = {"version": "1.0", "normalizer": normalizer, "model": model, "added_tokens": []}
        return tokenizers.Tokenizer.from_str(json.dumps(whole)).normalizer

    return lambda text: str(load().normalize_str(text))


def by_sentencepiece(path: Path, *, prefixed: bool) -> Rewrite:
    """The normalisation in a SentencePiece model, without the space it puts before a text."""

    @cache
    def load() -> Any:
        import sentencepiece

        return sentencepiece.SentencePieceProcessor(model_file=str(path))

    def apply(text: str) -> str:
        plain = str(load().normalize(text)).replace("\u2581", " ")
        return plain.removeprefix(" ") if prefixed else plain

    return apply
