"""Styled text that wraps to a width and grows at its end.

Promises that adding to the end costs what was added, whatever came before, and that the lines do
not depend on how the text arrived. Widths are terminal cells. The surprising fact: Chinese,
Japanese and Korean text has no spaces, so every wide character is a place to break, except
before closing and after opening punctuation.
"""

import re
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from rich.cells import cell_len, split_graphemes


class Run(NamedTuple):
    """Text in one style."""

    text: str
    style: str = ""
    """Names of styles, separated by spaces; the widget that draws gives them a look."""
    href: str = ""
    """Where a link leads. It comes from the text, so it is not to be trusted."""
    action: str = ""
    """What a click does in the widget that draws this. Never from the text."""


class Mark(NamedTuple):
    """Characters of a text that stand out, in a style laid over their own."""

    start: int
    end: int
    style: str


class Line(NamedTuple):
    """One row on the screen."""

    runs: Sequence[Run]
    lead: int = 0
    """How many characters at the start are decoration, which copying leaves out."""
    joint: str = "\n"
    """What stood in the text between the line above and this one: "" or " " where it wrapped."""
    fill: str = ""
    """Style of the cells after the text, up to the width."""


_WIDE = (
    "\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60"
    "\uffe0-\uffe6\U00020000-\U0003fffd"
)
_OPENING = "（「『【〈《〔［｛“‘"
_CLOSING = "、。，．：；？！）」』】〉》〕］｝…—～ー々”’,.!?:;)"
_UNIT = re.compile(
    rf"\n|[{_OPENING}]*[{_WIDE}][\ufe00-\ufe0f\u3099\u309a]*[{_CLOSING}]* *"
    rf"|[^\s{_WIDE}]+ *| +|[^\S\n ]"
)
_ASCII_UNIT = re.compile(r"\n|\S+ *| +|[^\S\n ]")


def fold(text: str, width: int) -> list[int]:
    """Offsets in `text`, without 0, where lines start when it is cut at exactly `width` cells."""
    if text.isascii():
        return list(range(width, len(text), width))
    starts: list[int] = []
    column = 0
    for start, _, cells in split_graphemes(text)[0]:
        if column + cells > width and column:
            starts.append(start)
            column = 0
        column += cells
    return starts


def wrap(text: str, width: int) -> list[int]:
    """Offsets in `text`, without 0, where lines start when it is wrapped at words."""
    starts: list[int] = []
    column = 0
    units = _ASCII_UNIT if text.isascii() else _UNIT
    for found in units.finditer(text):
        unit = found.group()
        if unit == "\n":
            starts.append(found.end())
            column = 0
            continue
        word = unit.rstrip(" ")
        cells = cell_len(word)
        if column and column + cells > width:
            starts.append(found.start())
            column = 0
        if cells > width:
            cuts = [found.start() + offset for offset in fold(word, width)]
            starts += cuts
            cells = cell_len(text[cuts[-1] : found.start() + len(word)]) if cuts else cells
        column += cells + len(unit) - len(word)
    return starts


def overlay(runs: list[Run], start: int, marks: Iterable[Mark]) -> list[Run]:
    """`runs`, which begin at the character `start`, with `marks` laid over them."""
    for mark in marks:
        end = start + sum(len(run.text) for run in runs)
        if mark.end > start and mark.start < end:
            runs = restyle(runs, mark.start - start, mark.end - start, mark.style)
    return runs


def restyle(runs: Sequence[Run], start: int, end: int, style: str) -> list[Run]:
    """`runs` with `style` laid over the characters from `start` to `end`."""
    out: list[Run] = []
    position = 0
    for run in runs:
        text = run.text
        begin, stop = (max(min(at - position, len(text)), 0) for at in (start, end))
        parts = ((text[:begin], ""), (text[begin:stop], style), (text[stop:], ""))
        out += [
            run._replace(text=part, style=f"{run.style} {name}".strip())
            for part, name in parts
            if part
        ]
        position += len(text)
    return out


class Flow:
    """A growing sequence of runs, wrapped. Its tail can be replaced; what is before it cannot."""

    def __init__(self, runs: Iterable[Run] = ()) -> None:
        self._runs: list[Run] = []
        self._ends: list[int] = []
        self._fixed = 0
        self._width = 0
        self._starts = [0]
        self._wrapped = False
        self.steady = 0
        """Rows that no change has touched since this was last set."""
        self.marks: Sequence[Mark] = ()
        """What stands out; whoever sets it draws again."""
        self.set_tail(runs)

    @property
    def length(self) -> int:
        """Characters in all."""
        return self._ends[-1] if self._ends else 0

    def set_tail(self, runs: Iterable[Run]) -> None:
        """Replace what follows the fixed part by `runs`."""
        self._truncate(self._fixed)
        for run in runs:
            if run.text:
                self._runs.append(run)
                self._ends.append(self.length + len(run.text))
        self._wrapped = False

    def fix_tail(self) -> None:
        """Make the tail part of what stays."""
        self._fixed = len(self._runs)

    def height(self, width: int) -> int:
        """Rows at `width` cells; at least 1."""
        self._wrap(width)
        return len(self._starts)

    def line(self, y: int, width: int) -> tuple[list[Run], str]:
        """The runs of row `y` and its joint (see `Line`)."""
        self._wrap(width)
        start = self._starts[y]
        end = self._starts[y + 1] if y + 1 < len(self._starts) else self.length
        runs = overlay(self._slice(start, end), start, self.marks)
        while runs and not (text := runs[-1].text.rstrip(" \n")):
            runs.pop()
        if runs and text != runs[-1].text:
            runs[-1] = runs[-1]._replace(text=text)
        if y == 0:
            return runs, "\n"
        before = self._slice(start - 1, start)[0].text
        return runs, before if before in "\n " else ""

    @property
    def runs(self) -> Sequence[Run]:
        """The text in its pieces, each with one style, in order."""
        return self._runs

    @property
    def text(self) -> str:
        """The text of all runs, without their styles."""
        return "".join(run.text for run in self._runs)

    def row_of(self, offset: int, width: int) -> int:
        """The row in which the character at `offset` is drawn."""
        self._wrap(width)
        return bisect_right(self._starts, offset) - 1

    def cells(self) -> int:
        """Width of the longest line before wrapping."""
        return max((cell_len(line) for line in self.text.split("\n")), default=0)

    def least(self) -> int:
        """Width of the longest word."""
        return max((cell_len(unit.rstrip(" ")) for unit in _UNIT.findall(self.text)), default=0)

    def _truncate(self, count: int) -> None:
        del self._runs[count:], self._ends[count:]
        # A row that starts at or after the cut may have to move; so may the row before it, when
        # its last word goes on in the new tail.
        cut = self.length
        while len(self._starts) > 1 and self._starts[-1] >= cut:
            self._starts.pop()
        if len(self._starts) > 1:
            self._starts.pop()
        self.steady = min(self.steady, len(self._starts) - 1)
        self._wrapped = False

    def _wrap(self, width: int) -> None:
        width = max(width, 1)
        if width != self._width:
            self._width = width
            self._starts = [0]
        elif self._wrapped:
            return
        base = self._starts[-1]
        text = "".join(run.text for run in self._slice(base, self.length))
        self._starts += [base + offset for offset in wrap(text, width)]
        self._wrapped = True

    def _slice(self, start: int, end: int) -> list[Run]:
        index = bisect_right(self._ends, start)
        runs: list[Run] = []
        position = self._ends[index - 1] if index else 0
        while position < end and index < len(self._runs):
            run = self._runs[index]
            text = run.text[max(start - position, 0) : end - position]
            runs.append(run if text == run.text else run._replace(text=text))
            position = self._ends[index]
            index += 1
        return runs
