"""One block of a Markdown document: a paragraph, a heading, a rule. Drawn a line at a time.

A block may grow at its end while it is the last one (`mark`, `restore`); after that it is frozen.
Heights are counted without the `gap` of blank rows above. `Lead` is what containers put before
each row: the marker of a list item, the bar of a quote.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len

from chatapp.ui.markdown.flow import Flow, Line, Mark, Run
from chatapp.ui.markdown.inline import close_for_now, find_cut, parse_inline

PIECE = 1024
"""A paragraph's source is read for good in pieces of about this many characters."""

_HARD_PIECE = 4 * PIECE
"""Where a paragraph without a good place to cut is cut anyway."""


@dataclass(frozen=True, slots=True)
class Lead:
    """What stands before the rows of a block."""

    first: tuple[Run, ...] = ()
    rest: tuple[Run, ...] = ()
    gap: tuple[Run, ...] = ()
    """Before the blank rows above the block: bars of the quotes it shares with the one above."""
    cells: int = 0
    """Width of `first` and of `rest`."""
    length: int = 0
    """Characters in `first` and in `rest`."""

    @classmethod
    def of(cls, first: Sequence[Run], rest: Sequence[Run], gap: Sequence[Run] = ()) -> "Lead":
        """A lead measured once: how wide and how long it is."""
        text = "".join(run.text for run in first)
        return cls(tuple(first), tuple(rest), tuple(gap), cell_len(text), len(text))


NO_LEAD = Lead()


class Block:
    """What all blocks share."""

    kind = "block"
    is_prose = True
    """Whether its lines are for reading, and get no longer than the document's measure."""

    def __init__(self, lead: Lead = NO_LEAD, gap: int = 0) -> None:
        self.lead = lead
        self.gap = gap
        self.source_line = 0
        """The line of the source that it starts at."""

    def height(self, width: int) -> int:
        """Rows at `width` cells."""
        raise NotImplementedError

    def line(self, y: int, width: int) -> Line:
        """Row `y` at `width` cells."""
        raise NotImplementedError

    def mark(self) -> object:
        """The state to come back to after a line that is not complete yet."""
        return None

    def restore(self, mark: object) -> None:
        """Forget what came after `mark`."""

    def watch(self) -> None:
        """From here on, note which rows change (see `steady`)."""

    def steady(self, width: int) -> int:  # noqa: ARG002 - for subclasses
        """Rows at the top that are as they were at `watch`; 0 for a new block."""
        return 0

    def close(self) -> None:
        """Nothing will be added any more."""

    def texts(self) -> list[str]:
        """The texts it is made of, before wrapping: of a table, its cells; of code, its lines."""
        return [flow.text for flow in self.flows()]

    def flows(self) -> list[Flow]:
        """What draws `texts`, if flows do."""
        return []

    def set_marks(self, number: int, marks: Sequence[Mark]) -> None:
        """Make `marks` stand out in text `number`."""
        self.flows()[number].marks = marks

    def row_in(self, number: int, offset: int, width: int) -> int:
        """The row in which character `offset` of text `number` is drawn."""
        return self.flows()[number].row_of(offset, self.inner_width(width))

    def row_of_line(self, line: int, share: float, width: int) -> int:
        """The row of line `line` of its source, counted from its first; `share`: how far in it."""
        if not (flows := self.flows()):
            return 0
        lines = flows[0].text.split("\n")
        line = min(line, len(lines) - 1)
        before = sum(len(text) + 1 for text in lines[:line])
        return self.row_in(0, before + int(share * len(lines[line])), width)

    def inner_width(self, width: int) -> int:
        """Cells for the text beside the lead; a deep lead may not squeeze the text to nothing."""
        return max(width - self.lead.cells, width // 3, 1)

    def with_lead(self, y: int, line: Line, width: int, *, keep: bool = False) -> Line:
        """`line` behind its lead. Copying keeps the lead only where it belongs to the text. A lead
        that leaves no room loses its outer part."""
        runs: Sequence[Run] = self.lead.rest if y else self.lead.first
        length = self.lead.length
        if self.lead.cells + self.inner_width(width) > width:
            runs = _last_characters(runs, max(width - self.inner_width(width), 0))
            length = sum(len(run.text) for run in runs)
        decoration = length if line.joint != "\n" or not keep else 0
        return Line([*runs, *line.runs], decoration + line.lead, line.joint, line.fill)


def _last_characters(runs: Sequence[Run], count: int) -> list[Run]:
    kept: list[Run] = []
    for run in reversed(runs):
        text = run.text[max(len(run.text) - count, 0) :]
        count -= len(text)
        kept.insert(0, run._replace(text=text))
    return kept


class TextBlock(Block):
    """A paragraph or heading: source that is read piece by piece."""

    def __init__(
        self, lead: Lead = NO_LEAD, gap: int = 0, *, kind: str = "paragraph", style: str = ""
    ) -> None:
        super().__init__(lead, gap)
        self.kind = kind
        self.source = ""
        """What is not read for good yet."""
        self._style = style
        self._flow = Flow()
        self._dirty = False
        self._settled = False
        self._open = True

    def add(self, text: str) -> None:
        """Add to the source."""
        self.source += text
        self._dirty = True

    def add_line(self, text: str) -> None:
        """Add a line to the source."""
        self.add(f"\n{text}" if self.source or self.settled else text)

    @property
    def settled(self) -> bool:
        """Whether a part is read for good."""
        return self._settled

    @property
    def last_line(self) -> str:
        """The last line of the source, or "" when part of it is read for good."""
        start = self.source.rfind("\n") + 1
        return self.source[start:] if start or not self.settled else ""

    def pop_line(self) -> str:
        """Take `last_line` away."""
        line = self.last_line
        self.source = self.source[: len(self.source) - len(line)].rstrip("\n")
        self._dirty = True
        return line

    def retitle(self, style: str) -> None:
        """Make this paragraph a heading."""
        self.kind, self._style, self._dirty = "heading", style, True

    def settle(self) -> None:
        """Read for good what later text cannot change. Call it after complete input only."""
        while len(self.source) > PIECE:
            cut = None
            for limit in (PIECE, 2 * PIECE, _HARD_PIECE):
                if cut is None and len(self.source) > limit:
                    cut = find_cut(self.source, limit)
            if cut is None:
                if len(self.source) <= _HARD_PIECE:
                    return
                cut = _HARD_PIECE
            self._flow.set_tail(parse_inline(self.source[:cut], self._style))
            self._flow.fix_tail()
            self.source = self.source[cut:]
            self._dirty = self._settled = True

    def mark(self) -> object:
        return self.source, self._open

    def restore(self, mark: object) -> None:
        assert isinstance(mark, tuple)
        if mark != (self.source, self._open):
            self.source, self._open = mark
            self._dirty = True

    def close(self) -> None:
        self._open, self._dirty = False, True

    def watch(self) -> None:
        self._read().steady = sys.maxsize

    def steady(self, width: int) -> int:
        return min(self._read().steady, self.height(width))

    def flows(self) -> list[Flow]:
        return [self._read()]

    def height(self, width: int) -> int:
        return self._read().height(self.inner_width(width))

    def line(self, y: int, width: int) -> Line:
        runs, joint = self._read().line(y, self.inner_width(width))
        return self.with_lead(y, Line(runs, 0, joint), width, keep=True)

    def _read(self) -> Flow:
        if self._dirty:
            source = close_for_now(self.source) if self._open else self.source
            self._flow.set_tail(parse_inline(_mark_task(source, self.lead), self._style))
            self._dirty = False
        return self._flow


class PlainBlock(Block):
    """Runs that are shown as they are."""

    kind = "plain"

    def __init__(self, runs: Sequence[Run], lead: Lead = NO_LEAD, gap: int = 0) -> None:
        super().__init__(lead, gap)
        self._flow = Flow(runs)

    def flows(self) -> list[Flow]:
        return [self._flow]

    def height(self, width: int) -> int:
        return self._flow.height(self.inner_width(width))

    def line(self, y: int, width: int) -> Line:
        runs, joint = self._flow.line(y, self.inner_width(width))
        return self.with_lead(y, Line(runs, 0, joint), width)


class RuleBlock(Block):
    """A horizontal rule."""

    kind = "rule"

    def height(self, width: int) -> int:  # noqa: ARG002 - as in Block
        return 1

    def line(self, y: int, width: int) -> Line:
        rule = Line([Run("─" * self.inner_width(width), "rule")])
        return self.with_lead(y, rule, width, keep=True)


def _mark_task(source: str, lead: Lead) -> str:
    if lead.length and source[:4].lower() in ("[ ] ", "[x] "):
        return ("☐ " if source[1] == " " else "☑ ") + source[4:]
    return source
