"""Unigrams, as T5's SentencePiece models have them: llama.cpp's model "t5".

It promises that the normalisation travels along, as SentencePiece's compiled table. What a piece is
worth is its score; llama.cpp finds the best split as SentencePiece does.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import replace
from pathlib import Path
from typing import Any

from convert.errors import VocabError
from convert.vocab.assembly import add_notes, assemble
from convert.vocab.json_parts import FILE, find_post_template, flatten, refuse
from convert.vocab.layout import read_added
from convert.vocab.metaspace import SPACED
from convert.vocab.references import tokenizers_file
from convert.vocab.rewriting import drop_space, is_space
from convert.vocab.vocabulary import TokenKind, Vocab
from convert.vocab.wanted import Wanted


def from_json(path: Path, data: dict[str, Any], wanted: Wanted) -> Vocab:
    """The vocabulary in `data`, read from `path`. Raises `VocabError`."""
    model = data["model"]
    if model.get("byte_fallback"):
        raise refuse("the option byte_fallback of unigrams", True)
    pieces = model.get("vocab")
    if not isinstance(pieces, list) or not pieces or not all(map(_is_piece, pieces)):
        raise VocabError(f"{FILE} has no list of pieces and scores.", "Save the tokenizer again.")
    ids = {piece[0]: index for index, piece in enumerate(pieces)}
    if len(ids) != len(pieces):
        raise VocabError(f"{FILE} has one piece under two ids; llama.cpp would abort on it.")
    unknown = model.get("unk_id")
    if type(unknown) is not int or not 0 <= unknown < len(pieces):
        raise refuse("unigrams without an unknown token", unknown)
    added = read_added(data.get("added_tokens") or [], FILE)
    vocab = assemble(path, wanted, "t5", ids, added, post=find_post_template(data))
    scores = [float(piece[1]) for piece in pieces]
    kinds = list(vocab.kinds)
    kinds[unknown] = TokenKind.UNKNOWN
    options = _read_options(data)
    vocab = replace(
        vocab,
        kinds=tuple(kinds),
        scores=tuple(scores + [0.0] * (len(vocab.tokens) - len(scores))),
        special_ids=vocab.special_ids | {"unk": unknown},
        options=options,
        reference=tokenizers_file(path),
        lossless=False,
        markers=(),
    )
    if options["add_space_prefix"] and not options["remove_extra_whitespaces"]:
        return add_notes(replace(vocab, rewrite=drop_space, differs=is_space), SPACED)
    return vocab


def _is_piece(piece: Any) -> bool:
    return (
        isinstance(piece, list)
        and len(piece) == 2
        and isinstance(piece[0], str)
        and isinstance(piece[1], int | float)
    )


def _read_options(data: dict[str, Any]) -> dict[str, bool | int | bytes]:
    options: dict[str, bool | int | bytes] = {"remove_extra_whitespaces": False}
    for step in flatten(data.get("normalizer"), "normalizers"):
        kind, pattern = step.get("type"), step.get("pattern")
        if kind == "Precompiled":
            options["precompiled_charsmap"] = _decode(step.get("precompiled_charsmap"))
        elif kind == "Replace" and pattern == {"Regex": " {2,}"}:
            options["remove_extra_whitespaces"] = True
        elif kind != "Strip":
            raise refuse("a normalizer", step)
    steps = flatten(data.get("pre_tokenizer"), "pretokenizers")
    spaces = [step for step in steps if step.get("type") == "Metaspace"]
    others = [step for step in steps if step.get("type") not in {"Metaspace", "WhitespaceSplit"}]
    if others or len(spaces) != 1:
        raise refuse("a pre-tokenizer", data.get("pre_tokenizer"))
    if len(steps) == 2:  # WhitespaceSplit: runs of spaces are one
        options["remove_extra_whitespaces"] = True
    always = spaces[0].get("prepend_scheme", "always") != "never"
    options["add_space_prefix"] = always and bool(spaces[0].get("add_prefix_space", True))
    return options


def _decode(value: Any) -> bytes:
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, TypeError, ValueError):
        raise VocabError(f"{FILE} has a damaged table of characters.") from None
