r"""LaTeX's mathematics, written with Unicode where that is sure.

Where a reading might say something else than the source there is none, and the source is shown.
Libraries were tried: pylatexenc 2.11 writes `\frac{a+b}{c}` as `a+b/c` and drops the names it does
not know, unicodeit 0.7.5 makes `≤ft(` of `\left(`.
"""

import re
from dataclasses import dataclass

from chatapp.ui.markdown.symbols import (
    ACCENTS,
    BRACKETS,
    FUNCTIONS,
    LETTERS,
    LOWERED,
    OPERATORS,
    RAISED,
    RELATIONS,
    SMALL,
    names,
    styled_letter,
)

_MAX_BODY = 2_000
"""A longer formula is shown as it was written."""

_MAX_DEPTH = 16
_ALIGNED = ("align", "aligned", "alignat", "gather", "gathered", "equation", "split", "multline")


class _UnsureError(Exception):
    """The source may mean something that plain text cannot say."""


@dataclass(frozen=True, slots=True)
class _Item:
    text: str
    kind: str = "word"
    """word, relation, operator, function, fraction, space, line or script."""


def write_maths(body: str) -> str | None:
    """`body` in Unicode, or `None` where that is not sure. It may have several lines."""
    if len(body) > _MAX_BODY:
        return None
    try:
        text = _join(_Writer(body).formula())
    except (_UnsureError, KeyError, IndexError):
        return None
    lines = [re.sub(r" {2,}", " ", line).strip() for line in text.split("\n")]
    return "\n".join(line for line in lines if line) or None


_SIGN = re.compile(r"\\[a-zA-Z]+\*?|\\[\s\S]|\s+|[\s\S]")
_FRACTIONS = ("frac", "dfrac", "tfrac")
_SIZES = names("left right middle big Big bigg Bigg bigl bigr Bigl Bigr biggl biggr Biggl Biggr")
_NO_LOOK = names("displaystyle textstyle limits nolimits nonumber notag")
_UPRIGHT = names("mathrm mathbf mathit mathsf boldsymbol bm pmb operatorname")
_TEXTS = names("text textrm textbf textit mbox texttt textsf")
_SPACES = frozenset({",", ";", ":", " ", ">", "quad", "qquad", "enspace", "thinspace"})
_PREFIXES = ("Delta", "partial", "nabla")
_ROOTS = {"": "√", "2": "√", "3": "∛", "4": "∜"}


class _Writer:
    """Reads signs of a formula, one level at a time."""

    def __init__(self, body: str) -> None:
        self._signs: list[str] = _SIGN.findall(body)
        self._at = 0
        self._depth = 0
        self._environments: list[str] = []

    def formula(self) -> list[_Item]:
        """Read the whole formula; raises `_UnsureError` where its meaning is not sure."""
        items = self.sequence("")
        if self._environments:
            raise _UnsureError
        return items

    def sequence(self, stop: str) -> list[_Item]:
        """Items up to the sign `stop`, which is passed; "" stands for the end."""
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise _UnsureError
        items: list[_Item] = []
        while True:
            if self._at == len(self._signs):
                if stop:
                    raise _UnsureError
                break
            if self._signs[self._at] == stop:
                self._at += 1
                break
            self._read(items)
        self._depth -= 1
        return items

    def _read(self, items: list[_Item]) -> None:
        sign = self._next()
        if sign in "^_":
            items.append(_Item(self._script(sign), "script"))
        elif sign == "{":
            group = self.sequence("}")
            text = _join(group) if self._peek() in ("^", "_") else ""
            items += [_Item(_base(text))] if len(group) > 1 and text else group
        elif sign[0] == "\\":
            items += self._command(sign[1:])
        elif sign.isspace() or sign == "~" or (sign == "&" and self._environments):
            items.append(_Item(" ", "space"))
        elif sign in "}&$#%":
            raise _UnsureError
        elif sign in "=<>":
            items.append(_Item(sign, "relation"))
        else:
            items.append(_Item("′" if sign == "'" else sign))

    def _next(self) -> str:
        self._at += 1
        return self._signs[self._at - 1]

    def _peek(self) -> str:
        return self._signs[self._at] if self._at < len(self._signs) else ""

    def _argument(self) -> str:
        while self._peek().isspace():
            self._at += 1
        items: list[_Item] = []
        if self._peek() in ("^", "_", "&", "}", ""):
            raise _UnsureError
        if self._peek() == "{":
            self._at += 1
            items = self.sequence("}")
        else:
            self._read(items)
        return _join(items).strip()

    def _script(self, way: str) -> str:
        text = self._argument()
        if not text:
            return ""
        small = RAISED if way == "^" else LOWERED
        if all(char in small for char in text.replace(" ", "")):
            return "".join(small[char] for char in text.replace(" ", ""))
        return f"{way}{text}" if len(text) == 1 else f"{way}({text})"

    def _command(self, name: str) -> list[_Item]:
        for table, kind in (
            (LETTERS, "word"),
            (RELATIONS, "relation"),
            (OPERATORS, "operator"),
            (BRACKETS, "word"),
        ):
            if name in table:
                if name in _PREFIXES and self._peek().isspace():
                    self._at += 1
                return [_Item(table[name], kind)]
        if name in FUNCTIONS:
            return [_Item(name, "function")]
        if name in _SPACES:
            return [_Item(" ", "space")]
        if name == "!" or name in _NO_LOOK:
            return []
        if len(name) == 1 and name in "%$&#_":
            return [_Item(name)]
        if name == "\\":
            return self._new_line()
        return self._structure(name)

    def _structure(self, name: str) -> list[_Item]:
        if name in _FRACTIONS:
            above, below = self._argument(), self._argument()
            return [_Item(f"{_term(above)}/{_factor(below)}", "fraction")]
        if name == "sqrt":
            return [_Item(self._root())]
        if name in _SIZES:
            return self._delimiter()
        if name in _TEXTS:
            return [_Item(self._plain_text(), "word")]
        if name in _UPRIGHT:
            return [_Item(self._argument(), "function" if name == "operatorname" else "word")]
        if name in ("mathbb", "mathcal", "mathscr"):
            return [_Item("".join(styled_letter(name, char) for char in self._argument()))]
        if name in ACCENTS:
            letter = self._argument()
            if len(letter) != 1 or not letter.isalpha():
                raise _UnsureError
            return [_Item(letter + ACCENTS[name])]
        if name in ("pmod", "bmod"):
            return [_Item(f" (mod {self._argument()})" if name == "pmod" else " mod ")]
        if name in ("begin", "end"):
            return self._environment(name)
        raise _UnsureError

    def _new_line(self) -> list[_Item]:
        if self._depth > 1:
            raise _UnsureError
        if self._peek() == "[":  # room below, as in `\\[2pt]`
            while self._next() != "]":
                pass
        return [_Item("\n", "line")]

    def _root(self) -> str:
        order = ""
        if self._peek() == "[":
            self._at += 1
            order = _join(self.sequence("]")).strip()
        body = self._argument()
        sign = _ROOTS[order] if order in _ROOTS else "".join(RAISED[c] for c in order) + "√"
        return f"{sign}{_factor(body)}"

    def _delimiter(self) -> list[_Item]:
        sign = self._next()
        if sign == ".":
            return []
        if sign[0] == "\\":
            name = sign[1:]
            return [_Item(BRACKETS[name] if name in BRACKETS else RELATIONS[name])]
        if sign not in "()[]|/<>":
            raise _UnsureError
        return [_Item(sign)]

    def _plain_text(self) -> str:
        if self._next() != "{":
            raise _UnsureError
        out = ""
        while (sign := self._next()) != "}":
            if sign[0] == "\\" or sign in "{$":
                raise _UnsureError
            out += sign
        return re.sub(r"\s+", " ", out)

    def _braced(self) -> str:
        if self._next() != "{":
            raise _UnsureError
        out = ""
        while (sign := self._next()) != "}":
            out += sign
        return out

    def _environment(self, verb: str) -> list[_Item]:
        name = self._braced()
        if name.rstrip("*") not in _ALIGNED or self._depth > 1:
            raise _UnsureError
        if verb == "begin":
            self._environments.append(name)
        elif not self._environments or self._environments.pop() != name:
            raise _UnsureError
        return [_Item("\n", "line")]


def _join(items: list[_Item]) -> str:
    """The items as one text: what would be read otherwise once it is in a line gets brackets."""
    out = ""
    for at, item in enumerate(items):
        text = item.text
        following = next((other for other in items[at + 1 :] if other.kind != "space"), None)
        before = out.rstrip(" ")[-1:]
        if item.kind == "fraction":
            close = following is not None and (
                following.kind in ("fraction", "script", "function")
                or _is_term(following.text[:1])
                or following.text in ("!", "′", "÷")
            )
            if close or before.isalnum() or before in (*SMALL, *")]}/÷!∞"):
                text = f"({text})"
        elif item.kind == "relation":
            text = f" {text} "
        elif item.kind == "function" and (out[-1:].isalnum() or out[-1:] in (")", "}")):
            text = f" {text}"
        if at and item.kind != "script" and _runs_on(out, text, items[at - 1]):
            text = f" {text}"
        out += text
    return out


def _runs_on(out: str, text: str, before: _Item) -> bool:
    """Whether `text` would be read as a part of what stands before it."""
    if not _is_term(text[:1]) or not (out[-1:].isalnum() or out[-1:] in SMALL):
        return False
    unsettled = before.kind == "script" and before.text[0] in "^_"
    rooted = before.text[:1] in ("√", "∛", "∜")
    return unsettled or rooted or before.kind == "function"


def _is_term(char: str) -> bool:
    return bool(char) and (char.isalnum() or char in "(√∛∜∞")


def _term(text: str) -> str:
    """`text` as what is divided."""
    depth = 0
    for char in text:
        depth += (char in "([{") - (char in ")]}")
        if not depth and char in " +-/·×=<>±,∗|":
            return f"({text})"
    return text


_FACTOR = re.compile(
    rf"(?:\d+(?:\.\d+)?|[d∂]?[^\W\d_]|√[^\W\d_])[{''.join(map(re.escape, sorted(SMALL)))}]*"
)


def _base(text: str) -> str:
    """`text` as what a power belongs to."""
    return text if len(text) == 1 else f"({text})"


def _factor(text: str) -> str:
    """`text` as what divides: only one number or letter goes without brackets."""
    return text if _FACTOR.fullmatch(text) else f"({text})"
