"""Proves a vocabulary by text: the written file must split every sample as the original does.

It promises zero differences or a `ProofError` that shows the smallest; of unigrams that are equally
likely either is right. The reference's library may be missing; then only the round trip through
llama.cpp is checked, and the report says so.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from convert.errors import ProofError
from convert.libllama import ModelFile
from convert.samples import TOKENIZER_TEXTS
from convert.vocab.vocabulary import Encode, Vocab

GO_ON = "To go on all the same: --inexact-tokenizer. The model then reads such text otherwise."
_WORD = 8  # characters
_MARKERS = 12  # special tokens put between words: more add nothing
_ALPHABET = 4096  # characters of the vocabulary's own alphabet, in lines of 64
_TIE = 1e-4  # nats between two ways to split a part of a text; scores have single precision


# Where splitting expressions that are nearly alike part: ends of text, digits, case, marks.
_MORE_TEXTS = (
    "ends with lines \n \n  ",
    "ends with spaces   ",
    "\n  indented\n\n    twice\t",
    "2024 20240 202405 2024051 20240517 1234567890",
    "iPhone HTTPServer getURL ПриветМир aB Ab AB ab A1b2 x=1;y=22",
    "a/b//c/// /etc/hosts !!/ ?\n/ -\r\n\r\n+",
    "कि की कु ไทย नमस्ते a\u0301b",
    "he'S we'Ll 'tis 'Twas rock'n'roll ''quoted'' 'll",
)


@dataclass(frozen=True)
class Difference:
    """One text that the file splits otherwise."""

    size: int
    """Characters of the text: the smallest is shown."""
    words: str


def prove(model: ModelFile, vocab: Vocab) -> dict[str, Any]:
    """What was compared. `model` is the written file."""
    _check_special_ids(model, vocab)
    encode, name = load_reference(vocab)
    texts = sample_texts(vocab)
    found = compare(model, vocab, encode, texts)
    if found and not vocab.accepted:
        raise ProofError(
            f"The tokenizer in the file differs from {vocab.source.name} on {len(found)} of "
            f"{len(texts)} texts, first on the shortest: {smallest(found)}.",
            f"Nothing was kept. {GO_ON}",
        )
    if vocab.appended:
        _check_appended(model, vocab.appended)
    return {"texts": len(texts), "differences": len(found), "compared_with": name}


def load_reference(vocab: Vocab) -> tuple[Encode | None, str]:
    """The original tokenizer, or None and why it is not there."""
    if vocab.reference is None:
        return None, "round trip only"
    try:
        return vocab.reference.load(), vocab.reference.name
    except ImportError as error:
        return None, f"round trip only ({error.name or 'its library'} is not installed)"


def compare(
    model: ModelFile, vocab: Vocab, encode: Encode | None, texts: Sequence[str]
) -> list[Difference]:
    """Where the file's tokens or its round trip differ from the original. Of unigrams that are
    equally likely ("//" + "/" and "/" + "//") either is right.

    llama.cpp is given each text as `vocab.rewrite` writes it, unless the user has accepted that it
    is not: then as it is.
    """
    rewrite = None if vocab.accepted else vocab.rewrite
    found: list[Difference] = []
    prefixed = bool(vocab.options.get("add_space_prefix"))
    known = set(vocab.alphabet)
    for original in texts:
        text = original if rewrite is None else rewrite(original)
        ids = model.tokenize(text, add_special=False, parse_special=True)
        expected = ids if encode is None else encode(original)
        if ids != expected and not _is_tie(vocab, ids, expected):
            found.append(Difference(len(text), _describe(original, expected, ids)))
            continue
        marked = prefixed and any(marker in text for marker in vocab.markers)
        if not vocab.lossless or marked or (known and not known.issuperset(text)):
            continue
        back = model.detokenize(ids).removeprefix(b" " if prefixed and text else b"")
        if back != text.encode():
            words = f"{text[:40]!r} comes back as {back[:60].decode('utf-8', 'replace')!r}"
            found.append(Difference(len(text), words))
    return found


def smallest(found: Sequence[Difference], count: int = 1) -> str:
    """The differences on the shortest texts, those of a word or more first."""
    ordered = sorted(found, key=lambda one: (one.size < _WORD, one.size))
    return "; ".join(one.words for one in ordered[:count])


def sample_texts(vocab: Vocab) -> list[str]:
    """What is compared: many scripts and layouts, the own alphabet, and special tokens in text."""
    texts = list(_all_texts(vocab))
    differs = vocab.differs
    if differs is None or (vocab.accepted and vocab.doubts):
        return texts
    return [text for text in texts if not differs(text)]


def _all_texts(vocab: Vocab) -> Iterator[str]:
    yield from TOKENIZER_TEXTS
    yield from _MORE_TEXTS
    if vocab.alphabet:
        known = set(vocab.alphabet)
        for text in TOKENIZER_TEXTS:
            yield "".join(character for character in text if character in known)
    alphabet = vocab.alphabet[:_ALPHABET]
    for start in range(0, len(alphabet), 64):
        line = alphabet[start : start + 64]
        yield line
        yield line[::-1] + " ".join(line)
    for marker in vocab.markers[:_MARKERS]:
        yield f"{marker}hello {marker} world{marker}\n{marker}{marker} !"


def _is_tie(vocab: Vocab, ids: Sequence[int], others: Sequence[int]) -> bool:
    """Whether both are the same text, and unigrams of which neither is likelier where they part."""
    size = len(vocab.tokens)
    if vocab.model != "t5" or len(vocab.scores) != size or max(*ids, *others, 0) >= size:
        return False
    ids, others = _without_common(ids, others)
    one, other = ("".join(vocab.tokens[i] for i in each) for each in (ids, others))
    sums = [math.fsum(vocab.scores[i] for i in each) for each in (ids, others)]
    return one == other and abs(sums[0] - sums[1]) < _TIE


def _without_common(ids: Sequence[int], others: Sequence[int]) -> tuple[list[int], list[int]]:
    """Both from the first place where they differ to the last."""
    pairs = [list(ids), list(others)]
    for _ in range(2):
        n = next(
            (n for n, (a, b) in enumerate(zip(*pairs, strict=False)) if a != b),
            min(map(len, pairs)),
        )
        pairs = [each[n:][::-1] for each in pairs]
    return pairs[0], pairs[1]


def _check_special_ids(model: ModelFile, vocab: Vocab) -> None:
    found = model.special_ids
    for role, index in vocab.special_ids.items():
        if role in found and found[role] != index:
            raise ProofError(f"llama.cpp takes {found[role]} for {role}, not {index}.")
    plain = model.tokenize("a", add_special=False, parse_special=False)
    ends = model.tokenize("a", add_special=True, parse_special=False)
    before = [vocab.special_ids["bos"]] if vocab.add_bos else []
    last = vocab.special_ids.get("sep" if vocab.model == "bert" else "eos", -1)
    after = [last] if vocab.add_eos else []
    if ends != before + plain + after:
        raise ProofError(f"llama.cpp puts {ends} where {before + plain + after} is meant.")


def _check_appended(model: ModelFile, indices: Sequence[int]) -> None:
    """Appended tokens must never be chosen: measured on ids from all over the vocabulary."""
    n = min(64, model.n_ctx_train)
    ids = [int(i) for i in np.linspace(0, max(0, min(indices) - 1), n)]
    logits = model.logits(ids)
    others = np.delete(logits, list(indices), axis=1)
    if (logits[:, list(indices)].max(axis=1) >= others.max(axis=1)).any():
        raise ProofError(f"The added token {indices[0]} would be chosen in the written file.")


def _describe(text: str, expected: list[int], found: list[int]) -> str:
    at = next(
        (i for i, (a, b) in enumerate(zip(expected, found, strict=False)) if a != b),
        min(len(expected), len(found)),
    )
    return f"{text[:40]!r} at token {at}: {expected[at : at + 4]} became {found[at : at + 4]}"
