"""What a cursor or a search finds in a document, apart from how wide it is drawn.

A `Span` says where characters stand: block, text within it (a paragraph, a line of code, a cell),
from and to. `StreamingMarkdown.rows_of` turns it into rows at a width.
"""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

from chatapp.ui.markdown.blocks import Block
from chatapp.ui.markdown.fence import FenceBlock


class Span(NamedTuple):
    """Characters of a document as it is drawn, before wrapping."""

    block: int
    text: int
    start: int
    end: int


class Code(NamedTuple):
    """A block of code."""

    block: int
    language: str
    """The first word behind the fence, or ""."""
    source: str
    """As it was written: with its tabs, without wrapping and without what the block stands in."""


class Link(NamedTuple):
    """A link, an image or a bare address."""

    span: Span
    href: str
    text: str


def find_code(blocks: Sequence[Block]) -> list[Code]:
    """The blocks of code, from the top."""
    return [
        Code(number, block.language, block.code)
        for number, block in enumerate(blocks)
        if isinstance(block, FenceBlock)
    ]


def find_links(blocks: Sequence[Block]) -> list[Link]:
    """The links, from the top."""
    found = []
    for number, block in enumerate(blocks):
        for text, flow in enumerate(block.flows()):
            position = 0
            for href, group in groupby(flow.runs, lambda run: run.href):
                runs = list(group)
                end = position + sum(len(run.text) for run in runs)
                if href:
                    words = [run.text for run in runs if "target" not in run.style.split()]
                    span = Span(number, text, position, end)
                    found.append(Link(span, href, "".join(words) or href))
                position = end
    return found


def find_text(blocks: Sequence[Block], wanted: str) -> Iterator[Span]:
    """Where `wanted` stands, in any case; a line break is as good as a space."""
    folded = _fold_case(wanted)
    if not folded.strip():
        return
    for number, block in enumerate(blocks):
        for index, text in enumerate(block.texts()):
            hay = _fold_case(text)
            start = hay.find(folded)
            while start >= 0:
                yield Span(number, index, start, start + len(folded))
                start = hay.find(folded, start + len(folded))


def _fold_case(text: str) -> str:
    """Lower case of the same length, so that offsets stay."""
    lowered = text.lower().replace("\n", " ")
    if len(lowered) == len(text):
        return lowered
    return "".join(low if len(low := char.lower()) == 1 else char for char in text)
