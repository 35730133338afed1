"""From token bytes to parts that may be shown: whole characters, no stop strings, no marks.

A token can end in the middle of a UTF-8 character; what text means is for the parser of the
model's format. Nothing is lost: what was held back comes out at the end.
"""

import codecs
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from chatapp.engine.chat.format import PLAIN, Format
from chatapp.engine.chat.parser import Parser
from chatapp.parts import Parts, Reasoning, Text, ToolCall

Piece = tuple[bytes, bool]
"""The bytes of a token, and whether it is a control token, whose text nobody says."""


class Assembler:
    """The parts of one alternative as they grow."""

    def __init__(
        self,
        form: Format = PLAIN,
        *,
        stop: Sequence[str] = (),
        in_thought: bool = False,
        tools: Sequence[Mapping[str, Any]] = (),
        is_raw: bool = False,
        finds_known: bool = True,
    ) -> None:
        """`form`: how the model writes its turn. `in_thought`: the prompt has opened a thought.
        `tools`: what the model may call. `is_raw`: everything is text, whatever it looks like.
        `finds_known`: thoughts are also found in ways that the format does not have."""
        self._form = form
        self._stop = tuple(stop)
        self._in_thought = in_thought
        self._tools = tools
        self._is_raw = is_raw
        self._finds_known = finds_known and not is_raw
        self._parser = self._make_parser(self._stop)
        self._named: Parts = ()
        """What was known of an answer that goes on: its calls keep their ids."""
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._marks = "\n".join(form.marks)

    @property
    def parts(self) -> Parts:
        """The parts of the answer that no further text can change."""
        return _with_ids(self._parser.parts, self._named) if self._named else self._parser.parts

    @property
    def stopped(self) -> bool:
        """A stop string or the turn's end was found; nothing after it will come out."""
        return self._parser.stopped

    @property
    def is_thinking(self) -> bool:
        """Whether the next token belongs to a thought."""
        return self._parser.is_thinking

    def feed(self, data: bytes, *, control: bool = False) -> None:
        """Take the bytes of one more token; `control`: they spell a control token, which means
        what the format says, or nothing."""
        if not control:
            self._parser.feed(self._decoder.decode(data))
            return
        text = data.decode("utf-8", "replace")
        if text.strip() and text.strip() in self._marks and not self._is_raw:
            self._parser.feed(text, control=True)

    def finish(self) -> None:
        """Say what was held back; a broken last character becomes U+FFFD."""
        self._parser.feed(self._decoder.decode(b"", final=True))
        self._parser.finish()

    def begin(self, parts: Parts) -> None:
        """Go on behind `parts`, which another model or a server wrote."""
        self._in_thought = self._in_thought and all(isinstance(part, Reasoning) for part in parts)
        self._parser = self._make_parser(self._stop, parts)
        self._take_back()

    def begin_with_tokens(self, parts: Parts, pieces: Iterable[Piece]) -> bool:
        """Go on behind `parts`, which were said as the tokens with these bytes.

        False, and nothing is changed, if that is not what the tokens say. Of an answer whose engine
        was killed, the parts lack what it held back, such as half a character. Stop strings that
        are whole in what was said are part of it: they were none when it was said. Ids of calls
        need not agree: most models write none. Parts that are the bare text of the tokens, as older
        versions kept them, give way to what the format makes of these.
        """
        said = list(pieces)
        told, goes_on = self._without_stop(), self._without_stop()
        for data, control in said:
            told.feed(data, control=control)
            goes_on.feed(data, control=control)
        told.finish()
        goes_on._stop, certain = self._stop, goes_on.parts
        goes_on._parser.set_stop(self._stop)
        goes_on._take_back()
        views = (told.parts, certain, goes_on.parts)
        if not any(_is_same(one, parts) for one in views) and not _is_unread(parts, said):
            return False
        self._parser, self._decoder = goes_on._parser, goes_on._decoder
        self._named = parts if any(isinstance(part, ToolCall) for part in parts) else ()
        return True

    def _make_parser(self, stop: Sequence[str], parts: Parts = ()) -> Parser:
        return Parser(
            PLAIN if self._is_raw else self._form,
            in_thought=self._in_thought,
            stop=stop,
            tools=self._tools,
            parts=parts,
            finds_known=self._finds_known,
        )

    def _without_stop(self) -> "Assembler":
        return Assembler(
            self._form,
            in_thought=self._in_thought,
            tools=self._tools,
            is_raw=self._is_raw,
            finds_known=self._finds_known,
        )

    def _take_back(self) -> None:
        """Hold back the end of what was said if it may be the beginning of a stop string."""
        if not self.parts or not isinstance(last := self.parts[-1], Text) or self.is_thinking:
            return
        if length := _longest_open(last.text, self._stop):
            self._parser.unsay(length)


def read_tokens(form: Format, parts: Parts, pieces: Iterable[Piece]) -> Parts:
    """The parts of an answer that was said as the tokens with these bytes.

    They are `parts`, unless these are the bare text of the tokens, kept by a version that did not
    know the format.
    """
    said = list(pieces)
    if not _is_unread(parts, said):
        return parts
    told = Assembler(form)
    for data, control in said:
        told.feed(data, control=control)
    told.finish()
    return told.parts or parts


def _is_same(told: Parts, parts: Parts) -> bool:
    return _with_ids(told, parts) == parts


def _with_ids(told: Parts, parts: Parts) -> Parts:
    """`told`, its calls under the ids that the same calls have in `parts`."""
    named = [
        ToolCall(other.id, part.name, part.arguments)
        if isinstance(part, ToolCall)
        and place < len(parts)
        and isinstance(other := parts[place], ToolCall)
        and other.name == part.name
        else part
        for place, part in enumerate(told)
    ]
    return tuple(named)


def _is_unread(parts: Parts, pieces: Sequence[Piece]) -> bool:
    """Whether `parts` are the bare text of tokens among which control tokens stand."""
    if len(parts) != 1 or not isinstance(part := parts[0], Text):
        return False
    if not any(control for _, control in pieces):
        return False
    bare = b"".join(data for data, control in pieces if not control)
    return bare.decode("utf-8", "replace").strip() == part.text.strip()


def trim_broken(parts: Parts) -> Parts:
    """`parts` without the half of a character that they may end in: another model cannot know
    what it was to become."""
    if not parts or not isinstance(last := parts[-1], Text | Reasoning):
        return parts
    text = last.text.rstrip("\ufffd")
    return (*parts[:-1], type(last)(text)) if text else parts[:-1]


def _longest_open(text: str, marks: Sequence[str]) -> int:
    """Characters at the end of `text` that may be the beginning of a mark."""
    longest = max((len(mark) for mark in marks), default=0)
    for length in range(min(longest - 1, len(text)), 0, -1):
        if any(mark.startswith(text[-length:]) and len(mark) > length for mark in marks):
            return length
    return 0


def _are_same(told: Parts, parts: Parts) -> bool:
    """Whether `parts` are what was told; the client has given ids to calls that have none."""
    return len(told) == len(parts) and all(
        mine == theirs
        or (
            isinstance(mine, ToolCall)
            and isinstance(theirs, ToolCall)
            and not mine.id
            and (mine.name, mine.arguments) == (theirs.name, theirs.arguments)
        )
        for mine, theirs in zip(told, parts, strict=True)
    )
