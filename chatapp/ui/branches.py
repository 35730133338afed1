"""The tree of a conversation as rows to be drawn. Without widgets.

A run of messages that have no versions beside them is not indented; where several follow one
message, each begins a deeper level. So a long chat with few branches stays narrow.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from chatapp.store.rows import OutlineRow

MAX_GUIDES = 12
"""Levels of branches that are drawn; in deeper ones the outer levels are left out."""


@dataclass(frozen=True, slots=True)
class Twig:
    """One message in the drawn tree."""

    row: OutlineRow
    guide: str
    """What is drawn before it: `│ ├ `."""
    is_shown: bool
    """It is on the branch that the chat shows."""
    version: str = ""
    """`2/3` where there are versions beside it."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    row: OutlineRow
    lasts: tuple[bool, ...]
    """Of each level around it: whether it is the last of its branches."""
    version: str = ""


def find_shown(rows: Sequence[OutlineRow], leaf_id: int | None) -> set[int]:
    """The messages from the first down to `leaf_id`."""
    parents = {row.id: row.parent_id for row in rows}
    shown: set[int] = set()
    while leaf_id is not None and leaf_id in parents and leaf_id not in shown:
        shown.add(leaf_id)
        leaf_id = parents[leaf_id]
    return shown


def draw_tree(rows: Sequence[OutlineRow], leaf_id: int | None) -> list[Twig]:
    """Every message, each branch as a whole below where it begins, older versions first."""
    shown = find_shown(rows, leaf_id)
    children: dict[int | None, list[OutlineRow]] = {}
    for row in rows:
        children.setdefault(row.parent_id, []).append(row)
    twigs: list[Twig] = []
    # A pile, not a recursion: a chat of thousands of messages is as deep as it is long.
    pile = _versions(children.get(None, []), ())
    while pile:
        one = pile.pop()
        guide = _guide(one.lasts, begins=bool(one.version))
        twigs.append(Twig(one.row, guide, one.row.id in shown, one.version))
        pile += _versions(children.get(one.row.id, []), one.lasts)
    return twigs


def _versions(rows: Sequence[OutlineRow], lasts: tuple[bool, ...]) -> list[_Waiting]:
    """For a pile: the first to be drawn stands last."""
    if len(rows) == 1:
        return [_Waiting(rows[0], lasts)]
    count = len(rows)
    return [
        _Waiting(row, (*lasts, number == count), f"{number}/{count}")
        for number, row in reversed(list(enumerate(rows, 1)))
    ]


def _guide(lasts: tuple[bool, ...], *, begins: bool) -> str:
    levels = ["  " if last else "│ " for last in lasts[-MAX_GUIDES:]]
    if begins:
        levels[-1] = "└ " if lasts[-1] else "├ "
    return "".join(levels)
