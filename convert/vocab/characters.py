"""Characters as tokens: nanoGPT's `meta.pkl`, or `stoi`, `itos` or `chars` inside the checkpoint.

llama.cpp has no such tokenizer, but its byte-level BPE is one when merges build each character from
its bytes and nothing more. An unknown character is left out, as nanoGPT has no way to write it
either. A vocabulary like this has no end of text: one token is appended for it, which `fit.py`
makes impossible to choose, since llama.cpp would otherwise stop at token 11, whatever that is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from convert.checkpoints.pickles import Machine
from convert.errors import VocabError
from convert.vocab.bytelevel import spell_bytes
from convert.vocab.files import load_bytes
from convert.vocab.references import characters
from convert.vocab.vocabulary import TokenKind, Vocab
from convert.vocab.wanted import Wanted

FILES: tuple[str, ...] = ("meta.pkl",)
DESCRIPTION = "characters: nanoGPT's meta.pkl, or stoi or chars inside the checkpoint"

END = "<|endoftext|>"
# What some put among the characters: <pad>, [UNK], <|endoftext|>.
_MARKER = re.compile(r"<[^<>\s]{1,30}>|\[[A-Za-z_]{1,30}\]")
_USUAL_ENDS = (END, "<eos>", "</s>", "[EOS]", "<end>", "<EOS>")
_MAX_BYTES = 64 << 20
_MAX_CHARACTERS = 200_000  # all of Unicode that is assigned has 155,000


def read(path: Path, wanted: Wanted) -> Vocab:
    """The vocabulary in a `meta.pkl`, which is read without running it. Raises `VocabError`."""
    data = load_bytes(path, _MAX_BYTES)
    meta = Machine({}, _no_storage, path.name).load(data)
    ids = find_ids(meta)
    if ids is None:
        raise VocabError(
            f"{path.name} holds no stoi, itos or chars.",
            "Give the meta.pkl that nanoGPT's prepare.py wrote, or another tokenizer.",
        )
    return build(path, ids, wanted)


def find_ids(saved: Any) -> dict[str, int] | None:
    """Ids by character in what was saved: `stoi`, `itos` or `chars`; None where none is there."""
    if not isinstance(saved, Mapping):
        return None
    for key, turn in (("stoi", _from_stoi), ("itos", _from_itos), ("chars", _from_chars)):
        found = turn(saved[key]) if saved.get(key) is not None else None
        if found:
            return found
    return None


def _from_stoi(value: Any) -> dict[str, int] | None:
    if not isinstance(value, Mapping):
        return None
    pairs = {text: index for text, index in value.items() if isinstance(text, str)}
    return pairs if len(pairs) == len(value) and all(map(_is_id, pairs.values())) else None


def _from_itos(value: Any) -> dict[str, int] | None:
    if isinstance(value, list | tuple):
        return _from_chars(value)
    if not isinstance(value, Mapping):
        return None
    numbered = {text: index for index, text in value.items() if isinstance(text, str)}
    try:
        return {text: int(index) for text, index in numbered.items()}
    except (TypeError, ValueError):
        return None


def _from_chars(value: Any) -> dict[str, int] | None:
    if not isinstance(value, str | list | tuple) or not all(isinstance(c, str) for c in value):
        return None
    return {character: index for index, character in enumerate(value)}


def _is_id(value: Any) -> bool:
    return type(value) is int and 0 <= value < _MAX_CHARACTERS


def _no_storage(_: Any) -> Any:
    raise TypeError("a vocabulary with tensors in it")


def build(source: Path, ids: Mapping[str, int], wanted: Wanted) -> Vocab:
    """The vocabulary of `ids`. Raises `VocabError` when its tokens are no single characters."""
    _check(source, ids, wanted.n_rows)
    single = {text: index for text, index in ids.items() if len(text) == 1}
    n_tokens = max(ids.values()) + 1
    tokens: list[str] = [f"[UNUSED{i}]" for i in range(n_tokens)]
    kinds = [TokenKind.UNUSED] * n_tokens
    for text, index in ids.items():
        marker = text not in single
        tokens[index] = text if marker else spell_bytes(text.encode())
        kinds[index] = TokenKind.CONTROL if marker else TokenKind.NORMAL
    own = next((ids[text] for text in _USUAL_ENDS if text in ids), None)
    notes = [f"{len(single)} characters are the tokens; any other is left out of a prompt."]
    if own is None:
        tokens.append(END)
        kinds.append(TokenKind.CONTROL)
        notes.append("One token is added to end a text; the model never chooses it.")
    end = n_tokens if own is None else own
    return Vocab(
        model="gpt2",
        pre="gpt-2",
        tokens=tuple(tokens),
        kinds=tuple(kinds),
        merges=tuple(merge for text in single for merge in _merges(text.encode())),
        special_ids={"bos": end, "eos": end},
        add_bos=False,
        add_eos=False,
        chat_template=None,
        source=source,
        notes=tuple(notes),
        reference=characters(single),
        # honoured by llama.cpp's own samplers: the end is never drawn, however likely
        options={"suppress_tokens": [n_tokens]} if own is None else {},
        alphabet="".join(sorted(single, key=lambda character: single[character])),
        appended=n_tokens if own is None else None,
    )


def _check(source: Path, ids: Mapping[str, int], n_rows: int) -> None:
    long = [text for text in ids if len(text) != 1 and not _MARKER.fullmatch(text)]
    if long:
        raise VocabError(
            f"{source.name} has tokens of more than one character, such as {long[0]!r:.40}.",
            "Only characters are carried over from it; words need a tokenizer.json.",
        )
    if any("\ud800" <= character <= "\udfff" for text in ids for character in text):
        raise VocabError(f"{source.name} has a character that is no valid Unicode.")
    if len(set(ids.values())) != len(ids) or len(ids) > _MAX_CHARACTERS:
        raise VocabError(f"{source.name} gives one id to two characters.")
    if min(ids.values()) < 0 or max(ids.values()) >= n_rows:
        raise VocabError(
            f"{source.name} has ids up to {max(ids.values())}, but the model has {n_rows} rows.",
            "This vocabulary does not belong to this checkpoint.",
        )


def _merges(data: bytes) -> Iterator[str]:
    """What builds a character from its bytes, left to right."""
    for n in range(1, len(data)):
        yield f"{spell_bytes(data[:n])} {spell_bytes(data[n : n + 1])}"
