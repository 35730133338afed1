r"""LaTeX's mathematics, found in text: `\( \)`, `\[ \]`, `$`, `$$` and environments.

The surprising fact: a dollar sign is a price more often than mathematics, so one dollar opens a
formula only where no price is meant and its end is on the same line.
"""

import re
from typing import NamedTuple

MAX_DOLLAR = 400
"""Longest formula between single dollars, in characters."""

_DOLLAR = re.compile(
    rf"\$(?=[^\s$])(?!\d[\d.,]*[a-zA-Z]{{0,2}}[.,;:!?]*(?:\s+[^\W\d_]{{2}}|\s*[.,;:()–—]\s))"
    rf"((?:[^$\n\\]|\\.){{0,{MAX_DOLLAR}}}?)(?<!\s)\$(?![\w$])"
)
_BEGIN = re.compile(r"\\begin\{([a-zA-Z]+\*?)\}")
_SIGN = re.compile(r"[\\^_=+<>{}]")
_BETWEEN = re.compile(r"\s[^\W\d_]{3,}\s")
_WORD = re.compile(r"[^\W\d_]{3}")


class Found(NamedTuple):
    """A formula in a text."""

    end: int
    body: str
    """Without its delimiters; all of it for an environment."""


def match_maths(text: str, start: int) -> Found | None:
    """The formula that begins at `text[start]`, which is a backslash or a dollar."""
    if text.startswith("$$", start):
        return _enclosed(text, start, "$$", "$$")
    if text[start] == "$":
        before = text[start - 1] if start else " "
        found = None if before.isalnum() or before in "$\\" else _DOLLAR.match(text, start)
        if found is None or not (_SIGN.search(found[1]) or not _WORD.search(found[1])):
            return None
        if found[1][0].isdigit() and _BETWEEN.search(found[1]):  # "$1 = €0.9 and 2$"
            return None
        return Found(found.end(), found[1])
    for opening, closing in (("\\(", "\\)"), ("\\[", "\\]")):
        if text.startswith(opening, start):
            return _enclosed(text, start, opening, closing)
    if begin := _BEGIN.match(text, start):
        end = text.find(closing := f"\\end{{{begin[1]}}}", begin.end())
        return Found(end + len(closing), text[start : end + len(closing)]) if end >= 0 else None
    return None


def _enclosed(text: str, start: int, opening: str, closing: str) -> Found | None:
    end = text.find(closing, start + 2)
    while end > 0 and closing[0] == "\\" and _is_escaped(text, end):
        end = text.find(closing, end + 1)
    if end < 0 or not text[start + 2 : end].strip():
        return None
    return Found(end + len(closing), text[start + len(opening) : end])


def _is_escaped(text: str, at: int) -> bool:
    before = text[:at]
    return (len(before) - len(before.rstrip("\\"))) % 2 == 1


def may_open(text: str) -> bool:
    """Whether a formula that `text` leaves open may be closed by what follows."""
    if "$$" in text or re.search(r"\\(?:[(\[]|begin)", text):
        return True
    last = text[text.rfind("\n") + 1 :][-MAX_DOLLAR:]
    return any(
        _DOLLAR.match(last[at.start() :] + "x$") is not None for at in re.finditer(r"\$", last)
    )


def closing_of(line: str) -> tuple[int, str] | None:
    """Where the inside of the formula begins that `line` opens at its start, and what closes it."""
    if begin := _BEGIN.match(line):
        return begin.end(), f"\\end{{{begin[1]}}}"
    for opening, closing in (("$$", "$$"), ("\\[", "\\]")):
        if line.startswith(opening):
            return len(opening), closing
    return None
