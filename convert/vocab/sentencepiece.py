"""SentencePiece's `tokenizer.model`: pieces with scores, in the form llama.cpp has for each type.

BPE is its "llama", unigrams are its "t5". Only the latter normalises text by a table and joins runs
of spaces, so a BPE that does is refused; so is one without a token for every byte, because
llama.cpp would end its process at an unknown character.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from convert.errors import VocabError
from convert.vocab.assembly import assemble
from convert.vocab.files import load_bytes
from convert.vocab.layout import read_added_files
from convert.vocab.protobuf import Model, parse
from convert.vocab.references import sentencepiece_file
from convert.vocab.vocabulary import TokenKind, Vocab
from convert.vocab.wanted import Wanted

FILES: tuple[str, ...] = ("tokenizer.model", "spiece.model")
DESCRIPTION = "SentencePiece's tokenizer.model: BPE or unigrams"

_HINT = "Give another tokenizer with --tokenizer."
_MAX_BYTES = 64 << 20  # the largest in use has 5 MB
_BPE, _UNIGRAM = 2, 1
_MODEL_TYPES = {3: "word", 4: "char"}


def recognise(head: bytes) -> bool:
    """Whether a file beginning with `head` is SentencePiece's: its first field is a piece."""
    return head[:1] == b"\x0a"


def read(path: Path, wanted: Wanted) -> Vocab:
    """The vocabulary in `path`. Raises `VocabError`."""
    try:
        found = parse(load_bytes(path, _MAX_BYTES))
    except ValueError as error:
        raise VocabError(
            f"{path.name} is damaged, or no SentencePiece model: {str(error)[:80]}.",
            "Copy it again.",
        ) from None
    _refuse(path, found)
    ids = {piece.text: index for index, piece in enumerate(found.pieces)}
    if len(ids) != len(found.pieces):
        raise VocabError(f"{path.name} has one piece twice; llama.cpp would abort on it.")
    named = {
        role: found.pieces[index].text
        for role, index in found.roles.items()
        if 0 <= index < len(found.pieces)
    }
    bos = found.roles["bos"]
    vocab = assemble(
        path,
        wanted,
        "llama" if found.model_type == _BPE else "t5",
        ids,
        {text: token for text, token in read_added_files(path.parent).items() if text not in ids},
        kinds={i: TokenKind(piece.kind) for i, piece in enumerate(found.pieces)},
        post=[bos, None] if bos >= 0 and found.model_type == _BPE else [],
        named=named,
    )
    lowest = min(piece.score for piece in found.pieces)
    scores = [piece.score for piece in found.pieces]
    scores += [lowest] * (len(vocab.tokens) - len(scores))
    return replace(
        vocab,
        scores=tuple(scores),
        options=_options(found),
        reference=sentencepiece_file(path),
        lossless=found.model_type == _BPE,
        markers=(),  # sentencepiece itself knows no special tokens in text
    )


def _options(found: Model) -> dict[str, bool | int | bytes | list[int]]:
    options: dict[str, bool | int | bytes | list[int]] = {"add_space_prefix": found.add_prefix}
    if found.model_type == _UNIGRAM:
        options["remove_extra_whitespaces"] = found.remove_extra
        if found.table:
            options["precompiled_charsmap"] = found.table
    return options


def _refuse(path: Path, found: Model) -> None:
    if not found.pieces:
        raise VocabError(f"{path.name} has no pieces.", "Copy it again.")
    if found.model_type not in (_BPE, _UNIGRAM):
        kind = _MODEL_TYPES.get(found.model_type, "unknown")
        raise VocabError(
            f"{path.name} is a SentencePiece model of type {kind}; llama.cpp has BPE and unigrams.",
            _HINT,
        )
    if found.suffix:
        raise VocabError(f"{path.name} puts spaces after words, as llama.cpp does not.", _HINT)
    n_bytes = sum(piece.kind == TokenKind.BYTE for piece in found.pieces)
    if found.model_type == _UNIGRAM:
        if n_bytes:
            raise VocabError(
                f"{path.name} is of unigrams and writes unknown characters as bytes; llama.cpp "
                "does so for BPE only.",
                _HINT,
            )
        return
    if found.table:
        raise VocabError(
            f"{path.name} normalises text by the table {found.normalizer[:40]!r}, as llama.cpp "
            "does for unigrams only.",
            "Train the tokenizer with --normalization_rule_name=identity.",
        )
    if found.remove_extra:
        raise VocabError(
            f"{path.name} joins runs of spaces, as llama.cpp does for unigrams only.",
            "Train the tokenizer with --remove_extra_whitespaces=false.",
        )
    if n_bytes < 256:
        raise VocabError(
            f"{path.name} has no token for every byte, and llama.cpp would end its process at an "
            "unknown character.",
            "Train the tokenizer with --byte_fallback.",
        )
