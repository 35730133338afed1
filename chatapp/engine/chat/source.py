"""Text that is read while it is still being written, and JSON within it."""

from __future__ import annotations

import re
from collections.abc import Generator, Sequence

Reading = Generator[None, None, bool]
"""Code that reads on whenever more text has come; its result says whether it found its thing."""

_SPACE = re.compile(r"\s*")
_IN_STRING = re.compile(r'[^"\\]*')
_STRUCTURE = re.compile(r'[{}\[\]"]')
_SCALAR = re.compile(r"[^\s,\]}<>\[{|]*")


def common_start(texts: Sequence[Sequence[str]]) -> int:
    """How many elements all begin with."""
    count = 0
    for group in zip(*texts, strict=False):
        if any(one != group[0] for one in group):
            break
        count += 1
    return count


class Source:
    """The text so far. Places in it are indices that stay valid until `forget`."""

    def __init__(self) -> None:
        self.text = ""
        self.at = 0
        """Where the next character to be read stands."""
        self.base = 0
        """Characters that were dropped before `text`."""
        self.ended = False
        self.most_ahead: int | None = None
        """Characters that may be read before a call's name is known; None: any number. It is set
        once one was looked for in vain for long, lest the same text be read again and again."""

    @property
    def rest(self) -> str:
        """The rest of the text, which has not been read."""
        return self.text[self.at :]

    def forget(self) -> None:
        """Drop what has been read, when it is much; places change."""
        if self.at > 1 << 14 and self.at > len(self.text) // 2:
            self.base += self.at
            self.text, self.at = self.text[self.at :], 0

    def add(self, piece: str) -> None:
        """Put one more piece of text behind what has come so far."""
        text, self.text = self.text, ""
        text += piece  # nobody else holds it, so that Python need not copy it
        self.text = text

    def skip_space(self, place: int) -> Generator[None, None, int]:
        """The next place that holds no white space; the end, if there is none."""
        while True:
            found = _SPACE.match(self.text, place)
            place = found.end() if found else place
            if place < len(self.text) or self.ended:
                return place
            yield

    def match(self, atoms: Sequence[str], place: int) -> Generator[None, None, int]:
        """The place behind `atoms`, with any white space before and between; -1 if not there."""
        for atom in atoms:
            place = yield from self.skip_space(place)
            while len(self.text) - place < len(atom) and not self.ended:
                if not atom.startswith(self.text[place:]):
                    return -1
                yield
            if not self.text.startswith(atom, place):
                return -1
            place += len(atom)
        return place

    def find(self, mark: str, place: int) -> Generator[None, None, int]:
        """Where `mark` stands from `place` on; -1 when the text ends without it."""
        while (found := self.text.find(mark, place)) < 0:
            if self.ended:
                return -1
            place = max(place, len(self.text) - len(mark) + 1)
            yield
        return found


class JsonScan:
    """Finds where one JSON value ends, however it is cut into pieces."""

    def __init__(self, place: int) -> None:
        self.place = place
        self.done = False
        self._depth = 0
        self._in_string = False

    def run(self, text: str, *, ended: bool) -> bool:
        """Read as far as there is text; whether the value is whole. `place` is where it ends."""
        while not self.done and self.place < len(text):
            if self._in_string:
                if not self._read_string(text):
                    break
            elif self._depth:
                self._read_structure(text)
            else:
                self._begin(text, ended=ended)
                if not self.done and not (self._depth or self._in_string):
                    break  # the scalar may go on
        return self.done

    def _begin(self, text: str, *, ended: bool) -> None:
        first = text[self.place]
        if first in "{[":
            self._depth = 1
            self.place += 1
        elif first == '"':
            self._in_string = True
            self.place += 1
        else:
            found = _SCALAR.match(text, self.place)
            end = found.end() if found else self.place
            self.done = end < len(text) or ended
            if self.done:
                self.place = end

    def _read_string(self, text: str) -> bool:
        """Read on in a string; False where a backslash is the last character so far."""
        found = _IN_STRING.match(text, self.place)
        self.place = found.end() if found else self.place
        if self.place >= len(text):
            return True
        if text[self.place] == '"':
            self._in_string = False
            self.place += 1
            self.done = not self._depth
            return True
        if self.place + 1 == len(text):
            return False
        self.place += 2
        return True

    def _read_structure(self, text: str) -> None:
        found = _STRUCTURE.search(text, self.place)
        if not found:
            self.place = len(text)
            return
        self.place = found.end()
        if found[0] == '"':
            self._in_string = True
        else:
            self._depth += 1 if found[0] in "{[" else -1
            self.done = self._depth == 0
