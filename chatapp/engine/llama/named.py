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
        return self._rest(self._row) is not None or is_known(self._tail, self._names, ends=True)

    def fits(self, token: int) -> bool:
        """Whether `token` may come next."""
        if self._vocab.is_end(token):
            return self.is_complete
        data = self._half + self._vocab.piece(token)
        said, half = _read(data)
        is_text = said.encode() + half == data
        if not (is_text and is_quoted(self._row + said, self._told, ends=False)):
            return False
        rest = self._rest(self._row + said)
        if rest is not None:
            # A path in a fact may begin like a command; and half a letter is the fact's own.
            return rest.encode().startswith(half)
        return is_known(self._tail + said, self._names, ends=False)

    def _rest(self, text: str) -> str | None:
        """What is left of the fact in the last row of a text; None where there is none."""
        return rest_of_quote(text.rpartition("\n")[2], self._told)

    def filter(self, logits: NDArray[np.float32]) -> NDArray[np.float32]:
        """The logits as they are: each token that is drawn is asked for."""
        return logits

    def accept(self, token: int) -> None:
        """Go on behind `token`, which fits."""
        said, self._half = _read(self._half + self._vocab.piece(token))
        *rows, self._row = (self._row + said).split("\n")
        for row in rows:
            # A fact is said once: a small model may find no end else.
            self._told = {mark: line for mark, line in self._told.items() if line not in row}
        is_told = self._rest(self._row) is not None
        self._tail = "" if is_told else open_end(self._tail + said)

    def only_token(self) -> int | None:
        """The next token of a fact that the answer is in the middle of; elsewhere several may come
        next."""
        rest = rest_of_quote(self._row, self._told)
        said = b""
        for token in self._vocab.tokenize(rest, special=False) if rest else ():
            if said == self._half:
                return token if self._vocab.piece(token) and self.fits(token) else None
            said += self._vocab.piece(token)
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
