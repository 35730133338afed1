"""From where on an answer is bound to a grammar or schema: models that think do so freely first."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class Constraint(Protocol):
    """What says which tokens may come next."""

    filters_exactly: bool
    """Whether every token that `filter` leaves fits; else each that is drawn is asked for."""

    @property
    def is_complete(self) -> bool:
        """Whether the answer may end here."""

    def fits(self, token: int) -> bool:
        """Whether the constraint lets `token` come next."""

    def filter(self, logits: NDArray[np.float32]) -> NDArray[np.float32]:
        """The logits with -inf for every token that does not fit."""

    def accept(self, token: int) -> None:
        """Go on behind `token`, which fits."""

    def only_token(self) -> int | None:
        """The one token that may come next, if that is known without looking at all of them."""

    def close(self) -> None:
        """Give back what the C side holds for it."""


class Binding:
    """A constraint, and whether it holds yet. While it is free, nothing is asked of it."""

    def __init__(self, constraint: Constraint, *, is_free: bool, opening: tuple[int, ...]) -> None:
        self._constraint = constraint
        self.filters_exactly = constraint.filters_exactly
        self.is_free = is_free
        self._opening = opening
        """Tokens of the mark that opens a thought, as far as they may still come."""
        self._has_begun = False

    def bind(self) -> None:
        """From here on the constraint holds."""
        self.is_free = False
        self._opening = ()

    @property
    def is_complete(self) -> bool:
        """Whether the answer may end here."""
        return self._constraint.is_complete and not self._is_opening

    def fits(self, token: int) -> bool:
        """Whether the constraint lets `token` come next."""
        if self._opening and token == self._opening[0]:
            return True
        return not self._is_opening and self._constraint.fits(token)

    def filter(self, logits: NDArray[np.float32]) -> NDArray[np.float32]:
        """The logits with -inf for every token that does not fit."""
        if self._is_opening:
            found = np.full_like(logits, -np.inf)
        else:
            found = self._constraint.filter(logits)
        for token in self._opening[:1]:
            found[token] = logits[token]
        return found

    def only_token(self) -> int | None:
        """The one token that may come next, if that is known without looking at all of them."""
        if self._opening or self._is_opening:
            return None
        return self._constraint.only_token()

    def accept(self, token: int) -> None:
        """Go on behind `token`, which fits. One that both may begin with begins the thought."""
        if self._opening and token == self._opening[0]:
            self._opening = self._opening[1:]
            self._has_begun = True
            self.is_free = not self._opening
            return
        self._opening = ()
        self._constraint.accept(token)

    def close(self) -> None:
        """Free the memory that the constraint holds."""
        self._constraint.close()

    @property
    def _is_opening(self) -> bool:
        """In the middle of the mark, which is then written to its end."""
        return self._has_begun and bool(self._opening)
