"""What travels between the converter and the author's process: JSON, with bytes behind it.

A frame is eight bytes of lengths (of the JSON, of the bytes), the JSON, the bytes. Nothing else is
ever written there: what the code prints goes nowhere.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from typing import Any

_HEAD = struct.Struct("<IQ")
MAX_WORDS = 64 << 20


class BrokenFrameError(Exception):
    """The other end said what is no frame."""


class EndedError(BrokenFrameError):
    """The other end of the pipe has gone."""


def pack(words: dict[str, Any], data: bytes | memoryview = b"") -> list[bytes | memoryview]:
    """A frame as pieces to be written one after the other."""
    text = json.dumps(words).encode()
    return [_HEAD.pack(len(text), len(data)), text, data]


def unpack(
    read: Callable[[int], bytes], most: int, most_words: int = MAX_WORDS
) -> tuple[dict[str, Any], bytes]:
    """The next frame; `read(n)` gives n bytes, fewer at the end. Raises `BrokenFrameError`.

    `most` bounds the bytes behind the JSON, `most_words` those of the JSON: nothing above is read.
    """
    head = read(_HEAD.size)
    if len(head) != _HEAD.size:
        raise EndedError("ended")
    n_words, n_bytes = _HEAD.unpack(head)
    if n_words > most_words or n_bytes > most:
        raise BrokenFrameError("more than an answer has")
    text = read(n_words)
    data = read(n_bytes) if len(text) == n_words else b""
    if len(text) != n_words or len(data) != n_bytes:
        raise EndedError("ended")
    try:
        words = json.loads(text)
    except (ValueError, RecursionError):
        raise BrokenFrameError("no JSON") from None
    if not isinstance(words, dict):
        raise BrokenFrameError("no answer")
    return words, data
