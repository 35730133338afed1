"""A block of code. Long lines wrap; copying puts them together again.

A line is coloured when the next one starts, with the lines of its chunk before it, and once more
with the whole fence when that closes (a string may span chunks), unless it is longer than `WHOLE`.
Colouring happens when a line is drawn, so what is never seen is never coloured.
"""

from bisect import bisect_left

from chatapp.ui.markdown.blocks import Block, Lead
from chatapp.ui.markdown.flow import Line, Run, fold
from chatapp.ui.markdown.syntax import highlight

CHUNK = 16
"""Lines coloured together while a fence is open."""

WHOLE = 32_768
"""Longest fence that is coloured as a whole, in characters (about 40 ms)."""

_MAX_COLOURED = 2048
"""A chunk with a line longer than this stays plain: it is data, and lexers are not all linear."""


class FenceBlock(Block):
    """Lines of code in one language."""

    kind = "fence"

    def __init__(self, lead: Lead, gap: int, language: str = "") -> None:
        super().__init__(lead, gap)
        self.language = language
        self._lines: list[str] = []
        self._rows: list[tuple[int, int, int]] = []
        self._width = 0
        self._coloured: dict[int, list[Run]] = {}
        self._size = 0
        self._closed = False
        self._head = 1 if language else 0
        self._steady = 0

    def add_line(self, text: str) -> None:
        """A complete line, or the one that is being written."""
        self._note_change(len(self._lines))
        self._lines.append(text)
        self._size += len(text)

    def extend_line(self, text: str) -> None:
        """More of the last line."""
        start = self._lines.pop() if self._lines else ""
        self._forget_from(len(self._lines))
        self._lines.append(start + text)
        self._size += len(text)

    def mark(self) -> object:
        last = self._lines[-1] if self._lines else ""
        return len(self._lines), last, self._size, self._closed

    def restore(self, mark: object) -> None:
        assert isinstance(mark, tuple)
        count, last, self._size, closed = mark
        if closed != self._closed:
            self._closed, self._steady = closed, 0
            self._coloured.clear()
        changed = count - 1 if count and self._lines[count - 1] != last else count
        del self._lines[count:]
        if changed < count:
            self._lines[changed] = last
        self._forget_from(changed)

    def close(self) -> None:
        self._closed = True
        self._coloured.clear()
        self._steady = 0

    def watch(self) -> None:
        self._steady = len(self._lines)

    def steady(self, width: int) -> int:
        self._lay_out(width)
        return bisect_left(self._rows, (self._steady, 0, 0)) + self._head

    @property
    def code(self) -> str:
        """The source, as it would be saved to a file."""
        return "\n".join(self._lines)

    def height(self, width: int) -> int:
        self._lay_out(width)
        return max(len(self._rows) + self._head, 1)

    def line(self, y: int, width: int) -> Line:
        self._lay_out(width)
        if y < self._head:
            return self.with_lead(
                y, Line([Run(f" {self.language}", "fence-label")], 0, "\n", "fence")
            )
        if not self._rows:
            return self.with_lead(y, Line([], 0, "\n", "fence"))
        number, start, end = self._rows[y - self._head]
        runs = _cut(self._colours(number), start, end)
        joint = "" if start else "\n"
        return self.with_lead(y, Line([Run(" ", "fence"), *runs], 1, joint, "fence"))

    def _forget_from(self, number: int) -> None:
        while self._rows and self._rows[-1][0] >= number:
            self._rows.pop()
        self._note_change(number)
        for key in range(number, number + CHUNK):
            self._coloured.pop(key, None)

    def _note_change(self, number: int) -> None:
        """The line before gets its colours when it is not the last one any more."""
        self._steady = min(self._steady, max(number - 1, 0))

    def _lay_out(self, width: int) -> None:
        if width != self._width:
            self._width = width
            self._rows.clear()
        inner = max(self.inner_width(width) - 2, 1)
        for number in range(self._rows[-1][0] + 1 if self._rows else 0, len(self._lines)):
            text = self._lines[number]
            starts = [0, *fold(text, inner)]
            ends = [*starts[1:], len(text)]
            self._rows += [(number, start, end) for start, end in zip(starts, ends, strict=True)]

    def _colours(self, number: int) -> list[Run]:
        if number not in self._coloured:
            end = len(self._lines) - (not self._closed)
            if number >= end:
                return [Run(self._lines[number], "fence")]
            whole = self._closed and self._size <= WHOLE
            start = 0 if whole else number - number % CHUNK
            lines = self._lines[start : end if whole else min(start + CHUNK, end)]
            plain = any(len(line) > _MAX_COLOURED for line in lines)
            coloured = highlight(lines, "" if plain else self.language)
            for index, runs in enumerate(coloured, start):
                self._coloured.setdefault(index, runs)  # a drawn line keeps its colours
        return self._coloured[number]


def _cut(runs: list[Run], start: int, end: int) -> list[Run]:
    cut: list[Run] = []
    position = 0
    for run in runs:
        text = run.text[max(start - position, 0) : max(end - position, 0)]
        if text:
            cut.append(run._replace(text=text))
        position += len(run.text)
    return cut
