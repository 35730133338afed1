"""From token bytes to parts that may be shown: whole characters, no stop strings, thoughts apart.

A token can end in the middle of a UTF-8 character and a stop string can begin in one token and
end three tokens later; text is held back until neither can still happen. Nothing is lost: what
was held back comes out at the end.
"""

import codecs
from collections.abc import Iterable
from dataclasses import dataclass, field

from chatapp.parts import Part, Parts, Reasoning, Spoken, Text, grow

THINK_OPEN, THINK_CLOSE = "<think>", "</think>"


@dataclass(slots=True)
class Assembler:
    """The parts of one alternative as they grow."""

    stop: tuple[str, ...] = ()
    splits_reasoning: bool = True
    """Whether `<think>` at the start of an answer opens a thought."""
    starts_reasoning: bool = False
    """The prompt itself ended in `<think>`."""
    parts: Parts = ()
    """What is certain so far."""
    stopped: bool = False
    """A stop string was found; nothing after it will come out."""
    _held: str = ""
    _trims: bool = False
    _kind: Spoken | None = None
    _decoder: codecs.IncrementalDecoder = field(
        default_factory=lambda: codecs.getincrementaldecoder("utf-8")("replace")
    )

    def feed(self, data: bytes) -> None:
        """Take the bytes of one more token."""
        self._advance(self._decoder.decode(data), final=False)

    def finish(self) -> None:
        """Say what was held back; a broken last character becomes U+FFFD."""
        self._advance(self._decoder.decode(b"", final=True), final=True)

    def begin(self, parts: Parts) -> None:
        """Go on behind `parts`, which another model or a server wrote."""
        self.parts = parts
        if parts:
            self._kind = "text" if isinstance(parts[-1], Text) else None
        self._take_back()

    def begin_with_tokens(self, parts: Parts, pieces: Iterable[bytes]) -> bool:
        """Go on behind `parts`, which were said as the tokens with these bytes.

        False, and nothing is changed, if that is not what the tokens say. Stop strings that are
        whole in what was said are part of it: they were none when it was said.
        """
        bytes_of = list(pieces)
        told, goes_on = self._without_stop(), self._without_stop()
        for piece in bytes_of:
            told.feed(piece)
            goes_on.feed(piece)
        told.finish()
        if told.parts != parts:
            return False
        self.parts, self._held, self._trims = goes_on.parts, goes_on._held, goes_on._trims
        self._kind, self._decoder = goes_on._kind, goes_on._decoder
        self._take_back()
        return True

    def _without_stop(self) -> "Assembler":
        return Assembler(
            splits_reasoning=self.splits_reasoning, starts_reasoning=self.starts_reasoning
        )

    def _take_back(self) -> None:
        """Hold back the end of what was said if it may be the beginning of a stop string."""
        if self._kind != "text" or not self.parts or not isinstance(last := self.parts[-1], Text):
            return
        keep = len(last.text) - _longest_open(last.text, self.stop)
        self._held = last.text[keep:] + self._held
        shorter: tuple[Part, ...] = (Text(last.text[:keep]),) if keep else ()
        self.parts = (*self.parts[:-1], *shorter)

    def _advance(self, new: str, *, final: bool) -> None:
        if self.stopped:
            return
        self._held += new
        while self._held and not self.stopped:
            if self._kind is None and not self._open(final=final):
                break
            if self._trims:  # the line breaks that set a thought apart
                self._held = self._held.lstrip("\n")
                self._trims = not self._held
                continue
            marks = (THINK_CLOSE,) if self._kind == "reasoning" else self.stop
            at, mark = _find_first(self._held, marks)
            if at >= 0:
                self._say(self._held[:at])
                self._held = self._held[at + len(mark) :]
                if self._kind == "text":
                    self.stopped, self._held = True, ""
                else:
                    self._kind, self._trims = "text", True
                continue
            keep = 0 if final else _longest_open(self._held, marks)
            self._say(self._held[: len(self._held) - keep])
            self._held = self._held[len(self._held) - keep :]
            break

    def _open(self, *, final: bool) -> bool:
        """Decide what the answer begins with; False while that is not yet certain."""
        if self.starts_reasoning:
            self._kind = "reasoning"
            return True
        start = self._held.lstrip()
        if self.splits_reasoning and start.startswith(THINK_OPEN):
            self._kind, self._trims = "reasoning", True
            self._held = start[len(THINK_OPEN) :]
            return bool(self._held)
        if self.splits_reasoning and not final and THINK_OPEN.startswith(start):
            return False
        self._kind = "text"
        return True

    def _say(self, text: str) -> None:
        self.parts = grow(self.parts, self._kind or "text", text)


def trim_broken(parts: Parts) -> Parts:
    """`parts` without the half of a character that they may end in: another model cannot know
    what it was to become."""
    if not parts or not isinstance(last := parts[-1], Text | Reasoning):
        return parts
    text = last.text.rstrip("\ufffd")
    return (*parts[:-1], type(last)(text)) if text else parts[:-1]


def _find_first(text: str, marks: tuple[str, ...]) -> tuple[int, str]:
    found = [(text.find(mark), mark) for mark in marks if mark and mark in text]
    return min(found, default=(-1, ""))


def _longest_open(text: str, marks: tuple[str, ...]) -> int:
    """How many last characters could still become one of `marks`."""
    longest = 0
    for mark in marks:
        for size in range(min(len(mark) - 1, len(text)), longest, -1):
            if text.endswith(mark[:size]):
                longest = size
                break
    return longest
