"""What an answer says, told to the screen a few times a second instead of for each token.

Every fact wakes the screen's event loop, and what the screen computes is taken from llama.cpp's
threads where there is no core to spare: each of them waits for the slowest. What comes first is
told at once; after that a model's tokens share a fact.
"""

import asyncio
from collections.abc import Callable
from dataclasses import replace

from textual.message import Message as Fact

from chatapp.ui.messages import AnswerText

EVERY_S = 0.1
"""Seconds between two facts about an answer: text that grows ten times a second flows."""


class Gathering:
    """Gathers the facts about the answers of one turn. Belongs to a running event loop."""

    def __init__(self, post: Callable[[Fact], object]) -> None:
        self._post = post
        self._held: dict[int, AnswerText] = {}
        """What is to be told of each answer."""
        self._timer: asyncio.TimerHandle | None = None

    def add(self, fact: AnswerText) -> None:
        """Tell `fact` now, or with what follows it within `EVERY_S`."""
        if before := self._held.get(fact.message_id):
            n_tokens, n_pieces = before.n_tokens + fact.n_tokens, before.n_pieces + fact.n_pieces
            fact = replace(fact, n_tokens=n_tokens, n_pieces=n_pieces)
        self._held[fact.message_id] = fact
        if self._timer is None:
            self._tell()

    def close(self) -> None:
        """Tell what is held; nothing follows."""
        if self._timer is not None:
            self._timer.cancel()
        self._post_held()

    def _tell(self) -> None:
        self._timer = None
        if self._held:
            self._post_held()
            self._timer = asyncio.get_running_loop().call_later(EVERY_S, self._tell)

    def _post_held(self) -> None:
        for fact in self._held.values():
            self._post(fact)
        self._held.clear()
