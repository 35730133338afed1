"""What an answer says behind the mark of a fact is that fact, word for word.

A small model that was made to answer from facts chooses well which one fits, and slips now and then
while it copies. Here it cannot: behind a mark only the fact's own words may come, and no mark but
those of facts that it was told.
"""

import re
from collections.abc import Mapping, Sequence

MARKS = "•◦▪▫▸▹"
"""Stand before the facts by their place, and before what is said of them in an answer: a small
model finds its way from one to the other."""
_MARK = re.compile(rf"(?:^|(?<=[\s。：]))[{MARKS}](?=\s|$)")
"""Behind a full stop or a colon in Chinese no space stands."""


def marked_in(lines: Sequence[str]) -> dict[str, str]:
    """The lines that begin with a mark, by it."""
    return {line[0]: line for line in lines if line[:1] and line[0] in MARKS and line[1:2] == " "}


def rest_of_quote(row: str, told: Mapping[str, str]) -> str | None:
    """What is left of the fact that the last row of an answer is in the middle of: empty where it
    is whole; None where it is in none."""
    found = _MARK.search(row)
    line = told.get(found[0]) if found else None
    if found is None or line is None or not line.startswith(row[found.start() :]):
        return None
    return line[len(row) - found.start() :]


def is_quoted(text: str, told: Mapping[str, str], *, ends: bool) -> bool:
    """Whether each row of a text says behind a mark what it was told. Without `ends` the last row
    may be the beginning of it."""
    *rows, last = text.split("\n")
    if not all(_is_whole(row, told) for row in rows):
        return False
    return _is_whole(last, told) if ends else _may_grow(last, told)


def _is_whole(row: str, told: Mapping[str, str]) -> bool:
    return _MARK.search(row) is None or rest_of_quote(row.rstrip(), told) == ""


def _may_grow(row: str, told: Mapping[str, str]) -> bool:
    return _MARK.search(row) is None or rest_of_quote(row, told) is not None
