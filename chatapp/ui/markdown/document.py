"""A Markdown document that is written while it is read.

`StreamingMarkdown.feed` costs what it is given plus the open line, at any length: complete lines
are read once and for good; what the incomplete last line would mean is drawn for now and taken
back at the next feed. The lines depend on the text alone, not on how it was cut into pieces.
"""

from bisect import bisect_right

from chatapp.ui.markdown.blocks import PIECE, Block
from chatapp.ui.markdown.flow import Line
from chatapp.ui.markdown.reader import BlockReader

_MAX_ROW = 8 * PIECE
"""Longest row of a table; any other line is taken in pieces of `PIECE` characters."""


class StreamingMarkdown:
    """Source in, drawn lines out. Widths are terminal cells."""

    def __init__(self, source: str = "") -> None:
        self.blocks: list[Block] = []
        self.changed = 0
        """Blocks before this one are as they were before the last `feed`."""
        self._reader = BlockReader(self.blocks)
        self._tail = ""
        self._within = False
        self._saved: object = None
        self._width = 0
        self._ends: list[int] = []
        if source:
            self.feed(source)

    def feed(self, text: str) -> None:
        """Add `text` to the end."""
        self._take_back()
        buffer = self._tail + text
        position = 0
        while True:
            limit = position + self._limit(buffer, position)
            newline = buffer.find("\n", position, limit + 1)
            if newline >= 0:
                self._read(buffer[position:newline])
                self._within, position = False, newline + 1
            elif len(buffer) > limit:
                self._read(buffer[position:limit])
                self._within, position = True, limit
            else:
                break
        self._tail = buffer[position:]
        if self._tail and (self._within or not self._reader.is_undecided(self._tail)):
            self._saved = self._reader.save()
            if self._within:
                self._reader.continue_line(self._tail)
            else:
                self._reader.read_line(self._tail, complete=False)

    def finish(self) -> None:
        """Nothing follows: the last line is complete."""
        self._take_back()
        if self._tail:
            self._read(self._tail)
        self._tail, self._within = "", False
        self._reader.close()

    def take_back(self, count: int) -> bool:
        """Forget the last `count` characters; False, and nothing is done, unless all of them
        stand in the open line."""
        if count > len(self._tail):
            return False
        self._tail = self._tail[: len(self._tail) - count]
        self.feed("")
        return True

    def height(self, width: int) -> int:
        """Rows in all."""
        if width != self._width:
            self._width = width
            self._ends.clear()
        for block in self.blocks[len(self._ends) :]:
            above = self._ends[-1] if self._ends else 0
            self._ends.append(above + block.gap + block.height(width))
        return self._ends[-1] if self._ends else 0

    def line(self, y: int, width: int) -> Line:
        """Row `y`, which must be less than `height(width)`."""
        self.height(width)
        index = bisect_right(self._ends, y)
        block = self.blocks[index]
        row = y - (self._ends[index - 1] if index else 0) - block.gap
        return Line(block.lead.gap) if row < 0 else block.line(row, width)

    def changed_from(self, width: int) -> int:
        """The first row that the last `feed` may have changed."""
        self.height(width)
        if not self.blocks:
            return 0
        block = self.blocks[self.changed]
        above = self._ends[self.changed - 1] if self.changed else 0
        steady = block.steady(width)
        return above + block.gap + steady if steady else above

    def _limit(self, buffer: str, position: int) -> int:
        if self._within:
            return PIECE
        row = self._reader.in_table or buffer.startswith("|", position)
        return _MAX_ROW if row else PIECE

    def _take_back(self) -> None:
        self._reader.restore(self._saved)
        self._saved = None
        self.changed = max(len(self.blocks) - 1, 0)
        del self._ends[self.changed :]

    def _read(self, text: str) -> None:
        if self._within:
            self._reader.continue_line(text)
        else:
            self._reader.read_line(text)
        self._reader.settle()
