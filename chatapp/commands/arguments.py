"""What stands behind `/preset` and `/template`: a name, values for variables, a text."""

import re
from dataclasses import dataclass, field

from chatapp.errors import UsageError
from chatapp.text import cut_text, one_line

_QUOTED = r"\"(?:\\.|[^\"\\])*\"|'[^']*'"
_NAME = re.compile(rf"({_QUOTED}|\S+)\s*", re.DOTALL)
_VALUE = re.compile(rf"([^\W\d]\w*)=({_QUOTED}|\S*)(?:\s+|$)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class PresetCall:
    """`pirate name="Ann Bonny" Where is the map?` in its parts."""

    name: str
    values: dict[str, str] = field(default_factory=dict)
    text: str = ""


def read_preset_call(args: str) -> PresetCall:
    """Read a name, then `VARIABLE=VALUE` as long as there are any, then a text.

    A name or value with spaces stands in quotation marks.
    """
    rest = args.strip()
    named = _NAME.match(rest)
    if named is None:
        return PresetCall("")
    rest = rest[named.end() :]
    values: dict[str, str] = {}
    while found := _VALUE.match(rest):
        if found[1] in values:
            raise UsageError(
                f"`{found[1]}` is given twice.", "A value with spaces stands in quotation marks."
            )
        values[found[1]] = _unquote(found[2])
        rest = rest[found.end() :]
    return PresetCall(_unquote(named[1]), values, rest)


def refuse_text(call: PresetCall) -> None:
    """`UsageError` if there is a text, for a command that has no use for it."""
    if call.text:
        shown = one_line(cut_text(call.text, 40))
        raise UsageError(
            f"`{shown}` gives no variable a value.",
            'It is written VARIABLE=VALUE, with spaces as in name="Ann Bonny".',
        )


def _unquote(text: str) -> str:
    if len(text) > 1 and text[0] == text[-1] == '"':
        return re.sub(r"\\(.)", r"\1", text[1:-1], flags=re.DOTALL)
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] == "'" else text
