"""Texts with variables in braces: `Translate into {to}: {input}`.

A brace itself is doubled, as in `{{`. What is put in for a variable is never looked into, so that
a text with braces stays as it is.
"""

import re
from collections.abc import Mapping

from chatapp.errors import UsageError
from chatapp.text import cut_text, one_line

INPUT = "input"
"""The variable that stands for the text that is given: the question, the text to translate."""
_PIECE = re.compile(r"\{\{|\}\}|\{([^{}\n]*)\}|[{}]")


def is_variable(name: str) -> bool:
    """Whether a variable can be called so: letters, digits and `_`, no digit first."""
    return name.isidentifier()


def find_variables(text: str) -> list[str]:
    """The variables of `text`, each once, in order; `UsageError` for a brace that opens none."""
    found: dict[str, None] = {}
    for piece in _PIECE.finditer(text):
        if piece[0] in ("{{", "}}"):
            continue
        name = (piece[1] or "").strip()
        if not is_variable(name):
            line = text.count("\n", 0, piece.start()) + 1
            shown = one_line(cut_text(text[piece.start() : piece.end() + 20], 30))
            raise UsageError(
                f"line {line}: `{shown}` is no variable.",
                "A variable is a name in braces, as in {name}; a brace itself is doubled: {{ }}.",
            )
        found[name] = None
    return list(found)


def fill(text: str, values: Mapping[str, str]) -> str:
    """`text` with a value for each of its variables; `KeyError` where one has none."""

    def put(piece: re.Match[str]) -> str:
        return piece[0][0] if piece[0] in ("{{", "}}") else values[(piece[1] or "").strip()]

    return _PIECE.sub(put, text)


def fill_some(text: str, values: Mapping[str, str]) -> str:
    """`text` with the variables that have a value filled in; what is left is to be filled still,
    so braces stay doubled."""

    def put(piece: re.Match[str]) -> str:
        name = (piece[1] or "").strip()
        return double_braces(values[name]) if name in values else piece[0]

    return _PIECE.sub(put, text)


def double_braces(text: str) -> str:
    """`text` as it is written where braces mean variables."""
    return text.replace("{", "{{").replace("}", "}}")
