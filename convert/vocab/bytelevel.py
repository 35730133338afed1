"""Byte-level BPE: bytes in GPT-2's printable alphabet, and merges of them.

llama.cpp's model "gpt2". It promises that every merge is a pair, and a doubt where bytes have no
token, since text with those loses them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from convert.errors import VocabError
from convert.samples import TOKENIZER_TEXTS
from convert.vocab.vocabulary import Vocab


def byte_alphabet() -> list[str]:
    """GPT-2's printable stand-ins for the 256 bytes, by byte."""
    printable = {*range(33, 127), *range(161, 173), *range(174, 256)}
    others = iter(range(256, 512))
    return [chr(byte if byte in printable else next(others)) for byte in range(256)]


_ALPHABET = byte_alphabet()
_BYTES = {character: byte for byte, character in enumerate(_ALPHABET)}
# The 243 bytes that occur in UTF-8.
_WRITTEN = frozenset(range(0xF5)) - {0xC0, 0xC1}


def spell_bytes(data: bytes) -> str:
    """The bytes `data` as characters of GPT-2's alphabet."""
    return "".join(_ALPHABET[byte] for byte in data)


def doubt_bytes(vocab: Vocab) -> Vocab:
    """`vocab`, and what is said of bytes that text may have and that are no tokens of it."""
    missing = _WRITTEN - {_BYTES[text] for text in vocab.tokens if text in _BYTES}
    if not missing:
        return vocab
    known = sorted({c for text in TOKENIZER_TEXTS for c in text if missing.isdisjoint(c.encode())})
    lacks = (
        f"{len(missing)} of the bytes that text is made of have no token. llama.cpp leaves them "
        "out; the original does too or reads them as unknown, and joins what is left otherwise."
    )
    return replace(
        vocab,
        lacks=lacks,
        differs=lambda text: not missing.isdisjoint(text.encode()),
        alphabet="".join(known),
    )


def read_merges(merges: Any, where: str) -> Iterator[str]:
    """Merges as `left right`, from a list of such texts or of pairs. Raises `VocabError`."""
    if not isinstance(merges, list):
        raise VocabError(f"{where} has no list of merges.", "Save the tokenizer again.")
    for merge in merges:
        parts = merge.split(" ") if isinstance(merge, str) else merge
        if not isinstance(parts, list) or len(parts) != 2 or not all(_is_part(p) for p in parts):
            raise VocabError(f"{where} has a merge that is no pair: {merge!r:.60}.")
        yield " ".join(parts)


def _is_part(part: Any) -> bool:
    return isinstance(part, str) and part != "" and " " not in part
