"""Tokenizers: the registry of vocabulary sources, one a file, and the proof in `proof.py`.

To add one: a module with `FILE`, `DESCRIPTION` and `read(folder, n_rows)`, and a line in `SOURCES`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from convert.errors import VocabError
from convert.vocab import tokenizer_json
from convert.vocab.vocabulary import Vocab


class Source(Protocol):
    """What a vocabulary source's module offers."""

    FILE: str
    DESCRIPTION: str

    def read(self, folder: Path, n_rows: int) -> Vocab:
        """The vocabulary in `folder`, for a model with `n_rows` embedding rows."""


SOURCES: tuple[Source, ...] = (tokenizer_json,)


def read_vocab(folder: Path, n_rows: int) -> Vocab:
    """The vocabulary beside a checkpoint. Raises `VocabError` saying where it was looked for."""
    for source in SOURCES:
        if (folder / source.FILE).is_file():
            try:
                return source.read(folder, n_rows)
            except (AttributeError, TypeError, ValueError, KeyError) as error:
                raise VocabError(
                    f"{source.FILE} is not in the form it should be: {str(error)[:120]}.",
                    "Save the tokenizer again.",
                ) from error
    names = ", ".join(source.FILE for source in SOURCES)
    raise VocabError(
        f"No tokenizer beside the checkpoint: looked for {names} in {folder}.",
        "Put the tokenizer's files into that folder.",
    )
