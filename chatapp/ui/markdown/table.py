"""A table: cells wrap in columns that share the width, and where that leaves no room for words,
each row becomes a record of lines `header: value`. Nothing is cut off at the right.

A new row costs one row, unless it makes a column wider: then the heights are counted again, which
is why the row that is still being written does so only while the table is short.
"""

import re
from bisect import bisect_right
from collections.abc import Sequence

from rich.cells import cell_len

from chatapp.ui.markdown.blocks import Block, Lead
from chatapp.ui.markdown.flow import Flow, Line, Mark, Run
from chatapp.ui.markdown.inline import parse_inline

_SEPARATOR = " │ "
_CROSSING = "─┼─"
_EAGER_ROWS = 32
"""Tables of up to this many rows follow the row that is being written."""

_WORD = 12
"""A column gets room for its longest word, but for no more cells than this."""

MAX_COLUMNS = 64
"""What is in further columns is shown in the last one."""

_BREAK = re.compile(r"<br\s*/?>", re.IGNORECASE)


def split_cells(row: str, limit: int = MAX_COLUMNS) -> list[str]:
    """The cells of `| a | b |`; a pipe behind a backslash belongs to its cell. Of more than `limit`
    cells, the last one holds the rest."""
    text = row.strip()
    text = text[1:] if text.startswith("|") else text
    if text.endswith("|") and not text.endswith("\\|"):
        text = text[:-1]
    cells = text.replace("\\|", "\x00").split("|", limit - 1)
    return [cell.replace("\x00", "|").strip() for cell in cells]


class TableBlock(Block):
    """A header and rows of cells."""

    kind = "table"
    is_prose = False

    def __init__(self, lead: Lead, gap: int, header: str, delimiter: str) -> None:
        super().__init__(lead, gap)
        self._aligns = [_alignment(cell) for cell in split_cells(delimiter)]
        self._rows: list[list[Flow]] = [self._read_row(header, "table-head")]
        self._natural = [flow.cells() for flow in self._rows[0]]
        self._least = [_room_of(flow) for flow in self._rows[0]]
        self._columns: list[int] | None = []
        self._layout: tuple[int, list[int] | None, bool] = 0, [], False
        """Width, columns, whether the header of records is drawn alone: what heights depend on."""
        self._records: dict[int, list[Flow]] = {}
        self._tops: list[int] = [0]
        self._steady = 0

    def add_row(self, source: str, *, complete: bool = True) -> None:
        """A row, or the part of one that is there already."""
        row = self._read_row(source, "")
        self._rows.append(row)
        if complete or len(self._rows) <= _EAGER_ROWS:
            self._natural = list(map(max, self._natural, map(Flow.cells, row)))
            self._least = list(map(max, self._least, map(_room_of, row)))

    def mark(self) -> object:
        return len(self._rows), self._natural, self._least

    def restore(self, mark: object) -> None:
        assert isinstance(mark, tuple)
        count, self._natural, self._least = mark
        self._steady = min(self._steady, count)
        for number in range(count, len(self._rows)):
            self._records.pop(number, None)
        del self._rows[count:], self._tops[count + 1 :]

    def watch(self) -> None:
        self._steady = len(self._rows)

    def steady(self, width: int) -> int:
        self._lay_out(width)
        return self._tops[self._steady]

    def flows(self) -> list[Flow]:
        return [flow for row in self._rows for flow in row]

    def set_marks(self, number: int, marks: Sequence[Mark]) -> None:
        super().set_marks(number, marks)
        self._records.clear()

    def row_in(self, number: int, offset: int, width: int) -> int:
        self._lay_out(width)
        row, column = divmod(number, len(self._aligns))
        if self._columns is None and len(self._rows) > 1:
            record = self._record(max(row, 1))
            heights = [flow.height(self.inner_width(width)) for flow in record]
            behind = len(record[column].text) - len(self._rows[row][column].text) if row else 0
            inside = record[column].row_of(offset + behind, self.inner_width(width))
            top = self._tops[max(row, 1)] + (row > 1)
            return top + sum(heights[:column]) + inside
        cells = self._cells_of(column, width)
        return self._tops[row] + self._rows[row][column].row_of(offset, cells)

    def row_of_line(self, line: int, share: float, width: int) -> int:  # noqa: ARG002 - as in Block
        """The first row of the record or row; the line below the header belongs to the header."""
        self._lay_out(width)
        return self._tops[min(max(line - 1, 0), len(self._rows) - 1)]

    def longest(self) -> int:
        """Cells of the table with nothing wrapped."""
        between = len(_SEPARATOR) * (len(self._natural) - 1)
        return sum(max(cells, 1) for cells in self._natural) + between + self.lead.cells

    def height(self, width: int) -> int:
        self._lay_out(width)
        return self._tops[-1]

    def line(self, y: int, width: int) -> Line:
        self._lay_out(width)
        number = bisect_right(self._tops, y) - 1
        if self._columns is None:
            return self._record_line(number, y, width)
        if y == self._tops[1] - 1:
            rule = _CROSSING.join("─" * cells for cells in self._columns)
            return self.with_lead(y, Line([Run(rule, "rule")]), width)
        runs = self._row_runs(number, y - self._tops[number], self._columns)
        return self.with_lead(y, Line(runs), width)

    def _row_runs(self, number: int, y: int, columns: Sequence[int]) -> list[Run]:
        runs: list[Run] = []
        for column, cells in enumerate(columns):
            flow = self._rows[number][column]
            shown, _ = flow.line(y, cells) if y < flow.height(cells) else ([], "")
            space = cells - sum(cell_len(run.text) for run in shown)
            left = {"left": 0, "right": space, "center": space // 2}[self._aligns[column]]
            runs += [Run(_SEPARATOR, "rule")] if column else []
            runs += [Run(" " * left), *shown, Run(" " * (space - left))]
        return runs

    def _record(self, number: int) -> list[Flow]:
        """A flow for each cell of row `number`, which must not be the header."""
        if number in self._records:
            return self._records[number]
        record = self._records[number] = []
        for head, cell in zip(self._rows[0], self._rows[number], strict=True):
            label = [run._replace(text=run.text.replace("\n", " ")) for run in head.runs]
            label += [Run(": ", "table-head")] if head.text.strip() else []
            flow = Flow([*label, *cell.runs])
            behind = flow.length - cell.length
            shifted = [Mark(at + behind, end + behind, style) for at, end, style in cell.marks]
            flow.marks = [*head.marks, *shifted]
            record.append(flow)
        return record

    def _record_line(self, number: int, y: int, width: int) -> Line:
        inner = self.inner_width(width)
        row = y - self._tops[number]
        if number == 0:
            runs, joint = self._header_flow().line(row, inner)
            return self.with_lead(y, Line(runs, 0, joint), width)
        row -= number > 1
        for flow in self._record(number):
            height = flow.height(inner)
            if 0 <= row < height:
                runs, joint = flow.line(row, inner)
                return self.with_lead(y, Line(runs, 0, joint), width)
            row -= height if row >= 0 else 0
        return self.with_lead(y, Line([Run("─" * min(inner, 12), "rule")]), width)

    def _header_flow(self) -> Flow:
        """The header alone, before there is a row."""
        runs: list[Run] = []
        for flow in self._rows[0]:
            runs += [Run(_SEPARATOR, "rule")] if runs else []
            runs += flow.runs
        return Flow(runs)

    def _read_row(self, source: str, style: str) -> list[Flow]:
        cells = split_cells(source, len(self._aligns))
        cells += [""] * (len(self._aligns) - len(cells))
        return [Flow(parse_inline(_with_breaks(cell), style)) for cell in cells]

    def _cells_of(self, column: int, width: int) -> int:
        return self._columns[column] if self._columns else self.inner_width(width)

    def _lay_out(self, width: int) -> None:
        inner = self.inner_width(width)
        room = inner - len(_SEPARATOR) * (len(self._natural) - 1)
        columns = share_width(self._natural, room, self._least)
        layout = width, columns, columns is None and len(self._rows) == 1
        if layout != self._layout:
            self._layout, self._columns, self._tops, self._steady = layout, columns, [0], 0
        for number in range(len(self._tops) - 1, len(self._rows)):
            self._tops.append(self._tops[-1] + self._row_height(number, inner))

    def _row_height(self, number: int, inner: int) -> int:
        if self._columns is not None:
            height = max(map(Flow.height, self._rows[number], self._columns))
            return height + (number == 0)  # the header has its rule below
        if number:  # a short rule divides records
            return sum(flow.height(inner) for flow in self._record(number)) + (number > 1)
        # The header stands in each record, so alone it is drawn only before there is one.
        return self._header_flow().height(inner) if len(self._rows) == 1 else 0


def share_width(natural: list[int], available: int, least: Sequence[int] = ()) -> list[int] | None:
    """Cells for each column: what it wants if all fit, else the narrow ones get theirs and the
    wide ones share the rest as they need it, but none gets less than its `least`; `None` where
    that is too much."""
    if sum(natural) <= available:
        return [max(cells, 1) for cells in natural]
    if sum(least) > available:
        return None
    columns = list(least or [1] * len(natural))
    left = max(available - sum(columns), 0)
    wants = [wanted - cells for wanted, cells in zip(natural, columns, strict=True)]
    order = sorted(range(len(natural)), key=wants.__getitem__)
    while order and wants[order[0]] <= left // len(order):
        columns[order[0]] += wants[order[0]]
        left -= wants[order.pop(0)]
    total = sum(wants[index] for index in order)
    for index in order:
        columns[index] += left * wants[index] // total
    return columns


def _room_of(cell: Flow) -> int:
    return max(min(cell.least(), _WORD), 1)


def _with_breaks(cell: str) -> str:
    """`<br>` is how a line is broken in a cell."""
    return _BREAK.sub("\n", cell) if "`" not in cell else cell


def _alignment(cell: str) -> str:
    if cell.endswith(":"):
        return "center" if cell.startswith(":") else "right"
    return "left"
