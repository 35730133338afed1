"""Lines of Markdown become blocks, one line at a time.

`BlockReader` holds what is open between two lines: containers, and the block that the next line may
continue, which is always the last one. `save` and `restore` take back a line that was read before
it was complete, at constant cost.

Blocks follow CommonMark and GFM's tables. Left out on purpose: link definitions and HTML blocks
(both are shown as text), because their meaning needs the whole document or a browser.
"""

import re
from typing import TypeVar

from chatapp.ui.markdown.blocks import Block, Lead, RuleBlock, TextBlock
from chatapp.ui.markdown.containers import (
    MAX_DEPTH,
    Container,
    indent_of,
    is_rule,
    lead_of,
    match_containers,
    open_container,
)
from chatapp.ui.markdown.fence import FenceBlock
from chatapp.ui.markdown.formula import FormulaBlock, opens_formula
from chatapp.ui.markdown.table import TableBlock, split_cells

_FENCE = re.compile(r"( {0,3})(`{3,}|~{3,})([^`]*)$")
_DELIMITER = re.compile(r":?-+:?")
_UNDECIDED = " >-+*_=#`~|:"
"""An incomplete line of these alone may still become anything."""
_NUMBER = re.compile(r"\d{1,9}[.)]?")
_SPACED = ("table", "rule")
"""Blocks that keep a blank row around them even where the source has none."""


AnyBlock = TypeVar("AnyBlock", bound=Block)


class BlockReader:
    """Reads lines into `blocks`."""

    def __init__(self, blocks: list[Block]) -> None:
        self._blocks = blocks
        self._containers: tuple[Container, ...] = ()
        self._above: tuple[Container, ...] = ()
        self._fresh = 0
        self._blanks = 0
        self._leaf: Block | None = None
        self._fence = ""
        self._fence_indent = 0
        self._raw = "", 0
        """The line that is read, as it came, and its columns."""
        self.line_number = 0
        """Of the line that is read, in the source."""

    def save(self) -> object:
        """The state between two lines, for `restore`."""
        leaf = self._leaf
        return (
            (self._containers, self._above, self._fresh, self._blanks, leaf),
            (self._fence, self._fence_indent),
            len(self._blocks),
            leaf.mark() if leaf else None,
        )

    def restore(self, saved: object) -> None:
        """Take back what was read since `save` (only lines that `is_undecided` denies may be), and
        note from here on which rows of the last block change. `None`: nothing to take back."""
        leaf, mark = None, None
        if saved is not None:
            assert isinstance(saved, tuple)
            state, fence, count, mark = saved
            self._containers, self._above, self._fresh, self._blanks, leaf = state
            self._fence, self._fence_indent = fence
            self._leaf = leaf
            del self._blocks[count:]
        if self._blocks:
            self._blocks[-1].watch()
        if leaf is not None:
            leaf.restore(mark)

    def is_undecided(self, text: str) -> bool:
        """Whether `text`, as the start of a line, may still become anything."""
        text = text.strip()
        if self._fence:
            return not text.strip(self._fence[0])
        return not text.strip(_UNDECIDED) or _NUMBER.fullmatch(text) is not None

    @property
    def in_table(self) -> bool:
        """Whether the next line may be a row."""
        return isinstance(self._leaf, TableBlock)

    def close(self) -> None:
        """Nothing more is added to the open block."""
        if self._leaf is not None:
            self._leaf.close()
        self._leaf, self._fence = None, ""

    def settle(self) -> None:
        """What was read stays (see `TextBlock.settle`)."""
        if isinstance(self._leaf, TextBlock):
            self._leaf.settle()

    def continue_line(self, text: str) -> None:
        """More of the line that was read last: it is too long to be anything but text."""
        leaf = self._leaf
        if isinstance(leaf, FenceBlock) or (isinstance(leaf, FormulaBlock) and not leaf.is_full):
            leaf.extend_line(text)
        else:
            if not isinstance(self._leaf, TextBlock) or self._leaf.kind != "paragraph":
                self._add_paragraph()
            assert isinstance(self._leaf, TextBlock)
            self._leaf.add(text)

    def read_line(self, text: str, *, complete: bool = True) -> None:
        """Read a line, without its line break."""
        raw, text = text, text.expandtabs(4)
        self._raw = raw, len(text)
        formula = self._leaf if isinstance(self._leaf, FormulaBlock) else None
        verbatim = bool(self._fence) or (formula is not None and bool(text.strip()))
        count, rest = match_containers(text, self._containers, in_fence=verbatim)
        if verbatim:
            if count == len(self._containers):
                if formula is not None:
                    self._read_formula_line(formula, rest)
                else:
                    self._read_fence_line(rest)
                return
            self.close()
        if not rest.strip():
            self._read_blank(count)
            return
        kept, rest = self._open_containers(count, rest)
        if len(kept) == count < len(self._containers) and self._is_lazy(rest):
            self._add_text(rest)
            return
        if len(kept) > count or count < len(self._containers):
            self.close()
            self._fresh = min(self._fresh, count)
            self._containers = kept
        self._read_leaf(rest, complete=complete)
        self._blanks = 0

    def _verbatim(self, text: str, columns: int) -> str:
        """`text`, the end of the line, without `columns` of its indent, and with its own tabs."""
        raw, width = self._raw
        passed = width - len(text) + columns
        return without_columns(raw, passed) if passed >= 0 else text[columns:]

    def _read_fence_line(self, text: str) -> None:
        assert isinstance(self._leaf, FenceBlock)
        mark = text.strip()
        closes = len(mark) >= len(self._fence) and not mark.strip(self._fence[0])
        if closes and indent_of(text) <= 3:
            self.close()
        else:
            self._leaf.add_line(self._verbatim(text, min(indent_of(text), self._fence_indent)))

    def _read_formula_line(self, formula: FormulaBlock, text: str) -> None:
        line, behind = formula.split_line(text)
        formula.add_line(line)
        if formula.is_whole or formula.is_full:
            self.close()
            if behind:
                self._add_paragraph()
                self._add_text(behind)

    def _read_blank(self, count: int) -> None:
        self._blanks += 1
        self._containers = self._containers[:count]
        self._fresh = min(self._fresh, count)
        if not isinstance(self._leaf, FenceBlock):  # indented code may go on after blank lines
            self.close()

    def _open_containers(self, count: int, rest: str) -> tuple[tuple[Container, ...], str]:
        kept = self._containers[:count]
        before = self._containers[count] if count < len(self._containers) else None
        interrupts = self._in_paragraph and before is None
        if interrupts and (self._underline_level(rest) or self._is_delimiter_row(rest)):
            return kept, rest
        while len(kept) < MAX_DEPTH:
            opened = open_container(rest, interrupts=interrupts, before=before)
            if opened is None:
                break
            kept, rest = (*kept, opened[0]), opened[1]
            interrupts, before = False, None
        return kept, rest

    @property
    def _in_paragraph(self) -> bool:
        return isinstance(self._leaf, TextBlock) and self._leaf.kind == "paragraph"

    def _is_lazy(self, text: str) -> bool:
        """Whether `text` goes on with the open paragraph though it left out its containers."""
        return self._in_paragraph and not (is_rule(text) or _starts_block(text))

    def _read_leaf(self, text: str, *, complete: bool) -> None:
        if self._continues_leaf(text, complete=complete):
            return
        indented = indent_of(text) >= 4
        if indented and not self._in_paragraph:
            self._add(FenceBlock(*self._place("fence"))).add_line(self._verbatim(text, 4))
        elif not indented and (heading := read_heading(text)):
            level, title = heading
            lead, gap = self._place("heading")
            block = TextBlock(lead, gap, kind="heading", style=f"heading h{level}")
            self._add(block).add(title)
            self.close()
        elif found := _FENCE.match(text):
            self._add(FenceBlock(*self._place("fence"), found[3].strip()))
            self._fence, self._fence_indent = found[2], len(found[1])
        elif is_rule(text):
            self._add(RuleBlock(*self._place("rule")))
            self.close()
        elif opens_formula(text):
            if self._add(FormulaBlock(*self._place("formula"), text.strip())).is_whole:
                self.close()
        else:
            if not self._in_paragraph:
                self._add_paragraph()
            self._add_text(text)

    def _continues_leaf(self, text: str, *, complete: bool) -> bool:
        leaf = self._leaf
        if isinstance(leaf, TextBlock):
            if level := self._underline_level(text):
                leaf.retitle(f"heading h{level}")
                self.close()
                return True
            return self._is_delimiter_row(text) and self._start_table(leaf, text)
        if isinstance(leaf, TableBlock) and _is_row(text):
            leaf.add_row(text, complete=complete)
            return True
        if isinstance(leaf, FenceBlock) and indent_of(text) >= 4:
            for line in [*[""] * self._blanks, self._verbatim(text, 4)]:
                leaf.add_line(line)
            return True
        self.close()
        return False

    def _underline_level(self, text: str) -> int:
        """1 or 2 if `text` makes the open paragraph a heading, else 0."""
        text = text.strip() if indent_of(text) <= 3 else ""
        if not isinstance(self._leaf, TextBlock) or not self._leaf.source or len(text) < 2:
            return 0
        return 0 if self._leaf.settled else 1 if not text.strip("=") else 2 * (not text.strip("-"))

    def _is_delimiter_row(self, text: str) -> bool:
        """Whether `text` makes the last line of the open paragraph the header of a table."""
        if not isinstance(self._leaf, TextBlock) or text.strip(" |:-") or "-" not in text:
            return False
        header = self._leaf.last_line
        cells = split_cells(text)
        return (
            "|" in header
            and len(split_cells(header)) == len(cells)
            and all(map(_DELIMITER.fullmatch, cells))
        )

    def _start_table(self, paragraph: TextBlock, delimiter: str) -> bool:
        header = paragraph.pop_line()
        lead, gap = paragraph.lead, paragraph.gap
        if paragraph.source or paragraph.settled:
            self._fresh = len(self._containers)
            lead, gap = self._place("table")
        else:
            self._blocks.remove(paragraph)
        self._add(TableBlock(lead, gap, header, delimiter)).source_line -= 1
        return True

    def _add_text(self, text: str) -> None:
        assert isinstance(self._leaf, TextBlock)
        self._leaf.add_line(text.strip())

    def _add_paragraph(self) -> None:
        self._add(TextBlock(*self._place("paragraph")))

    def _place(self, kind: str) -> tuple[Lead, int]:
        """Lead and gap of a block that starts here."""
        lead = lead_of(self._containers, self._fresh, self._above)
        if not self._blocks:
            return lead, 0
        spaced = kind in (*_SPACED, "heading") or self._blocks[-1].kind in _SPACED
        within = self._containers and self._above
        return lead, int(self._blanks > 0 or (spaced and not within))

    def _add(self, block: AnyBlock) -> AnyBlock:
        if self._leaf is not None:
            self._leaf.close()
        block.source_line = self.line_number
        self._blocks.append(block)
        self._leaf = block
        self._above, self._fresh = self._containers, len(self._containers)
        return block


def _starts_block(text: str) -> bool:
    return bool(_FENCE.match(text) or read_heading(text) or opens_formula(text))


def _is_row(text: str) -> bool:
    return "|" in text and indent_of(text) < 4 and not _starts_block(text)


def read_heading(text: str) -> tuple[int, str] | None:
    """Level and title, if `text` is an ATX heading."""
    text = text.strip()
    level = len(text) - len(text.lstrip("#"))
    if not 1 <= level <= 6 or text[level : level + 1] not in ("", " "):
        return None
    title = text[level:].strip()
    bare = title.rstrip("#")
    return level, bare.rstrip() if not bare or bare.endswith(" ") else title


def without_columns(text: str, columns: int) -> str:
    """`text` without its first `columns` columns; a tab that is cut leaves its rest as spaces."""
    column = 0
    for at, char in enumerate(text):
        if column >= columns:
            return " " * (column - columns) + text[at:]
        column += 4 - column % 4 if char == "\t" else 1
    return " " * (column - columns)
