"""The flags of the commands that are the converter's, read from its source.

Promises that the converter is not imported: it runs in a process of its own. A flag whose help is
not a plain text has no help; without source there are no flags.
"""

import ast
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from chatapp.guide.facts.program import FlagRow

_UNDERSTANDING = "answers.py"
_CODE = "author/command.py"
_SOURCES = {
    "convert": ("cli.py", _UNDERSTANDING, _CODE),
    "inspect": ("inspection.py", _UNDERSTANDING),
    "diff": ("comparison.py", _UNDERSTANDING, _CODE),
    "quantize": ("requantize.py",),
}
"""Where the flags of each command are declared."""


def read_converter_flags(command: str) -> Iterator[FlagRow]:
    """The flags of `convert` or one of its kin; none for a command that is not the converter's."""
    spec = find_spec("convert")
    if spec is None or spec.origin is None:
        return
    for name in _SOURCES.get(command, ()):
        try:
            tree = ast.parse((Path(spec.origin).parent / name).read_text(encoding="utf-8"))
        except (OSError, SyntaxError):
            continue
        for call in ast.walk(tree):
            if isinstance(call, ast.Call) and (names := _names(call)):
                yield FlagRow(max(names, key=len), _help(call), names)


def _names(call: ast.Call) -> tuple[str, ...]:
    """The spellings of the flag that a call declares; none where it declares no flag."""
    declares = "help" in {keyword.arg for keyword in call.keywords}
    said = [one.value for one in call.args if isinstance(one, ast.Constant)] if declares else []
    return tuple(one for one in said if isinstance(one, str) and one.startswith("-"))


def _help(call: ast.Call) -> str:
    said = next(keyword.value for keyword in call.keywords if keyword.arg == "help")
    plain = said.value if isinstance(said, ast.Constant) else ""
    if isinstance(said, ast.JoinedStr):  # `how long … (default: {SECONDS})`: what is sure of it
        plain = "".join(str(one.value) for one in said.values if isinstance(one, ast.Constant))
        plain = plain.partition(" (")[0].strip(" ,")
    text = str(plain).strip()
    return f"{text[:1].upper()}{text[1:]}." if text else ""
