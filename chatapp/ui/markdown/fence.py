"""A block of code. Long lines wrap, with a sign in the margin; copying puts them together again.

A line is coloured when the next one starts, with the lines of its chunk before it. When the fence
closes it is coloured as a whole, since a string may span chunks: at once if it is short, else in
slices (`colour_more`) while the colours of the chunks are seen; not at all if it is longer than
`WHOLE`. What is never seen is not coloured in chunks.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from itertools import islice

from rich.cells import cell_len

from chatapp.ui.markdown.blocks import Block, Lead
from chatapp.ui.markdown.flow import Line, Mark, Run, fold, overlay
from chatapp.ui.markdown.syntax import colour_lines

CHUNK = 16
"""Lines coloured together while a fence is open."""

WHOLE = 32_768
"""Longest fence that is coloured as a whole, in characters (40 to 120 ms in slices)."""

AT_ONCE = 1_024
"""Longest fence that is coloured as a whole at once, and a slice, in characters (1 to 4 ms)."""

_MAX_CHUNK = 4_096
"""A longer chunk stays plain while the fence is open."""

_MAX_COLOURED = 2048
"""With a line longer than this code stays plain: it is data, and lexers are not all linear."""


WRAPPED = "↪"
"""In the margin of a row that goes on with the line above. Copying leaves the margin out."""


class FenceBlock(Block):
    """Lines of code in one language; `info` is what stands behind the opening fence."""

    kind = "fence"
    is_prose = False

    def __init__(self, lead: Lead, gap: int, info: str | None = None) -> None:
        super().__init__(lead, gap)
        self.language = info.split()[0].strip("{}.")[:24] if info else ""
        self.is_current = False
        """Whether a cursor stands on it."""
        self.is_fenced = info is not None
        self._info = info or ""
        self._source: list[str] = []
        self._lines: list[str] = []
        self._rows: list[tuple[int, int, int]] = []
        self._width = 0
        self._coloured: dict[int, list[Run]] = {}
        self._marks: dict[int, Sequence[Mark]] = {}
        self._size = self._longest = 0
        self._closed = False
        self._steady = 0
        self._whole: list[list[Run]] = []
        self._steps: Iterator[list[Run]] | None = None
        """What colours the closed fence line by line; `_whole` holds the lines that are done."""

    def add_line(self, text: str) -> None:
        """A complete line, or the one that is being written."""
        self._note_change(len(self._lines))
        self._source.append(text)
        self._lines.append(text.expandtabs(4))
        self._size += len(text)
        self._longest = max(self._longest, cell_len(self._lines[-1]))

    def extend_line(self, text: str) -> None:
        """More of the last line."""
        start = self._source.pop() if self._source else ""
        del self._lines[len(self._source) :]
        self._forget_from(len(self._lines))
        self._source.append(start + text)
        self._lines.append(self._source[-1].expandtabs(4))
        self._size += len(text)
        self._longest = max(self._longest, len(self._source[-1]))

    def mark(self) -> object:
        last = self._source[-1] if self._source else ""
        return len(self._source), last, self._size, self._longest, self._closed

    def restore(self, mark: object) -> None:
        assert isinstance(mark, tuple)
        count, last, self._size, self._longest, closed = mark
        if closed != self._closed:
            self._closed, self._steady, self._steps = closed, 0, None
            self._coloured.clear()
        changed = count - 1 if count and self._source[count - 1] != last else count
        del self._source[count:], self._lines[count:]
        if changed < count:
            self._source[changed] = last
            self._lines[changed] = last.expandtabs(4)
        self._forget_from(changed)

    def close(self) -> None:
        self._closed = True
        self._note_change(len(self._lines))
        if self._size <= AT_ONCE:
            self._coloured.clear()
            self._steady = 0
        elif self._size <= WHOLE and self._longest <= _MAX_COLOURED and self.language:
            self._whole, self._steps = [], colour_lines(self._lines, self.language)

    @property
    def is_closed(self) -> bool:
        """Whether no line will be added."""
        return self._closed

    @property
    def is_behind(self) -> bool:
        """Whether `colour_more` has something to do."""
        return self._steps is not None

    def colour_more(self) -> bool:
        """Colour a slice of the closed fence; True when that was the last, and all of it is drawn
        again."""
        if self._steps is None:
            return False
        size = 0
        for runs in self._steps:
            self._whole.append(runs)
            size += sum(len(run.text) for run in runs) + 1
            if size >= AT_ONCE:
                return False
        self._coloured = dict(enumerate(self._whole[: len(self._lines)]))
        self._whole, self._steps, self._steady = [], None, 0
        return True

    def watch(self) -> None:
        self._steady = len(self._lines)

    def steady(self, width: int) -> int:
        self._lay_out(width)
        if not self._steady:
            return 0
        return bisect_left(self._rows, (self._steady, 0, 0)) + self._head(width)

    @property
    def code(self) -> str:
        """The source, as it would be saved to a file: with its tabs, without what it stands in."""
        return "\n".join(self._source)

    def texts(self) -> list[str]:
        return self._lines

    def set_marks(self, number: int, marks: Sequence[Mark]) -> None:
        self._marks[number] = marks

    def row_in(self, number: int, offset: int, width: int) -> int:
        self._lay_out(width)
        row = bisect_right(self._rows, (number, offset, len(self._lines[number]) + 1)) - 1
        return row + self._head(width)

    def row_of_line(self, line: int, share: float, width: int) -> int:
        number = min(line - self.is_fenced, len(self._lines) - 1)
        if number < 0:
            return 0
        return self.row_in(number, int(share * len(self._lines[number])), width)

    def longest(self) -> int:
        """Cells of the longest line with the margins, near enough."""
        return self._longest + 2 + self.lead.cells

    def height(self, width: int) -> int:
        self._lay_out(width)
        return max(len(self._rows) + self._head(width), 1)

    def line(self, y: int, width: int) -> Line:
        self._lay_out(width)
        head = self._head(width)
        if y < head:
            starts = [0, *fold(self._info, self._inner(width)), len(self._info)]
            runs = [Run(self._info[starts[y] : starts[y + 1]], "fence-label")]
            return self._with_margin(y, runs, " ", "" if y else "\n", width)
        if not self._rows:
            return self._with_margin(y, [], " ", "\n", width)
        number, start, end = self._rows[y - head]
        runs = overlay(_cut(self._colours(number), start, end), start, self._marks.get(number, ()))
        sign, joint = (WRAPPED, "") if start else (" ", "\n")
        return self._with_margin(y, runs, sign, joint, width)

    def _with_margin(self, y: int, runs: list[Run], sign: str, joint: str, width: int) -> Line:
        if self.is_current:
            margin = Run("┃" if sign == " " else sign, "fence current")
        else:
            margin = Run(sign, "fence" if sign == " " else "fence-label")
        return self.with_lead(y, Line([margin, *runs], 1, joint, "fence"), width)

    def _inner(self, width: int) -> int:
        return max(self.inner_width(width) - 2, 1)

    def _head(self, width: int) -> int:
        """Rows of the label."""
        return len(fold(self._info, self._inner(width))) + 1 if self._info else 0

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
            self._width, self._steady = width, 0
            self._rows.clear()
        inner = self._inner(width)
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
            whole = self._closed and self._size <= AT_ONCE
            start = 0 if whole else number - number % CHUNK
            lines = self._lines[start : end if whole else min(start + CHUNK, end)]
            plain = any(len(line) > _MAX_COLOURED for line in lines)
            plain = plain or sum(map(len, lines)) > _MAX_CHUNK
            coloured = colour_lines(lines, "" if plain else self.language)
            for index, runs in enumerate(islice(coloured, len(lines)), start):
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
