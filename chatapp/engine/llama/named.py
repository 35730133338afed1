"""Answers that name no key, command or flag but those that stand before them.

A small model that copies from facts slips now and then into a key that it has seen elsewhere. Here
it cannot: a token that would make such a name is not taken, and the next likeliest one is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from chatapp.guide.naming import is_known, open_end

if TYPE_CHECKING:
    from chatapp.engine.llama.vocab import Vocab


class Named:
    """What of an answer may yet become a name."""

    filters_exactly = False

    def __init__(self, vocab: Vocab, names: list[str]) -> None:
        self._vocab = vocab
        self._names = frozenset(names)
        self._tail = ""
        self._half = b""
        """The beginning of a character whose rest is in the next token."""

    @property
    def is_complete(self) -> bool:
        """Whether the answer may end here: not within a name."""
        return is_known(self._tail, self._names, ends=True)

    def fits(self, token: int) -> bool:
        """Whether `token` may come next."""
        if self._vocab.is_end(token):
            return self.is_complete
        said, _ = _read(self._half + self._vocab.piece(token))
        return is_known(self._tail + said, self._names, ends=False)

    def filter(self, logits: NDArray[np.float32]) -> NDArray[np.float32]:
        """The logits as they are: each token that is drawn is asked for."""
        return logits

    def accept(self, token: int) -> None:
        """Go on behind `token`, which fits."""
        said, self._half = _read(self._half + self._vocab.piece(token))
        self._tail = open_end(self._tail + said)

    def only_token(self) -> int | None:
        """None: where names are bound, several tokens may always come next."""
        return None

    def close(self) -> None:
        """Does nothing: no memory of llama.cpp's is held here."""


def _read(data: bytes) -> tuple[str, bytes]:
    """(text, the half of a character at its end)."""
    try:
        return data.decode(), b""
    except UnicodeDecodeError as error:
        half = data[error.start :] if error.reason == "unexpected end of data" else b""
    return data[: len(data) - len(half)].decode("utf-8", "ignore"), half
