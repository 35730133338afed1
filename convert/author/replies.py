"""What the author's process answers, which is believed only as far as it is checked.

The code that runs there may write into the pipe itself. Every number, name and text that comes is
held against what was asked: a wrong one is a `BrokenFrameError`, which says what is amiss.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.author.frames import BrokenFrameError
from convert.wording import printable

_MOST_NOTES = 16
_LONGEST = 400  # characters of a note or a hint
_LONGEST_MESSAGE = 2000


def read_built(words: dict[str, Any], known: Container[str]) -> tuple[list[str], str]:
    """(the tensors it wants, each of `known` and once; what its model is called)."""
    wanted, name = words.get("wanted"), words.get("name")
    if not isinstance(wanted, list) or not all(isinstance(one, str) for one in wanted):
        raise BrokenFrameError("it wants no list of tensors")
    if len(set(wanted)) != len(wanted) or not all(one in known for one in wanted):
        raise BrokenFrameError("it wants tensors that the checkpoint does not have")
    if not isinstance(name, str):
        raise BrokenFrameError("its model has no name")
    return wanted, printable(name[:_LONGEST])


def read_notes(words: dict[str, Any]) -> list[str]:
    """How it is called, for the report."""
    notes = words.get("notes")
    if not isinstance(notes, list):
        raise BrokenFrameError("it has no list of notes")
    return [printable(str(note)[:_LONGEST]) for note in notes[:_MOST_NOTES]]


def read_error(words: dict[str, Any]) -> tuple[str, str]:
    """(what it says is wrong, a hint); both "" where nothing is."""
    message, hint = str(words.get("error", "")), str(words.get("hint", ""))
    return printable(message[:_LONGEST_MESSAGE]), printable(hint[:_LONGEST])


def read_logits(
    words: dict[str, Any], data: bytes, n: int, widths: Sequence[int], n_tokens: int
) -> NDArray[np.float32]:
    """Logits [n, one of `widths`] as float32.

    Those of the first `n_tokens` are finite; rows behind the vocabulary may be -inf.
    """
    shape = words.get("shape")
    if not isinstance(shape, list) or not all(type(size) is int for size in shape):
        raise BrokenFrameError("its logits have no shape")
    if len(shape) != 2 or shape[0] != n or shape[1] not in widths:
        raise BrokenFrameError(f"logits of the shape {str(shape)[:60]} for {n} tokens")
    if len(data) != 4 * n * shape[1]:
        raise BrokenFrameError(f"{len(data)} bytes of logits, {4 * n * shape[1]} expected")
    rows = np.frombuffer(data, np.float32).reshape(n, shape[1])
    if not (np.isfinite(rows[:, :n_tokens]).all() and (rows < np.inf).all()):
        raise BrokenFrameError("logits that are no finite numbers")
    return rows
