"""What one row of the keymap is, and how keys are spelled for people."""

from dataclasses import dataclass
from typing import Literal

Scope = Literal["app", "chat", "message", "sidebar", "filter", "find", "tree", "sides", "prompt"]

OFF = "–"
"""What is shown of a key that the settings have switched off."""

_NAMES = {
    "at": "@",
    "question_mark": "?",
    "underscore": "_",
    "escape": "Esc",
    "slash": "/",
    "delete": "Del",
    "left": "←",
    "right": "→",
    "up": "↑",
    "down": "↓",
    "left_square_bracket": "[",
    "right_square_bracket": "]",
    "pageup": "PgUp",
    "pagedown": "PgDn",
}


@dataclass(frozen=True, slots=True)
class Key:
    """One thing a key does."""

    id: str
    keys: str
    """Default keys, separated by commas, in Textual's spelling."""
    action: str
    """Textual action, run where the scope is bound."""
    label: str
    """At most two words, for the key bar and the palette."""
    tooltip: str
    """One sentence for the help and the palette."""
    scope: Scope
    bar: int = 0
    """Place in the key bar, 1 is the most wanted; 0: not shown there."""
    priority: bool = False
    """Taken before the focused widget sees it: the prompt's editor uses many control keys."""
    fixed: bool = False


def split_keys(keys: str) -> list[str]:
    """The keys of a row or a setting; none if it is switched off."""
    return [part for part in (part.strip() for part in keys.split(",")) if part]


def read_parts(written: str) -> list[str]:
    """`Ctrl+R`, `ctrl + r` and `ctrl++` in parts, in small letters but for a letter alone."""
    text = "".join(written.split())
    head, _, last = (text[:-1], "", "+") if text.endswith("++") else text.rpartition("+")
    if text == "+":
        head, last = "", "+"
    modifiers = [part.lower() for part in head.split("+") if part]
    return [*modifiers, last.lower() if modifiers or len(last) > 1 else last]


def spell_key(key: str) -> str:
    """One key for people; two that are pressed one after the other with a blank."""
    if " " in key:
        return " ".join(spell_key(part) for part in key.split(" "))
    if len(key) == 1:  # `n` and `N` are two keys
        return key
    *modifiers, last = key.split("+")
    name = _NAMES.get(last, last.upper() if _is_short(last) else last.title())
    return "+".join([*(modifier.title() for modifier in modifiers), name])


def _is_short(key: str) -> bool:
    return len(key) == 1 or (key[0] == "f" and key[1:].isdigit())
