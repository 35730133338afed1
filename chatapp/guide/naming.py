"""Names of keys, slash commands and flags in a text: what an answer must not invent.

Words that are names only here (`Enter`, `Esc`, a setting's name) are not looked for: they are
ordinary words too.
"""

import re
from collections.abc import Collection

_NAME = re.compile(
    r"(?<![A-Za-z0-9_/.~:@+-])(?:"
    r"(?:(?:Ctrl|Control|Alt|Shift|Cmd|Meta|Super)\+)+[A-Za-z0-9_←→↑↓]*"
    r"|F[0-9]{1,2}(?![A-Za-z0-9_])"
    r"|/[a-z][a-z-]*(?![A-Za-z0-9_/.-])"
    r"|--[a-z][a-z0-9-]*"
    r")",
    re.IGNORECASE,
)
_LONGEST = 64
"""Characters that the longest name may have while it is written."""


def names_in(text: str) -> set[str]:
    """Every name in a text, in small letters."""
    return {found[0].lower() for found in _NAME.finditer(text)}


def is_known(text: str, allowed: Collection[str], *, ends: bool) -> bool:
    """Whether all names in a text are allowed. Without `ends` the last one may be the beginning of
    one that is."""
    for found in _NAME.finditer(text):
        name = found[0].lower()
        if name in allowed:
            continue
        grows = not ends and found.end() == len(text)
        if not (grows and any(one.startswith(name) for one in allowed)):
            return False
    return True


def open_end(text: str) -> str:
    """The end of a text that may yet become a name: nothing of the names that are whole, and what
    stands before the last one, so that it is seen not to be the middle of a word."""
    start = 0
    for found in _NAME.finditer(text):
        start = found.end() - 1 if found.end() < len(text) else max(0, found.start() - 1)
    return text[max(start, len(text) - _LONGEST) :]
