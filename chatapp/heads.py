"""The first message of a shorter branch: it says what stood before it, to the model and to people.

It is the system message that a branch begins with, whatever it says: it can be edited as any other,
and what stands below it stays below it. What it stands for is read from its words, where they tell.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from chatapp.conversation import Message
from chatapp.store.rows import MessageRow

_SUMMARISED = "Summary of what was said before, in {}:\n\n"
_LEFT_OUT = "{} that came before {} left out here."
_SUMMARY = re.compile(r"Summary of what was said before, in ([0-9]{1,9}) messages?:\n\n")
_OMISSION = re.compile(r"([0-9]{1,9}) messages? that came before (?:is|are) left out here\.")


@dataclass(frozen=True, slots=True)
class Head:
    """What the first message of a branch says about what stood before it."""

    kind: Literal["summary", "omission"]
    n_messages: int


def make_head(n_messages: int, summary: str = "") -> Message:
    """The first message of a branch that so many messages are missing from."""
    what = "1 message" if n_messages == 1 else f"{n_messages} messages"
    if summary:
        return Message.of("system", _SUMMARISED.format(what) + summary)
    return Message.of("system", _LEFT_OUT.format(what, "is" if n_messages == 1 else "are"))


def is_head(row: MessageRow) -> bool:
    """Whether it is the head of its branch, in whatever words."""
    return row.role == "system" and row.parent_id is None


def read_head(row: MessageRow) -> Head | None:
    """What a head says about what stood before it; None: it does not tell, or is no head."""
    if not is_head(row):
        return None
    if found := _SUMMARY.match(row.content):
        return Head("summary", int(found[1]))
    found = _OMISSION.match(row.content)
    return Head("omission", int(found[1])) if found else None


def count_missing(rows: Sequence[MessageRow], first_kept: int) -> int:
    """The messages before `first_kept`, with those that a head of an earlier time stands for."""
    head = read_head(rows[0]) if rows and first_kept else None
    return first_kept - 1 + head.n_messages if head else first_kept
