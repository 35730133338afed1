"""Tries vocabularies in llama.cpp on text, where the structure alone does not say which fits.

It promises the first candidate without a difference, or a refusal with the smallest difference
there was. A candidate is a real file without weights, written to a temporary folder.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from convert.errors import ProofError, VocabError
from convert.vocab.metadata import add_vocab
from convert.vocab.vocabulary import Encode, Vocab, check_vocab

if TYPE_CHECKING:
    from convert.vocab.proof import Difference


def write_vocab(path: Path, vocab: Vocab) -> Path:
    """A GGUF with the vocabulary and no weights."""
    from gguf import GGUFWriter  # 100 ms that reading a checkpoint does not need

    writer = GGUFWriter(path, "llama")
    try:
        add_vocab(writer, check_vocab(vocab))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
    finally:
        writer.close()
    return path


def choose(candidates: Iterable[Vocab], part: str) -> Vocab:
    """The first of `candidates` that splits every sample as its reference does.

    `part` names what is in question. Raises `VocabError`: none does, or there is no reference.
    """
    from convert.vocab.proof import load_reference, smallest

    encode: Encode | None = None
    best: tuple[int, str, str] | None = None
    for vocab in candidates:
        if encode is None:
            encode, why = load_reference(vocab)
        if encode is None:
            raise VocabError(
                f"{vocab.source.name} has {part} that llama.cpp has no name for, and it cannot be "
                f"tried on text: {why}.",
                "Install the converter's extra: pip install 'chatapp[convert]'.",
            )
        found, n_texts = _try(vocab, encode)
        if not found:
            return vocab
        if best is None or len(found) < best[0]:
            best = (len(found), f"{vocab.model} {vocab.pre}", f"{len(found)} of {n_texts} texts")
            words = smallest(found)
    if best is None:
        raise VocabError(f"llama.cpp has nothing like {part}.")
    raise VocabError(
        f"The tokenizer has {part} that none of llama.cpp's does. The nearest, {best[1]}, differs "
        f"on {best[2]}: {words}.",
        "Nothing was written: a model reads other tokens than it learned.",
    )


def _try(vocab: Vocab, encode: Encode) -> tuple[list[Difference], int]:
    from convert.libllama import ModelFile  # 300 ms of llama.cpp, and only where a trial is needed
    from convert.vocab.proof import Difference, compare, sample_texts

    texts = sample_texts(vocab)
    with tempfile.TemporaryDirectory(prefix="convert-vocab-") as folder:
        path = write_vocab(Path(folder) / "vocab.gguf", vocab)
        try:
            with ModelFile(path, vocab_only=True) as model:
                return compare(model, vocab, encode, texts), len(texts)
        except ProofError as error:
            return [Difference(0, error.message)], len(texts)
