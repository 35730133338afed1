"""Colours for code: source in, one list of runs a line out, by Pygments.

The lexer of an unknown language is plain text. Pygments is imported when the first fence is drawn.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import TYPE_CHECKING

from chatapp.ui.markdown.flow import Run

if TYPE_CHECKING:
    from pygments.lexer import Lexer  # type: ignore[import-untyped]

# Pygments token names to ours; the longest that fits wins.
_STYLES = (
    ("Comment", "comment"),
    ("Keyword.Constant", "number"),
    ("Keyword", "keyword"),
    ("Literal.Number", "number"),
    ("Literal.String", "string"),
    ("Name.Function", "function"),
    ("Name.Class", "function"),
    ("Name.Decorator", "function"),
    ("Name.Tag", "keyword"),
    ("Name.Attribute", "function"),
    ("Name.Builtin", "builtin"),
    ("Operator.Word", "keyword"),
    ("Generic.Deleted", "deleted"),
    ("Generic.Inserted", "string"),
    ("Generic.Heading", "keyword"),
)


@lru_cache(maxsize=32)
def _lexer(language: str) -> "Lexer | None":
    from pygments.lexers import get_lexer_by_name  # type: ignore[import-untyped]
    from pygments.util import ClassNotFound  # type: ignore[import-untyped]

    try:
        return get_lexer_by_name(language, stripnl=False, ensurenl=False)
    except ClassNotFound:
        return None


@lru_cache(maxsize=512)
def _style(token: object) -> str:
    name = str(token)
    for prefix, style in _STYLES:
        if name.startswith(f"Token.{prefix}"):
            return f"fence {style}"
    return "fence"


def colour_lines(lines: list[str], language: str) -> Iterator[list[Run]]:
    """`lines` coloured as one source, so strings and comments may span them; each line is made when
    it is asked for (1.2 to 4 ms for 1 kB)."""
    lexer = _lexer(language.lower()[:32]) if language else None
    if lexer is None:
        yield from ([Run(line, "fence")] for line in lines)
        return
    left = len(lines)
    runs: list[Run] = []
    for token, text in lexer.get_tokens("\n".join(lines)):
        style = _style(token)
        for number, part in enumerate(text.split("\n")):
            if number:
                yield runs
                runs, left = [], left - 1
            if part:
                runs.append(Run(part, style))
    yield runs
    yield from ([] for _ in range(left - 1))
