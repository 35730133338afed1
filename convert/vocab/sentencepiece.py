"""SentencePiece's `tokenizer.model`: pieces with scores, in the form llama.cpp has for each type.

BPE and characters are its "llama", unigrams are its "t5". Only the latter normalises text by a
table and joins runs of spaces; a BPE that does is in doubt.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from convert.errors import VocabError
from convert.vocab import shifted_pieces
from convert.vocab.assembly import assemble
from convert.vocab.classes import PIECES, SAVE, SHIFTED_PIECES, find_class
from convert.vocab.files import load_bytes, load_json_if_there
from convert.vocab.layout import Added, read_added_files
from convert.vocab.protobuf import Model, parse
from convert.vocab.references import sentencepiece_file
from convert.vocab.rewriting import by_sentencepiece
from convert.vocab.unknown import append_bytes, doubt_unknown
from convert.vocab.vocabulary import TokenKind, Vocab
from convert.vocab.wanted import Wanted

FILES: tuple[str, ...] = ("tokenizer.model", "spiece.model", shifted_pieces.FILE)
DESCRIPTION = "SentencePiece's tokenizer.model: BPE, unigrams or characters"

_HINT = "Give another tokenizer with --tokenizer."
_MAX_BYTES = 64 << 20  # the largest in use has 5 MB
_UNIGRAM, _BPE, _CHARACTERS = 1, 2, 4
_MOST_EXTRA = 10_000


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
    unigram = found.model_type == _UNIGRAM
    ids = {piece.text: index for index, piece in enumerate(found.pieces)}
    if len(ids) != len(found.pieces):
        raise VocabError(f"{path.name} has one piece twice; llama.cpp would abort on it.")
    named = {
        role: found.pieces[index].text
        for role, index in found.roles.items()
        if 0 <= index < len(found.pieces)
    }
    name = _find_class(path, wanted)
    if name in SHIFTED_PIECES:
        return shifted_pieces.build(path, found, name, wanted)
    added = read_added_files(path.parent)
    if name == "T5Tokenizer":
        added = _extra_ids(path.parent, len(found.pieces)) | added
    usual = ("text",) if unigram else ("bos", "text")
    ends = [None if role == "text" else found.roles[role] for role in PIECES.get(name or "", usual)]
    vocab = assemble(
        path,
        wanted,
        "t5" if unigram else "llama",
        ids,
        {text: token for text, token in added.items() if text not in ids},
        kinds={i: TokenKind(piece.kind) for i, piece in enumerate(found.pieces)},
        post=[i for i in ends if i is None or i >= 0],
        named=named,
    )
    lowest = min(piece.score for piece in found.pieces)
    scores = [piece.score for piece in found.pieces]
    scores += [lowest] * (len(vocab.tokens) - len(scores))
    vocab = replace(
        vocab,
        scores=tuple(scores),
        options=_options(found),
        reference=sentencepiece_file(path),
        lossless=unigram is False,
        # sentencepiece itself knows no special tokens in text but the symbols of its user
        markers=tuple(p.text for p in found.pieces if p.kind == TokenKind.USER_DEFINED),
    )
    return _doubt_pieces(path, found, vocab)


def _find_class(path: Path, wanted: Wanted) -> str | None:
    """The class that numbers the pieces, `None` for the file itself. Raises `VocabError`."""
    name = find_class(path.parent, wanted.config, PIECES.keys() | SHIFTED_PIECES)
    if name is None and path.name == shifted_pieces.FILE:
        raise VocabError(
            f"{path.name} is used by several classes, each with numbers of its own, and nothing "
            "says which it is.",
            SAVE,
        )
    if name is not None and name not in PIECES.keys() | SHIFTED_PIECES:
        raise VocabError(
            f"{path.name} is used by {name}, which is not known to number pieces as the file does.",
            SAVE,
        )
    return name


def _doubt_pieces(path: Path, found: Model, vocab: Vocab) -> Vocab:
    """`vocab` with what llama.cpp's type of it does otherwise than SentencePiece."""
    doubts: list[str] = []
    unigram = found.model_type == _UNIGRAM
    if not unigram and found.table:
        doubts.append(f"The original normalises text ({found.normalizer[:40]}), llama.cpp not.")
    if found.remove_extra and not _joins(found):
        doubts.append("The original joins runs of spaces and drops outer ones, llama.cpp not.")
    if doubts:
        vocab = replace(vocab, rewrite=by_sentencepiece(path, prefixed=found.add_prefix))
    if vocab.markers and found.add_prefix:
        shown = ", ".join(repr(marker[:30]) for marker in vocab.markers[:3])
        doubts.append(f"llama.cpp puts a space behind {shown}, the original does not.")
    vocab = replace(vocab, doubts=tuple(doubts))
    n_bytes = sum(piece.kind == TokenKind.BYTE for piece in found.pieces)
    if unigram and n_bytes:
        known = {c for piece in found.pieces for c in piece.text} | {" "}
        doubt = "The original writes characters it lacks as bytes, llama.cpp as unknown."
        return doubt_unknown(vocab, known, doubt)
    if not unigram and n_bytes < 256:
        return append_bytes(vocab)
    return vocab


def _extra_ids(folder: Path, n_pieces: int) -> dict[str, Added]:
    """The tokens T5's class puts behind the pieces, the last one first, which no file lists."""
    count = load_json_if_there(folder / "tokenizer_config.json").get("extra_ids", 100)
    count = count if type(count) is int and 0 <= count <= _MOST_EXTRA else 0
    return {f"<extra_id_{i}>": Added(n_pieces + count - 1 - i, special=True) for i in range(count)}


def _joins(found: Model) -> bool:
    """Whether llama.cpp is to join runs of spaces: where it can, it also puts one before a text."""
    return found.remove_extra and found.add_prefix and found.model_type == _UNIGRAM


def _options(found: Model) -> dict[str, bool | int | bytes]:
    options: dict[str, bool | int | bytes] = {"add_space_prefix": found.add_prefix}
    if found.model_type == _UNIGRAM:
        options["remove_extra_whitespaces"] = _joins(found)
        if found.table:
            options["precompiled_charsmap"] = found.table
    return options


def _refuse(path: Path, found: Model) -> None:
    if not any(piece.kind == TokenKind.UNKNOWN for piece in found.pieces):
        raise VocabError(f"{path.name} has no pieces, or none for the unknown.", "Copy it again.")
    if found.model_type not in (_BPE, _UNIGRAM, _CHARACTERS):
        raise VocabError(
            f"{path.name} is a SentencePiece model of words; llama.cpp has none.", _HINT
        )
    if found.suffix:
        raise VocabError(f"{path.name} puts spaces after words, as llama.cpp does not.", _HINT)
