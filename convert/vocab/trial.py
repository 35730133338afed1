"""Tries vocabularies in llama.cpp on text, where the structure alone does not say which fits.

It promises the first candidate without a difference, or the nearest and a question with the texts
that differ. A candidate is a real file without weights, written to a temporary folder.
"""

from __future__ import annotations

import struct
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from convert.errors import ProofError, VocabError
from convert.questions import Choice, Question
from convert.vocab.metadata import add_vocab
from convert.vocab.vocabulary import Encode, Vocab, check_vocab

if TYPE_CHECKING:
    from convert.vocab.proof import Difference


_STRING = 8  # enum gguf_type
_SHOWN = 3  # differing texts in a question


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


class _Files:
    """Files without weights in one place, one at a time. Those that differ in the pre-tokenizer's
    name alone are one file with another name in it: to write 100,000 tokens takes a second."""

    def __init__(self, folder: str) -> None:
        self._path = Path(folder) / "vocab.gguf"
        self._written: tuple[Vocab, bytes] | None = None

    def write(self, vocab: Vocab) -> Path:
        """The file of `vocab`."""
        last = self._written
        if last is not None and replace(vocab, pre=last[0].pre) == last[0]:
            self._path.write_bytes(_rename(last[1], last[0].pre, vocab.pre))
        else:
            write_vocab(self._path, vocab)
            self._written = vocab, self._path.read_bytes()
        return self._path


def _rename(data: bytes, old: str, new: str) -> bytes:
    """A model file with the pre-tokenizer's name `new`: behind its key, and before its length,
    stands the type of a string."""
    key = b"tokenizer.ggml.pre" + struct.pack("<I", _STRING)
    before, after = (
        key + struct.pack("<Q", len(name.encode())) + name.encode() for name in (old, new)
    )
    return data.replace(before, after, 1)


def choose(candidates: Iterable[Vocab], part: str) -> Vocab:
    """The first of `candidates` that splits every sample as its reference does.

    `part` names what is in question. Where none does, the nearest is given, in doubt. Raises
    `VocabError`: there is no reference.
    """
    from convert.vocab.proof import load_reference, sample_texts

    encode: Encode | None = None
    best: tuple[int, Vocab] | None = None
    with tempfile.TemporaryDirectory(prefix="convert-vocab-") as folder:
        files = _Files(folder)
        for vocab in candidates:
            if encode is None:
                encode, why = load_reference(vocab)
            if encode is None:
                raise VocabError(
                    f"{vocab.source.name} has {part} that llama.cpp has no name for, and it cannot "
                    f"be tried on text: {why}.",
                    "pip install '.[convert]' (in the folder of chatapp's sources)",
                )
            found = _try(files.write(vocab), vocab, encode, sample_texts(vocab))
            if not found:
                return vocab
            if best is None or len(found) < best[0]:
                best = (len(found), vocab)
    if best is None:
        raise VocabError(f"llama.cpp has nothing like {part}.")
    doubt = f"It has {part} that none of llama.cpp's does; the nearest is {best[1].model} {{}}."
    return replace(best[1], doubts=(*best[1].doubts, doubt.format(best[1].pre)))


def settle(vocab: Vocab, *, inexact: bool) -> Vocab:
    """`vocab`, unless it is in doubt: then what differs is a question, or with `inexact` a note.

    Raises `VocabError`, with the shortest texts that are split otherwise.
    """
    if not vocab.doubts and not vocab.lacks:
        return replace(vocab, accepted=inexact)
    from convert.vocab.proof import GO_ON, load_reference, smallest

    encode, why = load_reference(vocab)
    if vocab.lacks:
        whole = replace(vocab, differs=None)
        if not vocab.doubts and (encode is None or not run_trial(whole, encode)[0]):
            return replace(whole, notes=(*vocab.notes, vocab.lacks), accepted=inexact)
        vocab = replace(vocab, doubts=(*vocab.doubts, vocab.lacks))
    said = why
    if encode is not None:
        # even as the original rewrites text, most of it comes out otherwise: another tokenizer
        rewritten, n_texts = run_trial(vocab, encode)
        found, _ = run_trial(replace(vocab, accepted=True), encode)
        said = f"llama.cpp differs on {len(found)} of {n_texts} texts"
        said += f": {smallest(found, _SHOWN)}" if found else ""
        if rewritten and len(rewritten) < len(found):
            said += f"; {len(rewritten)} for no reason that we know: {smallest(rewritten)}"
        if len(rewritten) * 2 > n_texts:
            raise VocabError(
                f"{vocab.source.name}: {' '.join(vocab.doubts)} {said}.",
                "Nothing was written: the model would read other tokens than it learned.",
            )
    if not inexact:
        why = f"{vocab.source.name}: {' '.join(vocab.doubts)} {said}."
        go_on = Choice(True, "go on all the same; the model then reads such text otherwise")
        raise VocabError(why, GO_ON, Question("inexact_tokenizer", why, (go_on,)))
    note = f"Accepted: {' '.join(vocab.doubts)} {said}."
    return replace(vocab, notes=(*vocab.notes, note), accepted=True)


def run_trial(vocab: Vocab, encode: Encode) -> tuple[list[Difference], int]:
    """Where llama.cpp differs from `encode` on the samples, and how many there are."""
    from convert.vocab.proof import sample_texts

    texts = sample_texts(vocab)
    with tempfile.TemporaryDirectory(prefix="convert-vocab-") as folder:
        path = write_vocab(Path(folder) / "vocab.gguf", vocab)
        return _try(path, vocab, encode, texts), len(texts)


def _try(path: Path, vocab: Vocab, encode: Encode, texts: Sequence[str]) -> list[Difference]:
    """Where the file `path` of `vocab` differs from `encode`; a file that does not load: always."""
    from convert.libllama import ModelFile  # 300 ms of llama.cpp, and only where a trial is needed
    from convert.vocab.proof import Difference, compare

    try:
        with ModelFile(path, vocab_only=True) as model:
            return compare(model, vocab, encode, texts)
    except ProofError as error:
        return [Difference(0, error.message)] * len(texts)
