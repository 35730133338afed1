"""What a line of Markdown stands in: quotes and list items, and how a line continues them.

Follows CommonMark's rules, with two kindnesses that models' habits ask for: a nested list may be
indented by two columns under any marker, and code in a list item may be indented less than it.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from chatapp.ui.markdown.blocks import Lead
from chatapp.ui.markdown.flow import Run

MAX_DEPTH = 12
"""Deeper quotes and lists are text."""

_MARKER = re.compile(r"( {0,3})([-+*]|\d{1,9}[.)])( +|$)")
_RULE = re.compile(r" {0,3}([-*_])(?: *\1){2,} *$")
_BULLETS = ("•", "◦", "▪")


@dataclass(frozen=True, slots=True)
class Container:
    """A quote or a list item that later lines may continue."""

    kind: Literal["quote", "item"]
    indent: int = 0
    """Columns that a line of the item is indented by, within its parent."""
    family: str = ""
    """Bullet, or the character after the number: items of one list share it."""
    number: int | None = None
    """Of an ordered item."""


def indent_of(text: str) -> int:
    """Leading spaces."""
    return len(text) - len(text.lstrip(" "))


def is_rule(text: str) -> bool:
    """Whether `text` is a thematic break."""
    return _RULE.match(text) is not None


def starts_item(text: str) -> bool:
    """Whether `text` starts a list item."""
    return _MARKER.match(text) is not None and not is_rule(text)


def match_containers(
    text: str, containers: Sequence[Container], *, in_fence: bool = False
) -> tuple[int, str]:
    """How many of `containers` the line continues, and what is left of the line for them."""
    for count, container in enumerate(containers):
        indent = indent_of(text)
        if container.kind == "quote":
            if indent > 3 or not text[indent:].startswith(">"):
                return count, text
            text = text[indent + 1 :].removeprefix(" ")
        elif not text.strip():
            continue
        elif indent >= container.indent or in_fence:
            text = text[min(indent, container.indent) :]
        elif indent >= 2 and starts_item(text[indent:]):
            text = text[indent:]
        else:
            return count, text
    return len(containers), text


def open_container(
    text: str, *, interrupts: bool, before: Container | None
) -> tuple[Container, str] | None:
    """The quote or item that `text` starts, and the rest of the line.

    `interrupts`: a paragraph is open here, which only some markers may interrupt. `before`: the
    item that this line ended, whose list may go on.
    """
    indent = indent_of(text)
    if indent <= 3 and text[indent:].startswith(">"):
        return Container("quote"), text[indent + 1 :].removeprefix(" ")
    found = _MARKER.match(text)
    if found is None or is_rule(text):
        return None
    marker, rest = found[2], text[found.end() :]
    if interrupts and (not rest.strip() or marker[:-1] not in ("", "1")):
        return None
    spaces = len(found[3])
    if not rest.strip():
        spaces = 1
    elif spaces > 4:  # the item starts with code
        rest = " " * (spaces - 1) + rest
        spaces = 1
    number = int(marker[:-1]) if len(marker) > 1 else None
    if before is not None and number is not None and before.family == marker[-1]:
        number = (before.number or 0) + 1
    return Container("item", found.end(2) + spaces, marker[-1], number), rest


def lead_of(containers: Sequence[Container], fresh: int, above: Sequence[Container]) -> Lead:
    """What is drawn before a block in `containers`, of which those from `fresh` on show their
    marker; `above`: what the block above stands in."""
    first: list[Run] = []
    rest: list[Run] = []
    depth = 0
    for index, container in enumerate(containers):
        if container.kind == "quote":
            first.append(Run("▌ ", "quote"))
            rest.append(Run("▌ ", "quote"))
            continue
        number = container.number
        marker = (
            _BULLETS[depth % len(_BULLETS)] if number is None else f"{number}{container.family}"
        )
        depth += number is None
        text = f"{marker} ".rjust(2 if number is None else 3)
        first.append(Run(text, "marker") if index >= fresh else Run(" " * len(text)))
        rest.append(Run(" " * len(text)))
    gap: list[Run] = []
    for container, other, run in zip(containers, above, rest, strict=False):
        if container.kind != other.kind:
            break
        gap.append(run)
    return Lead.of(first, rest, gap)
