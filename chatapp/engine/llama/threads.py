"""The threads of a context: every decode is measured, and what was chosen is set before the next.

`thread_choice` says why and how the number changes. llama.cpp takes a new one between two decodes.
"""

import time
from dataclasses import replace
from math import inf

import llama_cpp.llama_cpp as lib

from chatapp.engine.llama.processors import Room, RoomReader, own_seconds
from chatapp.engine.llama.thread_choice import ThreadChoice

_STALE_S = 2.0
"""The average over a longer time between two requests says nothing about now."""


class Threads:
    """The threads of one context: measures every decode and sets what is chosen.

    Prompts and answers are chosen for apart. `adapts` False keeps the number as it is.
    """

    def __init__(self, context: int, most: int, *, adapts: bool) -> None:
        self._context = context
        self._reader = RoomReader()
        self._set = self.most = most
        if adapts and self._reader.n_processors:  # more only wait for each other
            self.most = min(most, self._reader.n_processors)
        self._adapts = adapts and most > 1
        self._choices = {prompt: ThreadChoice(self.most) for prompt in (True, False)}
        self._choice = self._choices[True]
        self._reader.start(time.perf_counter())
        self._last: tuple[float, Room] | None = None
        self._began = self._ran_before = 0.0
        self._decoded_s = self._ran_s = 0.0
        """Since the last reading: time in decodes, and processor time of all threads in it."""

    @property
    def n_threads(self) -> int:
        """How many threads the last decode had."""
        return self._set

    def begin(self, *, prompt: bool) -> None:
        """The pieces of a prompt come next, or the tokens of an answer."""
        now = time.perf_counter()
        self._read(now)
        fresh = self._last and now - self._last[0] < _STALE_S and self._last[1].span_s < _STALE_S
        self._decoded_s = self._ran_s = 0.0
        self._choice = self._choices[prompt]
        room = replace(self._last[1], got=inf) if self._last and fresh else None
        self._choice.begin(room, now)

    def before(self) -> None:
        """Note that a decode comes next."""
        wanted = self._choice.n_threads
        if self._adapts and wanted != self._set:
            lib.llama_set_n_threads(self._context, wanted, wanted)
            self._set = wanted
        if self._adapts:
            self._began, self._ran_before = time.perf_counter(), own_seconds()

    def after(self, n_tokens: int) -> None:
        """Note that the decode of `n_tokens` has ended."""
        if self._adapts:
            now = time.perf_counter()
            self._decoded_s += now - self._began
            self._ran_s += own_seconds() - self._ran_before
            self._choice.observe(n_tokens, now - self._began, self._read(now), now)

    def _read(self, now: float) -> Room | None:
        room = self._reader.read(now)
        if room:
            if self._decoded_s:
                room = replace(room, got=self._ran_s / self._decoded_s)
            self._decoded_s = self._ran_s = 0.0
            self._last = now, room
        return room
