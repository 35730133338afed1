"""Answers that name no key, command or flag but those that stand before them, and that say a fact
behind its mark in its own words.

A small model that copies from facts slips now and then into a key that it has seen elsewhere. Here
it cannot: a token that would make such a name is not taken, and the next likeliest one is. Behind
a mark nothing is left to be drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from chatapp.guide.naming import is_known, open_end
from chatapp.guide.quoting import is_quoted, marked_in, rest_of_quote

if TYPE_CHECKING:
    from chatapp.engine.llama.vocab import Vocab


class Named:
    """What of an answer may yet become a name."""

    filters_exactly = False

    def __init__(self, vocab: Vocab, names: list[str], told: Sequence[str] = ()) -> None:
        """`told` are the lines of facts, each behind its mark."""
        self._vocab = vocab
        self._names = frozenset(names)
        self._told = marked_in(told)
        self._tail = ""
        self._row = ""
        """What was said behind the last line break of the answer."""
        self._half = b""
        """The beginning of a character whose rest is in the next token."""

    @property
    def is_complete(self) -> bool:
        """Whether the answer may end here: not within a name or a fact."""
        if not is_quoted(self._row, self._told, ends=True):
            return False
        return self._is_told(self._row) or is_known(self._tail, self._names, ends=True)

    def fits(self, token: int) -> bool:
        """Whether `token` may come next."""
        if self._vocab.is_end(token):
            return self.is_complete
        said, _ = _read(self._half + self._vocab.piece(token))
        if not is_quoted(self._row + said, self._told, ends=False):
            return False
        return self._is_told(self._row + said) or is_known(
            self._tail + said, self._names, ends=False
        )

    def _is_told(self, text: str) -> bool:
        """Whether the last row is a fact so far: what stands there is true, be it a path that
        begins like a command."""
        return rest_of_quote(text.rpartition("\n")[2], self._told) is not None

    def filter(self, logits: NDArray[np.float32]) -> NDArray[np.float32]:
        """The logits as they are: each token that is drawn is asked for."""
        return logits

    def accept(self, token: int) -> None:
        """Go on behind `token`, which fits."""
        said, self._half = _read(self._half + self._vocab.piece(token))
        self._row = (self._row + said).rpartition("\n")[2]
        self._tail = "" if self._is_told(self._row) else open_end(self._tail + said)

    def only_token(self) -> int | None:
        """The next token of a fact that the answer is in the middle of; elsewhere several may come
        next."""
        rest = None if self._half else rest_of_quote(self._row, self._told)
        tokens = self._vocab.tokenize(rest, special=False) if rest else []
        if not (rest and tokens and rest.encode().startswith(self._vocab.piece(tokens[0]) or b"?")):
            return None
        return tokens[0] if self.fits(tokens[0]) else None

    def close(self) -> None:
        """Does nothing: no memory of llama.cpp's is held here."""


def _read(data: bytes) -> tuple[str, bytes]:
    """(text, the half of a character at its end)."""
    try:
        return data.decode(), b""
    except UnicodeDecodeError as error:
        half = data[error.start :] if error.reason == "unexpected end of data" else b""
    return data[: len(data) - len(half)].decode("utf-8", "ignore"), half
