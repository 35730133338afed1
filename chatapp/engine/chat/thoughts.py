"""Reads thoughts while they are written."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING

from chatapp.engine.chat.growing import Growing
from chatapp.engine.chat.marks import Action, Marks

if TYPE_CHECKING:
    from chatapp.engine.chat.parser import Parser

Steps = Generator[None, None, None]

_MOST_TRIED = 20
"""Marks of calls in one thought that are looked into: a thought that speaks of more says none."""
_FIRST_LOOK = 64
"""Characters behind a call's mark in a thought that are looked at first; then twice as many."""


class Thinking:
    """Reads thoughts into the parts of a parser."""

    def __init__(self, parser: Parser, opening: str, closing: str) -> None:
        self._parser = parser
        self._open, self._close = opening, closing
        self._marks = Marks(self._find_marks())
        self._is_new = True
        """Nothing of the present thought was told yet."""
        self._tried = 0
        self._space: list[str] = []
        """White space that belongs to the thought only if more comes."""

    def _find_marks(self) -> dict[str, Action]:
        form = self._parser.form
        marks: dict[str, Action] = {self._close: "close"} if self._close else {}
        if self._open:
            marks[self._open] = "open"
        elif not form.thoughts:
            marks["<think>"] = "open"
        marks |= {mark: "end" for mark in form.ends if mark not in marks}
        if form.calls:
            marks |= {mark: "call" for mark in form.calls.triggers if mark not in marks}
        return marks

    def read(self) -> Steps:
        """Read a thought up to its end."""
        source = self._parser.source
        self._parser.is_thinking = True
        self._is_new = True
        self._tried = 0
        self._space.clear()
        while True:
            source.forget()
            hit = yield from self._parser.next_mark(lambda: self._marks, self._think_to)
            if hit is None:
                break
            start, mark = hit
            action = self._marks.actions[mark]
            if action == "open":
                self._nest(start, mark)
                continue
            if action == "call" and self._tried == _MOST_TRIED:
                self._think_to(start + len(mark), is_certain=True)
                continue
            if action == "call":
                self._tried += 1
                said_to = yield from self._call_in_thought(start, mark)
                if said_to < 0:
                    break
                self._think_to(said_to, is_certain=True)
                continue
            self._think_to(start)
            source.at = start + len(mark)
            if action == "end":
                self._parser.stopped, source.at = True, len(source.text)
            self._parser.closes += 1
            break
        self._parser.is_thinking = False
        self._space.clear()
        self._parser.growing.border()
        self._parser.lead = "lines"

    def go_on(self, text: str) -> None:
        """A thought, or more of the last one: what was taken for words."""
        self._is_new = False
        self.think(text)

    def _nest(self, start: int, mark: str) -> None:
        """A second beginning within a thought: one said twice, or a thought within a thought."""
        source = self._parser.source
        if not self._is_new or source.text[source.at : start].strip():
            self._parser.opens += 1
            self._think_to(start, is_certain=True)
        self._space.clear()
        source.at = start + len(mark)

    def _think_to(self, end: int, *, is_certain: bool = False) -> None:
        """Think what stands before `end`; white space at its end waits for what comes."""
        source = self._parser.source
        text = source.text[source.at : end]
        source.at = max(source.at, end)
        if self._is_new and not self._space:
            text = text.lstrip("\n")
        is_whole = is_certain or (source.ended and end == len(source.text))
        kept = text if is_whole else text.rstrip()
        if kept or is_whole:
            self.think("".join(self._space) + kept)
            self._space = [text[len(kept) :]]
        elif text:
            self._space.append(text)

    def think(self, text: str) -> None:
        """Put more text at the end of the present thought."""
        if not text:
            return
        if self._is_new and self._parser.growing.has_thought:
            text = f"\n{text}"
        self._is_new = False
        self._parser.growing.say("reasoning", text)

    def _call_in_thought(self, start: int, mark: str) -> Generator[None, None, int]:
        """Whether a call that begins within a thought ends it: then -1.

        It does if nothing but calls follows; a thought that goes on only speaks of a call. Then
        the result is the place up to which it does.
        """
        source = self._parser.source
        self._think_to(start)
        trial = self._parser.trial()
        fed, most = start, _FIRST_LOOK
        while True:
            while fed < len(source.text):
                cut = min(fed + most, len(source.text))
                inside = (p - source.base for p in self._parser.control)
                cut = min((p for p in inside if fed < p < cut), default=cut)
                trial.feed(source.text[fed:cut], control=source.base + fed in self._parser.control)
                fed, most = cut, 2 * most
                if trial.closed or trial.growing.n_begun > trial.growing.n_calls:
                    return max(start + len(mark), start + trial.calls_end)
            if source.ended:
                trial.finish()
                break
            if trial.stopped:
                break
            yield
        only_calls = trial.growing.n_begun == trial.growing.n_calls > 0
        if trial.closed or not only_calls:
            return max(start + len(mark), start + trial.calls_end)
        self._parser.stopped = trial.stopped
        self._parser.growing = Growing((*self._parser.parts, *trial.parts))
        source.at = len(source.text)
        return -1
