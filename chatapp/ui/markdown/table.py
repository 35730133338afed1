"""A table: cells wrap in columns that share the width.

A new row costs one row, unless it makes a column wider: then the heights are counted again, which
is why the row that is still being written does so only while the table is short.
"""

from bisect import bisect_right

from rich.cells import cell_len

from chatapp.ui.markdown.blocks import Block, Lead
from chatapp.ui.markdown.flow import Flow, Line, Run
from chatapp.ui.markdown.inline import parse_inline

_SEPARATOR = " │ "
_CROSSING = "─┼─"
_EAGER_ROWS = 32
"""Tables of up to this many rows follow the row that is being written."""

MAX_COLUMNS = 64


def split_cells(row: str) -> list[str]:
    """The cells of `| a | b |`; a pipe behind a backslash belongs to its cell."""
    text = row.strip()
    text = text[1:] if text.startswith("|") else text
    if text.endswith("|") and not text.endswith("\\|"):
        text = text[:-1]
    cells = text.replace("\\|", "\x00").split("|", MAX_COLUMNS)[:MAX_COLUMNS]
    return [cell.replace("\x00", "|").strip() for cell in cells]


class TableBlock(Block):
    """A header and rows of cells."""

    kind = "table"

    def __init__(self, lead: Lead, gap: int, header: str, delimiter: str) -> None:
        super().__init__(lead, gap)
        self._aligns = [_alignment(cell) for cell in split_cells(delimiter)]
        self._rows: list[list[Flow]] = [self._flows(header, "table-head")]
        self._natural = [flow.cells() for flow in self._rows[0]]
        self._columns: list[int] = []
        self._width = 0
        self._tops: list[int] = [0]
        self._steady = 0

    def add_row(self, source: str, *, complete: bool = True) -> None:
        """A row, or the part of one that is there already."""
        row = self._flows(source, "")
        self._rows.append(row)
        if complete or len(self._rows) <= _EAGER_ROWS:
            pairs = zip(self._natural, row, strict=True)
            self._natural = [max(cells, flow.cells()) for cells, flow in pairs]

    def mark(self) -> object:
        return len(self._rows), self._natural

    def restore(self, mark: object) -> None:
        assert isinstance(mark, tuple)
        count, self._natural = mark
        self._steady = min(self._steady, count)
        del self._rows[count:], self._tops[count + 1 :]

    def watch(self) -> None:
        self._steady = len(self._rows)

    def steady(self, width: int) -> int:
        self._lay_out(width)
        return self._tops[self._steady]

    def height(self, width: int) -> int:
        self._lay_out(width)
        return self._tops[-1]

    def line(self, y: int, width: int) -> Line:
        self._lay_out(width)
        if y == self._tops[1] - 1:
            rule = _CROSSING.join("─" * cells for cells in self._columns)
            return self.with_lead(y, Line([Run(rule, "rule")]))
        number = bisect_right(self._tops, y) - 1
        return self.with_lead(y, Line(self._row_runs(number, y - self._tops[number])))

    def _row_runs(self, number: int, y: int) -> list[Run]:
        runs: list[Run] = []
        for column, cells in enumerate(self._columns):
            flow = self._rows[number][column]
            shown, _ = flow.line(y, cells) if y < flow.height(cells) else ([], "")
            space = cells - sum(cell_len(run.text) for run in shown)
            left = {"left": 0, "right": space, "center": space // 2}[self._aligns[column]]
            runs += [Run(_SEPARATOR, "rule")] if column else []
            runs += [Run(" " * left), *shown, Run(" " * (space - left))]
        return runs

    def _flows(self, source: str, style: str) -> list[Flow]:
        cells = split_cells(source)[: len(self._aligns)]
        cells += [""] * (len(self._aligns) - len(cells))
        return [Flow(parse_inline(cell, style)) for cell in cells]

    def _lay_out(self, width: int) -> None:
        inner = self.inner_width(width)
        columns = share_width(self._natural, inner - len(_SEPARATOR) * (len(self._natural) - 1))
        if columns != self._columns or width != self._width:
            self._columns, self._width, self._tops = columns, width, [0]
            self._steady = 0
        for row in self._rows[len(self._tops) - 1 :]:
            height = max(map(Flow.height, row, columns))
            # The header has its rule below.
            self._tops.append(self._tops[-1] + height + (len(self._tops) == 1))


def share_width(natural: list[int], available: int) -> list[int]:
    """Cells for each column: what it wants if all fit, else the narrow ones get theirs and the
    wide ones share the rest."""
    if sum(natural) <= available:
        return [max(cells, 1) for cells in natural]
    columns = [0] * len(natural)
    left, order = max(available, 0), sorted(range(len(natural)), key=natural.__getitem__)
    for position, index in enumerate(order):
        share = left // (len(order) - position)
        columns[index] = max(min(natural[index], share), 1)
        left = max(left - columns[index], 0)
    return columns


def _alignment(cell: str) -> str:
    if cell.endswith(":"):
        return "center" if cell.startswith(":") else "right"
    return "left"
