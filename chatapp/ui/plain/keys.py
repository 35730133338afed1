"""Keys as they are written in a line."""

import re

_NAMES = {
    "esc": "escape",
    "del": "delete",
    "pgup": "pageup",
    "pgdn": "pagedown",
    "return": "enter",
    "_": "underscore",
}
_IN_LISTS = frozenset({"delete", "space", "insert", "enter"})
"""Keys with a name that a list may have."""


def is_key(word: str) -> bool:
    """Whether a word behind a number is a key: a letter, one with a modifier, or a known name."""
    key = spell_key(word)
    return len(word) == 1 or "+" in word or key in _IN_LISTS or bool(re.fullmatch("f[0-9]+", key))


def spell_key(key: str) -> str:
    """`Ctrl+S` as Textual has it."""
    if len(key) == 1:
        return key
    return "+".join(_NAMES.get(part, part) for part in key.lower().split("+"))
