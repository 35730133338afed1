"""Reads a model's turn while it is written: thoughts, what is said, calls of tools.

The parts depend on the text alone, not on how it was cut into pieces; what a piece of text means
is held back until it is certain. Nothing is lost and no mark is shown: a thought that is never
closed is a thought, one that was never opened too, a mark without a meaning vanishes, and a mark
that is only spoken about (in quotes, in code, alone between spaces) is text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any, Literal

from chatapp.engine.chat.calls import CallReader, is_begun
from chatapp.engine.chat.format import Format
from chatapp.engine.chat.growing import Growing
from chatapp.engine.chat.headers import HARMONY, HeadedMessages
from chatapp.engine.chat.marks import Action, Marks
from chatapp.engine.chat.openings import KNOWN, MOST, may_be_known
from chatapp.engine.chat.source import Source
from chatapp.engine.chat.thoughts import Thinking
from chatapp.engine.chat.values import parameters_of
from chatapp.parts import Parts, Text

Steps = Generator[None, None, None]


_MOST_FAILED = 20
"""Marks in one answer that were none of calls: further ones are not looked into."""
_BARE_JSON = {"{": ('"',), "[": ("{",)}
"""What a call without a mark begins with, if it is JSON, and what follows then."""


class Parser:
    """The parts of one turn as they grow. `feed` it text, `finish` it, read `parts`."""

    def __init__(
        self,
        form: Format,
        *,
        in_thought: bool = False,
        stop: Sequence[str] = (),
        tools: Sequence[Mapping[str, Any]] = (),
        parts: Parts = (),
        finds_known: bool = True,
    ) -> None:
        """`in_thought`: the prompt has opened one. `stop`: texts that end what is said. `tools`:
        what may be called; without them a call that stands in quotes or code is spoken about.
        `finds_known`: a thought at the very beginning is found in whatever way it is written."""
        self.growing = Growing(parts)
        self.stopped = False
        """A stop string or the end of the turn was found; nothing after it will come out."""
        self.closed = False
        """A mark that closes a thought stood where none was open."""
        self.form = form
        self.tools = tools
        self.is_thinking = in_thought
        """What comes next belongs to a thought, as far as is known."""
        self._finds_known = finds_known
        self.source = Source()
        self.opens = self.closes = 0
        self.lead: Literal["all", "lines", "none"] = "none"
        """White space that is left out before the next word that is said."""
        self._space: list[str] = []
        """White space that was read and belongs to the answer only if more comes."""
        self.control: set[int] = set()
        """Places in all the text where control tokens stand."""
        self.calls_end = 0
        """Place in all the text up to which there was nothing but calls."""
        self._bare_marks = self._find_bare_marks()
        self._close = form.thoughts.close if form.thoughts else "</think>"
        self._open = form.thoughts.open if form.thoughts else ""
        self.set_stop(stop)
        self._steps = self._turn()
        self._is_over = False
        self._n_failed = 0
        self._step()

    @property
    def parts(self) -> Parts:
        """The parts of the answer that no further text can change."""
        return self.growing.parts

    def set_stop(self, stop: Sequence[str]) -> None:
        """Other texts that end what is said."""
        self.stop = tuple(text for text in stop if text)
        self._said_marks = Marks(self._marks_in_words())
        self._thinking = Thinking(self, self._open, self._close)

    def feed(self, text: str, *, control: bool = False) -> None:
        """Take more text; `control`: it is the spelling of a control token, which nobody says."""
        if self._is_over or not text:
            return
        source = self.source
        if control:
            self.control.add(source.base + len(source.text))
        source.add(text)
        self._step()

    def finish(self) -> None:
        """Say what was held back: no more will come."""
        self.source.ended = True
        while not self._is_over:
            self._step()

    def unsay(self, length: int) -> None:
        """Take back the last `length` characters of what was said, to be read once more."""
        last = self.parts[-1]
        assert isinstance(last, Text)
        keep = len(last.text) - length
        shorter = (Text(last.text[:keep]),) if keep else ()
        self.growing = Growing((*self.parts[:-1], *shorter))
        source = self.source
        source.text, source.at = last.text[keep:] + source.rest, 0

    def trial(self) -> Parser:
        """Another one that reads what may be calls."""
        return Parser(self.form, tools=self.tools, finds_known=False)

    def _step(self) -> None:
        try:
            next(self._steps)
        except StopIteration:
            self._is_over = True

    # the turn

    def _turn(self) -> Steps:
        if self.is_thinking:
            self.opens = 1
            yield from self._thinking.read()
        elif self.form.headers:
            yield from HeadedMessages(self, self.form.headers).read()
            return
        elif self._finds_known and not self.parts:
            yield from self._find_known()
        while not self.stopped and (self.source.rest or not self.source.ended):
            yield from self._content()

    def _find_known(self) -> Steps:
        """See whether the answer begins with a thought in a way that is widely known."""
        source = self.source
        place = yield from source.skip_space(0)
        while True:
            if found := KNOWN.match(source.text, place):
                self._enter_known(found)
                yield from self._thinking.read()
                return
            if source.text.startswith(HARMONY.channel, place):
                yield from HeadedMessages(self, HARMONY).read()
                return
            if source.ended or not may_be_known(source.text[place : place + MOST]):
                return
            yield

    def _enter_known(self, found: re.Match[str]) -> None:
        own = self.form.thoughts
        if own and own.open and found[0].strip() == own.open:
            pass
        elif found["bracket"]:
            self._use_marks("[THINK]", "[/THINK]")
        elif found["channel"]:
            self._use_marks("<|channel>thought", "<channel|>")
        else:
            tag = found["tag"]
            self._use_marks(f"<{tag}>", f"</{tag}>")
        self.source.at = found.end()
        self.opens = 1
        self.is_thinking = True

    def _use_marks(self, opening: str, closing: str) -> None:
        self._open, self._close = opening, closing
        self.set_stop(self.stop)

    # what is said

    def _find_bare_marks(self) -> tuple[str, ...]:
        """Texts that a call without a mark may begin with."""
        calls = self.form.calls
        if not calls or calls.open or calls.section_open or not self.tools:
            return ()
        names = parameters_of(self.tools)
        if calls.body == "named":
            return tuple(names)
        if calls.body == "json":
            return ("{", "[")
        return tuple(f"[{name}(" for name in names)

    def _marks_in_words(self) -> dict[str, Action]:
        form = self.form
        marks: dict[str, Action] = dict.fromkeys(form.drops, "drop")
        marks |= dict.fromkeys((*form.say_open, *form.say_close), "drop")
        marks |= dict.fromkeys(form.ends, "end")
        if form.thoughts or self._open:
            marks[self._close] = "close"
            if self._open:
                marks[self._open] = "open"
        elif self._finds_known:
            marks |= {"<think>": "open", "</think>": "close"}
        if form.calls:
            marks |= dict.fromkeys((*form.calls.triggers, *self._bare_marks), "call")
        marks |= dict.fromkeys(self.stop, "stop")
        return marks

    def _content(self) -> Steps:
        """Read to the next mark and deal with it."""
        source = self.source
        source.forget()
        hit = yield from self.next_mark(lambda: self._said_marks, self._say_to)
        if hit is None:
            return
        start, mark = hit
        action = self._said_marks.actions[mark]
        if action == "stop":
            self._say_to(start)
            self.stopped, source.at = True, len(source.text)
            return
        doubtful = action in ("open", "close") or (action == "call" and not self.tools)
        if doubtful and (yield from self._is_spoken_about(start, mark)):
            self._say_to(start + len(mark))
            return
        if action == "call":
            yield from self._call(start, mark)
            return
        self._say_to(start, before_mark=True)
        source.at = start + len(mark)
        if mark in self.form.say_open:
            self.lead = "lines"
        if action == "end":
            yield from self._end_or_call(start)
        elif action == "open":
            self.opens += 1
            self.is_thinking = True
            yield from self._thinking.read()
        elif action == "close":
            yield from self._lone_close()

    def next_mark(
        self, marks: Callable[[], Marks], say: Callable[[int], None]
    ) -> Generator[None, None, tuple[int, str] | None]:
        """The next mark, when all text before it that is certain has been said by `say`."""
        source = self.source
        while True:
            pattern = marks().pattern
            found = pattern.search(source.text, source.at) if pattern else None
            held = 0 if source.ended else marks().held(source.text, source.at)
            certain = len(source.text) - held  # behind it a longer mark may have begun
            if (
                found
                and found.start() <= certain
                and (source.ended or not marks().may_grow(source.text, found.start()))
            ):
                return found.start(), found[0]
            say(min(found.start(), certain) if found else certain)
            if source.ended:
                return None
            yield

    def _say_to(self, end: int, *, before_mark: bool = False) -> None:
        """Say what stands before `end`; white space that may not belong to the answer waits."""
        source, growing = self.source, self.growing
        text = source.text[source.at : end]
        source.at = max(source.at, end)
        is_last = source.ended and end == len(source.text)
        if self.lead != "none" and not self._space:
            text = text.lstrip("\n" if self.lead == "lines" else None)
        if not text and not is_last and not before_mark:
            return
        words = text.rstrip()
        if not words and not growing.has_said and not is_last:
            self._space += [text] if text else []  # before the first word
        elif self._trims and not is_last:
            if words:
                self._say("".join(self._space) + words)
                self._space = [text[len(words) :]]
            else:
                self._space.append(text)
        else:
            self._say("".join(self._space) + text)
            self._space.clear()
        if before_mark:
            self._space.clear()

    def _say(self, text: str) -> None:
        if text:
            self.lead = "none"
            self.growing.say("text", text)

    @property
    def _trims(self) -> bool:
        """White space before a mark is part of it."""
        form = self.form
        return bool(form.say_close or (form.calls and form.calls.trims))

    def _is_spoken_about(self, start: int, mark: str) -> Generator[None, None, bool]:
        """Whether a mark is text: quoted, in code, or alone between two spaces."""
        source, end = self.source, start + len(mark)
        if source.base + start in self.control or "|" in mark:
            return False
        while end >= len(source.text) and not source.ended:
            yield
        self._say_to(start)
        behind = source.text[end : end + 1] or "\n"
        return self.growing.is_quoted("".join(self._space), behind) or self.growing.is_code()

    def _lone_close(self) -> Steps:
        """The end of a thought where none is open.

        If more was opened than closed, or nothing was opened at all, what was said since the last
        thought was one; else the mark means nothing.
        """
        source = self.source
        self.closed = True
        owed = self.opens > self.closes or not self.opens
        place = yield from source.skip_space(source.at)
        if owed and self.growing.has_said and place < len(source.text):
            said = self.growing.take_said()
            self._thinking.go_on(said.strip() if not self.growing.n_begun else said.rstrip())
            self.opens = max(self.opens, self.closes + 1)
            self.closes += 1
            self.growing.border()
            self.lead = "lines"
        elif not self.growing.has_said:
            self.closes += 1
            self.opens = max(self.opens, 1)
            self.lead = "lines"

    def _end_or_call(self, start: int) -> Steps:
        """The end of the turn, unless a call begins with the same mark."""
        calls = self.form.calls
        if calls and self.source.text.startswith(calls.triggers, start):
            self.source.at = start
            if (yield from self.read_calls()):
                return
        self.stopped = True
        self.source.at = len(self.source.text)

    # calls

    def _call(self, start: int, mark: str) -> Steps:
        source = self.source
        is_control = source.base + start in self.control
        self._say_to(start)
        if mark in _BARE_JSON and mark in self._bare_marks:
            place = yield from source.skip_space(start + 1)
            if source.text[place : place + 1] not in _BARE_JSON[mark]:
                self._say_to(start + 1)
                return
        if self._n_failed > _MOST_FAILED and not is_control:
            self._say_to(start + len(mark))
            return
        space = "".join(self._space)
        is_bare = mark in self._bare_marks
        is_mark = is_control or "|" in mark
        is_text = not is_mark and (self.growing.is_quoted(space, None) or self.growing.is_code())
        if not is_text and (yield from self.read_calls(is_bare=is_bare)):
            return
        self._n_failed += not is_text
        if not (is_text or is_bare) and source.ended and self._is_begun(start):
            source.at = len(source.text)  # half a call is neither one nor text
        elif is_text or not (is_control or mark in (*self.form.ends, *self.form.drops)):
            self._say_to(start + len(mark))
        elif mark in self.form.ends:
            self.stopped, source.at = True, len(source.text)
        else:
            source.at = start + len(mark)  # never text

    def _is_begun(self, start: int) -> bool:
        calls = self.form.calls
        assert calls
        return is_begun(self.source.text[start:], calls, parameters_of(self.tools))

    def read_calls(self, *, is_bare: bool = False) -> Generator[None, None, bool]:
        """Read calls from where the source stands; False, and nothing read, if there is none."""
        assert self.form.calls
        source, growing = self.source, self.growing
        reader = CallReader(source, self.form.calls, self.tools, growing, is_bare=is_bare)
        found = yield from reader.read()
        if found:
            self.lead = "all"
            self._space.clear()
            growing.border()
            if growing.n_calls == growing.n_begun:
                self.calls_end = source.base + source.at
        return found
