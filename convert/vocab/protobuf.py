"""SentencePiece's model file, a protocol buffer, read without its library.

It promises bounded work, and a `ValueError` for anything that is not one. Field numbers are those
of sentencepiece_model.proto; unknown fields are passed over.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

_MAX_PIECES = 4_000_000
_ROLES = {40: "unk", 41: "bos", 42: "eos", 43: "pad"}


@dataclass(frozen=True)
class Piece:
    """One token of a SentencePiece model."""

    text: str
    score: float
    kind: int
    """sentencepiece's type, which is llama.cpp's type of a token."""


@dataclass
class Model:
    """What the file says; the defaults are the format's own."""

    pieces: list[Piece] = field(default_factory=list)
    model_type: int = 1
    roles: dict[str, int] = field(default_factory=lambda: {"unk": 0, "bos": 1, "eos": 2, "pad": -1})
    """Ids by role, -1 where there is none."""
    suffix: bool = False
    """Whether a space belongs to the word before it."""
    normalizer: str = ""
    table: bytes = b""
    """How characters are normalised, compiled; empty for not at all."""
    add_prefix: bool = True
    remove_extra: bool = True


def parse(data: bytes) -> Model:
    """The model in `data`. Raises `ValueError`."""
    found = Model()
    try:
        for number, value in _fields(data):
            if number == 1 and isinstance(value, bytes):
                found.pieces.append(_piece(value))
                if len(found.pieces) > _MAX_PIECES:
                    raise ValueError("too many pieces")
            elif number == 2 and isinstance(value, bytes):
                _read_trainer(value, found)
            elif number == 3 and isinstance(value, bytes):
                _read_normalizer(value, found)
    except (IndexError, struct.error) as error:
        raise ValueError(str(error)) from None
    return found


def _piece(data: bytes) -> Piece:
    text, score, kind = "", 0.0, 1
    for number, value in _fields(data):
        if number == 1 and isinstance(value, bytes):
            text = value.decode()
        elif number == 2 and isinstance(value, bytes):
            score = struct.unpack("<f", value)[0]
        elif number == 3 and isinstance(value, int):
            kind = value
    if not text or not 1 <= kind <= 6 or not math.isfinite(score):
        raise ValueError("a piece without text, type or score")
    return Piece(text, score, kind)


def _read_trainer(data: bytes, found: Model) -> None:
    for number, value in _fields(data):
        if not isinstance(value, int):
            continue
        if number == 3:
            found.model_type = value
        elif number == 24:
            found.suffix = bool(value)
        elif number in _ROLES:
            found.roles[_ROLES[number]] = value if value < 1 << 31 else -1


def _read_normalizer(data: bytes, found: Model) -> None:
    for number, value in _fields(data):
        if number == 1 and isinstance(value, bytes):
            found.normalizer = value.decode("utf-8", "replace")
        elif number == 2 and isinstance(value, bytes):
            found.table = value
        elif number == 3:
            found.add_prefix = bool(value)
        elif number == 4:
            found.remove_extra = bool(value)


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Field numbers and values: integers, or the bytes of anything else."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        number, wire = key >> 3, key & 7
        if wire == 0:
            value, at = _varint(data, at)
            yield number, value
            continue
        if wire == 2:
            size, at = _varint(data, at)
        elif wire in (1, 5):
            size = 8 if wire == 1 else 4
        else:
            raise ValueError(f"a field of wire type {wire}")
        if at + size > len(data):
            raise ValueError("a field that ends beyond the file")
        yield number, data[at : at + size]
        at += size


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > 63:
            raise ValueError("a number that does not end")
