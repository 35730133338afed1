"""Tokens in the order of their ids, from a vocabulary and the tokens added to it.

It promises one text for every id: ids nobody uses become UNUSED placeholders. Added tokens beyond
the model's rows are left out, since the model was never run with them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from convert.errors import VocabError
from convert.vocab.files import load_json_if_there
from convert.vocab.vocabulary import TokenKind


@dataclass(frozen=True)
class Added:
    """A token put on top of a vocabulary: found in text before anything else."""

    id: int
    special: bool = False
    lstrip: bool = False
    rstrip: bool = False

    @property
    def kind(self) -> TokenKind:
        """Special ones never appear in a model's answer."""
        return TokenKind.CONTROL if self.special else TokenKind.USER_DEFINED


@dataclass(frozen=True)
class Layout:
    """The tokens of a vocabulary and their kinds, by id."""

    tokens: tuple[str, ...]
    kinds: tuple[TokenKind, ...]
    notes: tuple[str, ...]

    def special(self) -> dict[str, int]:
        """Ids of the tokens that are no text of their own, by what they are called."""
        pairs = enumerate(zip(self.tokens, self.kinds, strict=True))
        kinds = (TokenKind.CONTROL, TokenKind.UNKNOWN)
        return {text: i for i, (text, kind) in pairs if kind in kinds}


def lay_out(
    ids: Mapping[str, int],
    added: Mapping[str, Added],
    n_rows: int,
    where: str,
    kinds: Mapping[int, TokenKind] | None = None,
) -> Layout:
    """Tokens for a model with `n_rows` embedding rows. `kinds` has those that are not NORMAL.

    Raises `VocabError` when ids collide or ordinary tokens have no row.
    """
    kept, notes = _drop_surplus(ids, added, n_rows, where)
    twice = [text for text, token in kept.items() if ids.get(text, token.id) != token.id]
    if twice:  # as the tokenizers library does
        kept |= {text: replace(kept[text], id=ids[text]) for text in twice}
        notes.append(f"{len(twice)} added tokens have two ids; that of the vocabulary counts.")
    highest = max([*ids.values(), *(token.id for token in kept.values())], default=-1)
    if highest < 0:
        raise VocabError(f"{where} has no tokens.", "Save the tokenizer again.")
    tokens: list[str | None] = [None] * (highest + 1)
    found = [TokenKind.UNUSED] * (highest + 1)
    for text, index, kind in _entries(ids, kept, kinds or {}):
        if index < 0 or tokens[index] not in {None, text}:
            raise VocabError(f"{where} gives the id {index} to two tokens, or it is negative.")
        tokens[index], found[index] = text, kind
    unused = sum(not text for text in tokens)
    if unused:
        notes.append(f"{unused} unused ids are filled with placeholder tokens.")
    for index, word in enumerate(tokens):
        if not word:
            found[index] = TokenKind.UNUSED
    filled = tuple(text or f"[UNUSED{i}]" for i, text in enumerate(tokens))
    return Layout(filled, tuple(found), tuple(notes))


def _drop_surplus(
    ids: Mapping[str, int], added: Mapping[str, Added], n_rows: int, where: str
) -> tuple[dict[str, Added], list[str]]:
    highest = max(ids.values(), default=-1)
    if highest >= n_rows:
        raise VocabError(
            f"{where} has token ids up to {highest}, but the model has only {n_rows} rows.",
            "This tokenizer does not belong to this checkpoint.",
        )
    kept = {text: token for text, token in added.items() if token.id < n_rows}
    surplus = [text for text in added if text not in kept]
    if not surplus:
        return kept, []
    if len(surplus) > max(8, n_rows // 100):
        raise VocabError(
            f"{where} has token ids up to {max(a.id for a in added.values())}, but the model has "
            f"only {n_rows} rows.",
            "This tokenizer does not belong to this checkpoint.",
        )
    shown = ", ".join(repr(text[:40]) for text in surplus[:4])
    return kept, [f"{len(surplus)} added tokens have no row in the model and are left out: {shown}"]


def _entries(
    ids: Mapping[str, int], added: Mapping[str, Added], kinds: Mapping[int, TokenKind]
) -> Iterator[tuple[str, int, TokenKind]]:
    for text, index in ids.items():
        yield text, index, kinds.get(index, TokenKind.NORMAL)
    for text, token in added.items():
        yield text, token.id, token.kind


def read_added(items: Iterable[Any], where: str) -> dict[str, Added]:
    """Hugging Face's `added_tokens`: a list of objects with content, id and flags."""
    added: dict[str, Added] = {}
    for item in items:
        text = item.get("content") if isinstance(item, dict) else None
        index = item.get("id") if isinstance(item, dict) else None
        if not isinstance(text, str) or not text or type(index) is not int or index < 0:
            raise VocabError(f"{where} has an added token without text, or its id is negative.")
        flags = {name: bool(item.get(name)) for name in ("special", "lstrip", "rstrip")}
        added[text] = Added(item["id"], **flags)
    return added


def read_added_files(folder: Path) -> dict[str, Added]:
    """Added tokens that the files in `folder` name, besides the vocabulary itself."""
    loose = load_json_if_there(folder / "added_tokens.json")
    added = {text: Added(i, special=True) for text, i in loose.items() if type(i) is int and text}
    decoder = load_json_if_there(folder / "tokenizer_config.json").get("added_tokens_decoder")
    if isinstance(decoder, dict):
        items = [
            dict(item) | {"id": int(index)}
            for index, item in decoder.items()
            if isinstance(item, dict) and str(index).isdecimal()
        ]
        added |= read_added(items, "tokenizer_config.json")
    whole = load_json_if_there(folder / "tokenizer.json").get("added_tokens")
    if isinstance(whole, list):
        added |= read_added(whole, "tokenizer.json")
    return added


def find_markers(added: Mapping[str, Added]) -> tuple[tuple[str, ...], list[str]]:
    """Added tokens that llama.cpp finds as the original does, and a note on the others."""
    odd = [text for text, token in added.items() if token.lstrip or token.rstrip]
    markers = tuple(text for text in added if text not in odd)
    if not odd:
        return markers, []
    shown = ", ".join(repr(text[:40]) for text in odd[:4])
    note = f"{len(odd)} added tokens swallow the spaces beside them, here they do not: {shown}."
    return markers, [note]
