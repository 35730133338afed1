"""The parts of a turn while they are written.

The last part grows by pieces that are joined when somebody looks, so that a long answer costs no
more for a character than a short one.
"""

from __future__ import annotations

import re

from chatapp.parts import Part, Parts, Reasoning, Spoken, Text, ToolCall

_QUOTES = "`'\"“”‘’«»"
_TICKS = re.compile("`+")
_FENCE = 3
"""Backticks that begin or end a block of code."""


class Growing:
    """Parts, the last of which may grow."""

    def __init__(self, parts: Parts = ()) -> None:
        self._done: list[Part] = list(parts)
        self._pieces: list[str] = []
        self._kind: Spoken | None = None
        self._call: ToolCall | None = None
        """The call that grows, with its first arguments."""
        self._made: Parts | None = parts
        self.n_begun = len(parts)
        """How many parts were begun."""
        self.n_calls = 0
        """How many of them are calls of tools."""
        self._goes_on = False
        """The last text was there before the border."""
        self._line = _Line()
        if parts and isinstance(last := parts[-1], Text | Reasoning):
            self._done.pop()
            self._kind = "text" if isinstance(last, Text) else "reasoning"
            self._add(last.text)

    @property
    def parts(self) -> Parts:
        """The parts of the answer as far as they have grown."""
        if self._made is None:
            last = self._last()
            self._made = (*self._done, last) if last else tuple(self._done)
        return self._made

    def _last(self) -> Part | None:
        if self._call is None and self._kind is None:
            return None
        text = "".join(self._pieces)
        self._pieces = [text]
        if self._call is not None:
            return ToolCall(self._call.id, self._call.name, text)
        return Text(text) if self._kind == "text" else Reasoning(text)

    def _add(self, text: str) -> None:
        self._made = None
        self._pieces.append(text)
        if self._kind == "text":
            self._line.add(text)

    def _close(self) -> None:
        last = self._last()
        if last is not None:
            self._done.append(last)
        self._kind = self._call = None
        self._pieces = []
        self._made = None

    def say(self, kind: Spoken, text: str) -> None:
        """More of what is said, or thought."""
        if not text:
            return
        if self._kind != kind:
            self._close()
            self._kind, self._goes_on, self._line = kind, False, _Line()
            self.n_begun += 1
        self._add(text)

    def begin_call(self, call_id: str, name: str, arguments: str = "") -> None:
        """Begin a part that is a call, behind all others."""
        self._close()
        self._call = ToolCall(call_id, name, "")
        self.n_begun += 1
        self.n_calls += 1
        self._add(arguments)

    def argue(self, text: str) -> None:
        """More of the arguments of the last call."""
        self._add(text)

    def change_call(self, call_id: str, arguments: str) -> None:
        """Another id or other arguments for the last call, whose name is certain."""
        assert self._call is not None
        self._call = ToolCall(call_id, self._call.name, "")
        self._pieces = [arguments]
        self._made = None

    def border(self) -> None:
        """What is said from here on does not belong to what was said before."""
        self._goes_on = self._kind == "text"

    @property
    def has_said(self) -> bool:
        """Something was said since the last border."""
        return self._kind == "text" and not self._goes_on

    @property
    def has_thought(self) -> bool:
        """The last part is a thought."""
        return self._kind == "reasoning"

    def take_said(self) -> str:
        """Take out what was said since the last border."""
        text = "".join(self._pieces)
        self._kind, self._pieces, self._made = None, [], None
        self.n_begun -= 1
        return text

    def is_code(self) -> bool:
        """What comes next is within a block of code that what was said has begun."""
        return self.has_said and self._line.is_code()

    def is_quoted(self, space: str, behind: str | None) -> bool:
        """A mark that follows `space` is quoted, or stands alone between spaces in a line.

        `behind` is the character behind it; none where only what stands before it matters.
        """
        line = self._line if self.has_said else _Line()
        has_words, before = line.end(space)
        if before in _QUOTES or (behind is not None and behind in _QUOTES):
            return True
        return behind is not None and has_words and before == " " and behind in " .,;:!?)"


class _Line:
    """The line that a text ends in, and whether that belongs to a block of code."""

    def __init__(self) -> None:
        self._unread: list[str] = []
        self._has_words = False
        self._last = "\n"
        self._fences = 0
        self._ticks = 0
        """Backticks at the end, at most as many as matter."""

    def add(self, text: str) -> None:
        """Put more text at the end of the line."""
        self._unread.append(text)

    def _read(self) -> None:
        if not (text := "".join(self._unread)):
            return
        self._unread.clear()
        _, found, line = text.rpartition("\n")
        self._has_words = bool(line.strip()) or (self._has_words and not found)
        self._last = text[-1]
        text = "`" * self._ticks + text
        self._ticks = 0
        for run in _TICKS.finditer(text):
            if run.end() == len(text):
                self._ticks = min(len(run[0]), _FENCE)
            elif len(run[0]) >= _FENCE:
                self._fences += 1

    def is_code(self) -> bool:
        """The text ends within a block of code."""
        self._read()
        return (self._fences + (self._ticks == _FENCE)) % 2 == 1

    def end(self, space: str) -> tuple[bool, str]:
        """Whether the line has words, and its last character, with white space behind it."""
        self._read()
        return self._has_words and "\n" not in space, (space or self._last)[-1]
