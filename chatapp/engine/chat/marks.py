"""Marks that are looked for in an answer, and what each of them does."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

Action = Literal["open", "close", "call", "end", "drop", "stop", "header"]
"""What a mark does: opens or closes a thought, begins a call, ends the turn, means nothing, is a
stop string, or begins a message's header."""


class Marks:
    """Marks and what each does, ready to be looked for."""

    def __init__(self, actions: Mapping[str, Action]) -> None:
        self.actions = {mark: action for mark, action in actions.items() if mark}
        longest = sorted(self.actions, key=len, reverse=True)
        self.pattern = re.compile("|".join(map(re.escape, longest))) if longest else None
        """Finds the first mark, and of several there the longest."""
        self.beginnings = frozenset(
            mark[:length] for mark in self.actions for length in range(1, len(mark))
        )
        """Every text that is the beginning of a mark and less than all of it."""
        self._longest = len(longest[0]) - 1 if longest else 0

    def may_grow(self, text: str, at: int) -> bool:
        """Whether `text[at:]` is the beginning of a mark and may become all of it."""
        return len(text) - at <= self._longest and text[at:] in self.beginnings

    def held(self, text: str, at: int) -> int:
        """Characters at the end of `text[at:]` that may be the beginning of a mark."""
        for length in range(min(self._longest, len(text) - at), 0, -1):
            if text[-length:] in self.beginnings:
                return length
        return 0
