"""Byte-level BPE: bytes in GPT-2's printable alphabet, and merges of them.

llama.cpp's model "gpt2". It promises that every merge is a pair, and says how many of the 256 bytes
have no token, since text with those loses them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from convert.errors import VocabError


def byte_alphabet() -> list[str]:
    """GPT-2's printable stand-ins for the 256 bytes, by byte."""
    printable = {*range(33, 127), *range(161, 173), *range(174, 256)}
    others = iter(range(256, 512))
    return [chr(byte if byte in printable else next(others)) for byte in range(256)]


_ALPHABET = byte_alphabet()


def spell_bytes(data: bytes) -> str:
    """`data` in GPT-2's alphabet."""
    return "".join(_ALPHABET[byte] for byte in data)


def missing_bytes(tokens: Iterable[str]) -> list[str]:
    """A note on bytes that have no token, if there are any."""
    missing = len(set(_ALPHABET) - set(tokens))
    return [f"{missing} of 256 bytes have no token: text with them loses them."] if missing else []


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
