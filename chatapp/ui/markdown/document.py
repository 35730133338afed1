"""A Markdown document that is written while it is read.

`StreamingMarkdown.feed` costs what it is given plus the open line, at any length: complete lines
are read once and for good; what the incomplete last line would mean is drawn for now and taken
back at the next feed. The lines depend on the text alone, not on how it was cut into pieces.
"""

from bisect import bisect_right
from collections.abc import Iterable

from chatapp.ui.markdown.blocks import PIECE, Block
from chatapp.ui.markdown.fence import FenceBlock
from chatapp.ui.markdown.flow import Line, Mark, Run
from chatapp.ui.markdown.places import Code, Link, Span, find_code, find_links, find_text
from chatapp.ui.markdown.raw import RawReader
from chatapp.ui.markdown.reader import BlockReader
from chatapp.ui.markdown.table import TableBlock

_MAX_ROW = 8 * PIECE
"""Longest row of a table; any other line is taken in pieces of `PIECE` characters."""


class StreamingMarkdown:
    """Source in, drawn lines out. Widths are terminal cells.

    `measure`: the longest line of prose; 0: as wide as the window. Code and tables take the whole
    width. `centred`: prose stands in the middle, and so does what is no wider than prose. `raw`:
    the source is shown as it was written.
    """

    def __init__(
        self, source: str = "", *, measure: int = 0, centred: bool = False, raw: bool = False
    ) -> None:
        self.blocks: list[Block] = []
        self.measure = measure
        self.centred = centred
        self.changed = 0
        """Blocks before this one are as they were before the last `feed`."""
        self._reader: BlockReader | RawReader = (RawReader if raw else BlockReader)(self.blocks)
        self._line_starts = [0]
        self._length = 0
        self._coloured = 0
        """Blocks before this one have the colours they keep."""
        self._marked: set[tuple[int, int]] = set()
        self._current: FenceBlock | None = None
        self._tail = ""
        self._within = False
        self._saved: object = None
        self._layout = 0, 0, False
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
                self._next_line(position - len(self._tail))
            elif len(buffer) > limit:
                self._read(buffer[position:limit])
                self._within, position = True, limit
            else:
                break
        self._length += len(text)
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

    @property
    def is_behind(self) -> bool:
        """Whether `colour_more` has something to do."""
        while self._coloured < len(self.blocks):
            block = self.blocks[self._coloured]
            if isinstance(block, FenceBlock) and (block.is_behind or not block.is_closed):
                return block.is_behind
            if self._coloured == len(self.blocks) - 1:  # the last block may be taken back
                return False
            self._coloured += 1
        return False

    def colour_more(self) -> None:
        """Colour a slice of the closed code that is still coloured in chunks (1 to 4 ms)."""
        if self.is_behind:
            fence = self.blocks[self._coloured]
            assert isinstance(fence, FenceBlock)
            if fence.colour_more():
                self.changed = min(self.changed, self._coloured)

    def take_back(self, count: int) -> bool:
        """Forget the last `count` characters; False, and nothing is done, unless all of them
        stand in the open line."""
        if count > len(self._tail):
            return False
        self._tail = self._tail[: len(self._tail) - count]
        self._length -= count
        self.feed("")
        return True

    def height(self, width: int) -> int:
        """Rows in all."""
        layout = width, self.measure, self.centred
        if layout != self._layout:
            self._layout = layout
            self._ends.clear()
        for block in self.blocks[len(self._ends) :]:
            above = self._ends[-1] if self._ends else 0
            self._ends.append(above + block.gap + block.height(self._frame(block, width)[1]))
        return self._ends[-1] if self._ends else 0

    def line(self, y: int, width: int) -> Line:
        """Row `y`, which must be less than `height(width)`."""
        self.height(width)
        index = bisect_right(self._ends, y)
        block = self.blocks[index]
        row = y - self._top(index)
        margin, inner = self._frame(block, width)
        line = Line(block.lead.gap) if row < 0 else block.line(row, inner)
        if not margin:
            return line
        return line._replace(runs=[Run(" " * margin), *line.runs], lead=line.lead + margin)

    def changed_from(self, width: int) -> int:
        """The first row that the last `feed` may have changed."""
        self.height(width)
        if not self.blocks:
            return 0
        block = self.blocks[self.changed]
        steady = block.steady(self._frame(block, width)[1])
        top = self._top(self.changed)
        return top + steady if steady else top - block.gap

    # What a cursor and a search need -------------------------------------------------------------

    def code_blocks(self) -> list[Code]:
        """The blocks of code, from the top."""
        return find_code(self.blocks)

    def links(self) -> list[Link]:
        """Links, images and bare addresses, from the top."""
        return find_links(self.blocks)

    def find(self, wanted: str) -> list[Span]:
        """Where `wanted` stands in what is drawn, in any case."""
        return list(find_text(self.blocks, wanted))

    def rows_of(self, place: Span | Code, width: int) -> tuple[int, int]:
        """First and last row of `place`."""
        self.height(width)
        top = self._top(place.block)
        if isinstance(place, Code):
            return top, self._ends[place.block] - 1
        block = self.blocks[place.block]
        inner = self._frame(block, width)[1]
        first = block.row_in(place.text, place.start, inner)
        last = block.row_in(place.text, max(place.end - 1, place.start), inner)
        return top + first, top + last

    def row_of(self, offset: int, width: int) -> int:
        """The row that shows character `offset` of the source, or where it would be if it is
        markup. Exact in code and raw text; in prose as near as the markup before it allows."""
        if not self.height(width):
            return 0
        number = bisect_right(self._line_starts, offset) - 1
        index = bisect_right(self.blocks, number, key=lambda block: block.source_line) - 1
        block = self.blocks[max(index, 0)]
        start = self._line_starts[number]
        after = self._line_starts[number + 1 : number + 2] or [self._length + 1]
        share = min(max(offset - start, 0) / max(after[0] - 1 - start, 1), 1.0)
        inner = self._frame(block, width)[1]
        line = max(number - block.source_line, 0)
        row = block.row_of_line(line, share, inner)
        return self._top(max(index, 0)) + min(row, block.height(inner) - 1)

    def mark_spans(self, marks: Iterable[tuple[Span, str]]) -> None:
        """Make these stand out, each in its style, and nothing else. Whoever draws this draws all
        of it again."""
        by_text: dict[tuple[int, int], list[Mark]] = {key: [] for key in self._marked}
        for span, style in marks:
            by_text.setdefault((span.block, span.text), []).append(Mark(*span[2:], style))
        for (block, text), found in by_text.items():
            if block < len(self.blocks):
                self.blocks[block].set_marks(text, found)
        self._marked = {key for key, found in by_text.items() if found}

    def mark_code(self, code: Code | None) -> None:
        """Draw this block of code, and no other, as the one a cursor stands on."""
        if self._current is not None:
            self._current.is_current = False
        block = self.blocks[code.block] if code is not None else None
        self._current = block if isinstance(block, FenceBlock) else None
        if self._current is not None:
            self._current.is_current = True

    def _top(self, index: int) -> int:
        """The first row of a block, below its gap."""
        return (self._ends[index - 1] if index else 0) + self.blocks[index].gap

    def _frame(self, block: Block, width: int) -> tuple[int, int]:
        """Cells left of a block, and cells for it."""
        measure = min(self.measure or width, width)
        margin = (width - measure) // 2 if self.centred else 0
        if block.is_prose:
            return margin, measure
        if margin and isinstance(block, FenceBlock | TableBlock) and block.longest() <= measure:
            return margin, measure
        return 0, width

    def _next_line(self, start: int) -> None:
        self._line_starts.append(self._length + start)
        self._reader.line_number += 1

    def _limit(self, buffer: str, position: int) -> int:
        if self._within:
            return PIECE
        row = self._reader.in_table or buffer.startswith("|", position)
        return _MAX_ROW if row else PIECE

    def _take_back(self) -> None:
        self._reader.restore(self._saved)
        self._saved = None
        self.changed = max(len(self.blocks) - 1, 0)
        self._coloured = min(self._coloured, self.changed)
        del self._ends[self.changed :]

    def _read(self, text: str) -> None:
        if self._within:
            self._reader.continue_line(text)
        else:
            self._reader.read_line(text)
        self._reader.settle()
