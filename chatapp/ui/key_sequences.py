"""What terminals send for keys, where Textual 8.2.8 reads it otherwise, or only typed slowly.

Textual waits for more of a sequence that it does not know, and types `^` in its place when another
Escape follows meanwhile. Alt with a letter is such a sequence, so in a burst it would be text.
"""

import string
from enum import Enum
from typing import cast

from textual._ansi_sequences import ANSI_SEQUENCES_KEYS
from textual.keys import Keys, _character_to_key

_BEGIN_MORE = "O[P]X^_"
"""What begins a longer sequence behind Escape (ECMA-48): SS3, CSI, and strings."""


def _alt_name(character: str) -> str:
    name = _character_to_key(character)
    return f"alt+shift+{name.lower()}" if character.isupper() else f"alt+{name}"


_AltKey = Enum(  # type: ignore[misc]  # names are made of characters
    "_AltKey",
    {
        f"ALT_{ord(character)}": _alt_name(character)
        for character in (*string.ascii_letters, *string.digits, *string.punctuation, " ")
        if character not in _BEGIN_MORE
    },
)


def read_all_sequences() -> None:
    """Make Escape with one more character, come at once, the key that it is, at any speed.

    - with Return: Alt+Enter, which Textual takes for Enter, so that half a message would be sent;
    - with Backspace: Alt+Backspace;
    - with a character that is printed: Alt with it;
    - with any other control character: the two keys, Escape and that one.
    """
    table = cast("dict[str, tuple[Enum, ...]]", ANSI_SEQUENCES_KEYS)
    table["\x1b\r"] = (Keys.ControlJ,)
    for backspace in "\x7f\x08":
        table[f"\x1b{backspace}"] = (_AltBackspace.KEY,)
    for code in range(1, 32):
        character = chr(code)
        if character not in "\r\t\b\x1b" and character in table:
            table.setdefault(f"\x1b{character}", (Keys.Escape, *table[character]))
    for key in _AltKey:
        table[f"\x1b{chr(int(key.name.removeprefix('ALT_')))}"] = (key,)


class _AltBackspace(Enum):
    KEY = "alt+backspace"
