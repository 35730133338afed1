"""From token bytes to text that may be shown: whole characters, no stop strings, two channels.

A token can end in the middle of a UTF-8 character and a stop string can begin in one token and
end three tokens later; text is held back until neither can still happen. Nothing is lost: what
was held back comes out at the end.
"""

import codecs
from dataclasses import dataclass, field

from chatapp.engine.protocol import Channel

THINK_OPEN, THINK_CLOSE = "<think>", "</think>"


@dataclass(slots=True)
class Assembler:
    """Text of one alternative as it grows."""

    stop: tuple[str, ...] = ()
    splits_reasoning: bool = True
    """Whether `<think>` at the start of an answer opens the reasoning channel."""
    starts_reasoning: bool = False
    """The prompt itself ended in `<think>`."""
    text: str = ""
    """What was said on the answer channel so far."""
    reasoning: str = ""
    stopped: bool = False
    """A stop string was found; nothing after it will come out."""
    _held: str = ""
    _trims: bool = False
    _channel: Channel | None = None
    _decoder: codecs.IncrementalDecoder = field(
        default_factory=lambda: codecs.getincrementaldecoder("utf-8")("replace")
    )

    def feed(self, data: bytes) -> list[tuple[Channel, str]]:
        """Take the bytes of one more token, give the text that is now certain."""
        return self._advance(self._decoder.decode(data), final=False)

    def finish(self) -> list[tuple[Channel, str]]:
        """Give what was held back; a broken last character becomes U+FFFD."""
        return self._advance(self._decoder.decode(b"", final=True), final=True)

    def _advance(self, new: str, *, final: bool) -> list[tuple[Channel, str]]:
        if self.stopped:
            return []
        self._held += new
        out: list[tuple[Channel, str]] = []
        while self._held and not self.stopped:
            if self._channel is None and not self._open_channel(final=final):
                break
            if self._trims:  # the line breaks that set a reasoning block apart
                self._held = self._held.lstrip("\n")
                self._trims = not self._held
                continue
            marks = (THINK_CLOSE,) if self._channel == "reasoning" else self.stop
            at, mark = _find_first(self._held, marks)
            if at >= 0:
                self._say(out, self._held[:at])
                self._held = self._held[at + len(mark) :]
                if self._channel == "answer":
                    self.stopped, self._held = True, ""
                else:
                    self._channel, self._trims = "answer", True
                continue
            keep = 0 if final else _longest_open(self._held, marks)
            self._say(out, self._held[: len(self._held) - keep])
            self._held = self._held[len(self._held) - keep :]
            break
        return out

    def _open_channel(self, *, final: bool) -> bool:
        """Decide where the answer begins; False while that is not yet certain."""
        if self.starts_reasoning:
            self._channel = "reasoning"
            return True
        start = self._held.lstrip()
        if self.splits_reasoning and start.startswith(THINK_OPEN):
            self._channel, self._trims = "reasoning", True
            self._held = start[len(THINK_OPEN) :]
            return bool(self._held)
        if self.splits_reasoning and not final and THINK_OPEN.startswith(start):
            return False
        self._channel = "answer"
        return True

    def _say(self, out: list[tuple[Channel, str]], text: str) -> None:
        if not text:
            return
        channel = self._channel or "answer"
        if channel == "answer":
            self.text += text
        else:
            self.reasoning += text
        out.append((channel, text))


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
