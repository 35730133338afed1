"""Turns made of messages, each with a header that says for whom it is: harmony and its kind."""

from __future__ import annotations

import re
from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING

from chatapp.engine.chat.format import Headers
from chatapp.engine.chat.marks import Action, Marks
from chatapp.parts import Spoken

if TYPE_CHECKING:
    from chatapp.engine.chat.parser import Parser

Steps = Generator[None, None, None]

HARMONY = Headers(
    start="<|start|>",
    message="<|message|>",
    ends=("<|end|>", "<|return|>", "<|call|>"),
    turn_ends=("<|return|>", "<|call|>"),
    channel="<|channel|>",
)
_RECIPIENT = re.compile(r"\bto=([^\s<]+)")
_FUNCTION = re.compile(r"functions?[.:]")
_OUTSIDE = ("", "assistant", "user", "all")
"""Recipients of what is said to the user."""
_CHANNEL = re.compile(r"<\|channel\|>\s*(\w+)")
_MOST_HEADER = 1000


class HeadedMessages:
    """Reads a turn that consists of such messages into the parts of a parser."""

    def __init__(self, parser: Parser, head: Headers) -> None:
        self._parser = parser
        self._head = head

    def read(self) -> Steps:
        """Read message after message until the turn ends."""
        head = self._head
        source = self._parser.source
        if not head.is_recipient:
            yield from self._plain_beginning(head)
        while not self._parser.stopped and (source.rest or not source.ended):
            source.forget()
            start = source.at
            end = yield from source.find(head.message, start)
            if end < 0:  # half a header is nothing that anybody said
                source.at = len(source.text)
                return
            header = source.text[start:end]
            source.at = end + len(head.message)
            yield from self._message(head, header)

    def _plain_beginning(self, head: Headers) -> Steps:
        """Text before any header is what is said."""
        source = self._parser.source
        opening = [mark for mark in (head.channel, head.start, head.message, " to=", "to=") if mark]
        while not any(source.text.startswith(mark) for mark in opening):
            known = any(mark.startswith(source.text) for mark in opening)
            if not known and (found := _first(source.text, opening[:3], source.at)) >= 0:
                self._say_plain(found)
                return
            if not known:
                held = Marks(dict.fromkeys(opening[:3], "header")).held(source.text, source.at)
                self._say_plain(len(source.text) - held)
            if source.ended:
                self._say_plain(len(source.text))
                return
            yield

    def _say_plain(self, end: int) -> None:
        source = self._parser.source
        self._parser.growing.say("text", source.text[source.at : end])
        source.at = max(source.at, end)

    def _message(self, head: Headers, header: str) -> Steps:
        """One message, for whom its header says."""
        source = self._parser.source
        found = _RECIPIENT.search(header)
        recipient = found[1] if found else ""
        if head.is_recipient:
            recipient = header.strip().removeprefix(head.start)
        channels = _CHANNEL.findall(header)
        channel = channels[-1] if channels else ""
        kind: Spoken = "text"
        if recipient == "self" or (channel == "analysis" and recipient in _OUTSIDE):
            kind = "reasoning"
        is_call = recipient not in (*_OUTSIDE, "self")
        self._parser.is_thinking = kind == "reasoning"
        in_marks = is_call and self._parser.form.calls
        if in_marks and (yield from self._parser.read_calls()):
            yield from self._to_next(head)
            return
        if is_call:
            self._parser.growing.begin_call("", _FUNCTION.sub("", recipient, count=1))
        actions: dict[str, Action] = {mark: "header" for mark in (head.start, head.channel) if mark}
        actions |= dict.fromkeys(head.ends, "close")
        actions |= dict.fromkeys(self._parser.form.ends, "end")
        if kind == "text" and not is_call:
            actions |= dict.fromkeys(self._parser.stop, "stop")
        marks = Marks(actions)

        def say(end: int) -> None:
            text = source.text[source.at : end]
            source.at = max(source.at, end)
            if is_call:
                self._parser.growing.argue(text)
            else:
                self._parser.growing.say(kind, text)

        hit = yield from self._parser.next_mark(lambda: marks, say)
        self._parser.is_thinking = False
        if hit is None:
            return
        start, mark = hit
        say(start)
        if actions[mark] in ("end", "stop"):
            self._parser.stopped, source.at = True, len(source.text)
        elif actions[mark] == "close":
            source.at = start + len(mark)

    def _to_next(self, head: Headers) -> Steps:
        """Pass over what stands between a call and the next header."""
        place = yield from self._parser.source.find(head.start, self._parser.source.at)
        self._parser.source.at = len(self._parser.source.text) if place < 0 else place


def _first(text: str, marks: Sequence[str], begin: int) -> int:
    places = [place for mark in marks if (place := text.find(mark, begin)) >= 0]
    return min(places, default=-1)
