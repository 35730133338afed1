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
    """The other end has gone, or said what is no frame."""


def pack(words: dict[str, Any], data: bytes | memoryview = b"") -> list[bytes | memoryview]:
    """A frame as pieces to be written one after the other."""
    text = json.dumps(words).encode()
    return [_HEAD.pack(len(text), len(data)), text, data]


def unpack(read: Callable[[int], bytes], most: int) -> tuple[dict[str, Any], bytes]:
    """The next frame; `read(n)` gives n bytes, fewer at the end. Raises `BrokenFrameError`.

    `most` bounds the bytes behind the JSON.
    """
    head = read(_HEAD.size)
    if len(head) != _HEAD.size:
        raise BrokenFrameError("ended")
    n_words, n_bytes = _HEAD.unpack(head)
    if n_words > MAX_WORDS or n_bytes > most:
        raise BrokenFrameError("nonsense")
    text, data = read(n_words), read(n_bytes)
    if len(text) != n_words or len(data) != n_bytes:
        raise BrokenFrameError("ended")
    try:
        words = json.loads(text)
    except ValueError:
        raise BrokenFrameError("nonsense") from None
    if not isinstance(words, dict):
        raise BrokenFrameError("nonsense")
    return words, data
