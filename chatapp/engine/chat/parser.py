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

from chatapp.engine.chat.calls import CallReader
from chatapp.engine.chat.format import Format
from chatapp.engine.chat.headers import HARMONY, HeadedMessages
from chatapp.engine.chat.marks import Action, Marks
from chatapp.engine.chat.openings import KNOWN, may_be_known
from chatapp.engine.chat.source import Source
from chatapp.parts import Parts, Reasoning, Text, ToolCall, grow

Steps = Generator[None, None, None]

_QUOTES = "`'\"“”‘’«»"
_FENCE = "```"


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
        self.parts = parts
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
        self._opens = self._closes = 0
        self._is_new_thought = True
        """Nothing of the present thought was told yet."""
        self._lead: Literal["all", "lines", "none"] = "none"
        """White space that is left out before the next word that is said."""
        self._since_thought = 0
        """Place in `parts` where what was said since the last thought begins."""
        self._control: set[int] = set()
        self._fed = 0
        self._close = form.thoughts.close if form.thoughts else "</think>"
        self._open = form.thoughts.open if form.thoughts else ""
        self.set_stop(stop)
        self._steps = self._turn()
        self._is_over = False
        self._step()

    def set_stop(self, stop: Sequence[str]) -> None:
        """Other texts that end what is said."""
        self.stop = tuple(text for text in stop if text)
        self._said_marks = Marks(self._marks_in_words())
        self._thought_marks = Marks(self._marks_in_thought())

    def feed(self, text: str, *, control: bool = False) -> None:
        """Take more text; `control`: it is the spelling of a control token, which nobody says."""
        if self._is_over or not text:
            return
        source = self.source
        if control:
            self._control.add(len(source.text))
        source.text += text
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
        self.parts = (*self.parts[:-1], *shorter)
        source = self.source
        source.text, source.at = last.text[keep:] + source.rest, 0

    def _step(self) -> None:
        try:
            next(self._steps)
        except StopIteration:
            self._is_over = True

    # the turn

    def _turn(self) -> Steps:
        if self.is_thinking:
            self._opens = 1
            yield from self._thought()
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
        while True:
            if found := KNOWN.match(source.text):
                self._enter_known(found)
                yield from self._thought()
                return
            if source.text.lstrip().startswith(HARMONY.channel):
                yield from HeadedMessages(self, HARMONY).read()
                return
            if source.ended or not may_be_known(source.text):
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
        self._opens = 1
        self.is_thinking = True

    def _use_marks(self, opening: str, closing: str) -> None:
        self._open, self._close = opening, closing
        self.set_stop(self.stop)

    # what is said

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
            marks |= dict.fromkeys(form.calls.triggers, "call")
        marks |= dict.fromkeys(self.stop, "stop")
        return marks

    def _content(self) -> Steps:
        """Read to the next mark and deal with it."""
        source = self.source
        self.source.forget()
        yield from self._bare_call()
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
        if action == "end":
            yield from self._end_or_call(start)
        elif action == "open":
            self._opens += 1
            self.is_thinking = True
            yield from self._thought()
        elif action == "close":
            yield from self._lone_close()

    def next_mark(
        self, marks: Callable[[], Marks], say: Callable[[int], None]
    ) -> Generator[None, None, tuple[int, str] | None]:
        """The next mark, when all text before it that is certain has been said by `say`."""
        source = self.source
        while True:
            pattern, beginnings = marks().pattern, marks().beginnings
            found = pattern.search(source.text, source.at) if pattern else None
            if found and (source.ended or source.text[found.start() :] not in beginnings):
                return found.start(), found[0]
            if found:
                say(found.start())
            else:
                say(
                    len(source.text) - (0 if source.ended else marks().held(source.text, source.at))
                )
            if source.ended:
                return None
            yield

    def _say_to(self, end: int, *, before_mark: bool = False) -> None:
        """Say what stands before `end`, as far as it is certain that it belongs to the answer."""
        source = self.source
        text = source.text[source.at : end]
        if self._lead == "lines":
            text = text.lstrip("\n")
        elif self._lead == "all":
            text = text.lstrip()
        blank = not text.strip()
        is_last = source.ended and end == len(source.text)
        begun = self._has_said()
        if blank and not begun and (before_mark or not is_last):
            # white space before the first word: nothing yet, and nothing at all before a mark
            if before_mark:
                source.at = end
            return
        calls = self.form.calls
        if calls and calls.trims and not is_last:
            kept = text.rstrip()
            if before_mark:
                text = kept
            elif kept != text:
                end -= len(text) - len(kept)
                text = kept
        source.at = end
        if text:
            self._lead = "none"
            self.parts = grow(self.parts, "text", text)

    def _has_said(self) -> bool:
        return len(self.parts) > self._since_thought and isinstance(self.parts[-1], Text)

    def _is_spoken_about(self, start: int, mark: str) -> Generator[None, None, bool]:
        """Whether a mark is text: quoted, in code, or alone between two spaces."""
        source = self.source
        end = start + len(mark)
        if start in self._control or "|" in mark:
            return False
        while end >= len(source.text) and not source.ended:
            yield
        said = self.parts[-1].text if self._has_said() and isinstance(self.parts[-1], Text) else ""
        line = (said + source.text[source.at : start]).rpartition("\n")[2]
        before = line[-1:] or "\n"
        behind = source.text[end : end + 1] or "\n"
        if before in _QUOTES or behind in _QUOTES:
            return True
        if (said + source.text[source.at : start]).count(_FENCE) % 2:
            return True
        return bool(line.strip()) and before == " " and behind in " .,;:!?)"

    def _lone_close(self) -> Steps:
        """The end of a thought where none is open.

        If more was opened than closed, or nothing was opened at all, what was said since the last
        thought was one; else the mark means nothing.
        """
        source = self.source
        self.closed = True
        owed = self._opens > self._closes or not self._opens
        place = yield from source.skip_space(source.at)
        if owed and self._has_said() and place < len(source.text):
            said = "".join(p.text for p in self.parts[self._since_thought :] if isinstance(p, Text))
            self.parts = self.parts[: self._since_thought]
            self._is_new_thought = False
            self._think(said.strip() if not self.parts else said.rstrip())
            self._opens = max(self._opens, self._closes + 1)
            self._closes += 1
            self._since_thought = len(self.parts)
            self._lead = "lines"
        elif not self._has_said():
            self._closes += 1
            self._opens = max(self._opens, 1)
            self._lead = "lines"

    def _end_or_call(self, start: int) -> Steps:
        """The end of the turn, unless a call begins with the same mark."""
        calls = self.form.calls
        if calls and self.source.text.startswith(calls.triggers, start):
            self.source.at = start
            if (yield from self.read_calls()):
                return
        self.stopped = True
        self.source.at = len(self.source.text)

    # thoughts

    def _marks_in_thought(self) -> dict[str, Action]:
        form = self.form
        marks: dict[str, Action] = {self._close: "close"} if self._close else {}
        if self._open:
            marks[self._open] = "open"
        elif not form.thoughts:
            marks["<think>"] = "open"
        marks |= {mark: "end" for mark in form.ends if mark not in marks}
        if form.calls:
            marks |= {mark: "call" for mark in form.calls.triggers if mark not in marks}
        return marks

    def _thought(self) -> Steps:
        """Read a thought up to its end."""
        source = self.source
        self.is_thinking = True
        self._is_new_thought = True
        while True:
            hit = yield from self.next_mark(lambda: self._thought_marks, self._think_to)
            if hit is None:
                break
            start, mark = hit
            action = self._thought_marks.actions[mark]
            if action == "open":
                self._nest(start, mark)
                continue
            if action == "call":
                if (yield from self._call_in_thought(start)):
                    break
                self._think_to(start + len(mark), is_certain=True)
                continue
            self._think_to(start)
            source.at = start + len(mark)
            if action == "end":
                self.stopped, source.at = True, len(source.text)
            self._closes += 1
            break
        self.is_thinking = False
        self._since_thought = len(self.parts)
        self._lead = "lines"

    def _nest(self, start: int, mark: str) -> None:
        """A second beginning within a thought: one said twice, or a thought within a thought."""
        source = self.source
        if not self._is_new_thought or source.text[source.at : start].strip():
            self._opens += 1
            self._think_to(start, is_certain=True)
        source.at = start + len(mark)

    def _think_to(self, end: int, *, is_certain: bool = False) -> None:
        """Think what stands before `end`; white space at its end waits for what comes."""
        source = self.source
        text = source.text[source.at : end]
        if self._is_new_thought:
            source.at += len(text) - len(text.lstrip("\n"))
            text = text.lstrip("\n")
        if not is_certain and not (source.ended and end == len(source.text)):
            text = text.rstrip()
        source.at += len(text)
        self._think(text)

    def _think(self, text: str) -> None:
        if not text:
            return
        if self._is_new_thought and self.parts and isinstance(self.parts[-1], Reasoning):
            text = f"\n{text}"
        self._is_new_thought = False
        self.parts = grow(self.parts, "reasoning", text)

    # calls

    def _bare_call(self) -> Steps:
        """A call without a mark, which only a turn can begin with."""
        calls, source = self.form.calls, self.source
        if self.parts or not (calls and self.tools) or calls.open or calls.section_open:
            return
        place = yield from source.skip_space(source.at)
        if source.text[place : place + 1] in ("{", "["):
            keep, source.at = source.at, place
            if not (yield from self.read_calls()):
                source.at = keep
                self._say_to(place + 1)

    def _call(self, start: int, mark: str) -> Steps:
        source = self.source
        self._say_to(start, before_mark=True)
        source.at = start
        if not (yield from self.read_calls()):
            if mark in self.form.ends:
                self.stopped, source.at = True, len(source.text)
            elif start in self._control or mark in self.form.drops:
                source.at = start + len(mark)  # never text
            else:
                self._say_to(start + len(mark))

    def read_calls(self) -> Generator[None, None, bool]:
        assert self.form.calls
        reader = CallReader(self.source, self.form.calls, self.tools, self.tell)
        found = yield from reader.read()
        if found:
            self._lead = "all"
            self._since_thought = len(self.parts)
        return found

    def tell(self, call: ToolCall, is_same: bool) -> None:
        self.parts = (*(self.parts[:-1] if is_same else self.parts), call)

    def _call_in_thought(self, start: int) -> Generator[None, None, bool]:
        """Whether a call that begins within a thought ends it.

        It does if nothing but calls follows; a thought that goes on only speaks of a call.
        """
        source = self.source
        self._think_to(start)
        trial = Parser(self.form, tools=self.tools, finds_known=False)
        fed = start
        while True:
            trial.feed(source.text[fed:], control=fed in self._control)
            fed = len(source.text)
            if source.ended:
                trial.finish()
            if trial.closed or any(not isinstance(part, ToolCall) for part in trial.parts):
                return False
            if source.ended or trial.stopped:
                break
            yield
        if not trial.parts:
            return False
        self.stopped = trial.stopped
        self.parts = (*self.parts, *trial.parts)
        source.at = len(source.text)
        return True
