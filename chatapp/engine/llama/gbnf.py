"""GBNF read into rules, by the rules of llama.cpp's own reader.

llama.cpp ends the process on grammars that nest deeply, recurse, or repeat from five to none, and
says why another is wrong on its stderr alone. So a grammar is read here first: what is refused has
a reason with its line, and what is accepted is safe to give to llama.cpp. Sequences are laid out as
there, because `chatapp.engine.llama.grammar` follows an answer through them.

Source: `llama_grammar_parser` in llama.cpp's `src/llama-grammar.cpp`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from chatapp.errors import UsageError

_MAX_DEPTH = 200
"""Nested groups; llama.cpp's reader is recursive and overflows its stack at some ten thousand."""
_MAX_ITEMS = 1_000_000
"""Items after repetitions are written out: 8 bytes each in llama.cpp, several times over."""
_MAX_REPEATS = 2000  # MAX_REPETITION_THRESHOLD
_ESCAPES = {"t": "\t", "r": "\r", "n": "\n"} | {char: char for char in '\\"[]-'}
_HEX = {"x": 2, "u": 4, "U": 8}


@dataclass(frozen=True, slots=True)
class Chars:
    """One character: in any of the ranges, or in none of them."""

    ranges: tuple[tuple[int, int], ...]
    positive: bool = True

    def fits(self, code_point: int) -> bool:
        """Whether the character may stand here."""
        return any(low <= code_point <= high for low, high in self.ranges) == self.positive


@dataclass(frozen=True, slots=True)
class Token:
    """One token by its id, or any but that."""

    id: int
    positive: bool = True

    def fits(self, token: int) -> bool:
        """Whether the token may stand here."""
        return (token == self.id) == self.positive


@dataclass(frozen=True, slots=True)
class Ref:
    """A reference to what rule number `rule` derives."""

    rule: int


Item = Chars | Token | Ref
Sequence = list[Item]


@dataclass(slots=True)
class Rules:
    """A grammar: the alternatives of each rule. What a group becomes has its rule's name."""

    alternatives: list[list[Sequence] | None] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    root: int = -1

    def of(self, rule: int) -> list[Sequence]:
        """The alternatives of a rule that is defined."""
        found = self.alternatives[rule]
        assert found is not None
        return found


def read_grammar(text: str, find_token: Callable[[str], int]) -> Rules:
    """The rules in `text`; `UsageError` with the line of what is wrong.

    `find_token` gives the id of the token that `<name>` or `<[7]>` names; it raises `UsageError`.
    """
    return _Reader(text, find_token).read()


class _Reader:
    def __init__(self, text: str, find_token: Callable[[str], int]) -> None:
        self._text = text.partition("\0")[0] + "\0"  # the end needs no test of its own
        self._at = 0
        self._find_token = find_token
        self._rules = Rules()
        self._ids: dict[str, int] = {}
        self._n_items = 0

    def read(self) -> Rules:
        self._skip_space(newlines=True)
        while self._next != "\0":
            self._read_rule()
        rules = self._rules
        for name, number in self._ids.items():
            if rules.alternatives[number] is None:
                raise UsageError(
                    f"The grammar is not valid GBNF: the rule {name[:80]} is used and not defined."
                )
        if "root" not in self._ids:
            raise UsageError("The grammar is not valid GBNF: it needs a rule named root.")
        rules.root = self._ids["root"]
        return rules

    @property
    def _next(self) -> str:
        return self._text[self._at]

    def _fail(self, reason: str) -> UsageError:
        line = self._text.count("\n", 0, self._at) + 1
        rest = self._text[self._at : self._at + 40].partition("\n")[0].rstrip("\0\r")
        where = f"line {line}, at `{rest}`" if rest else f"line {line}, at its end"
        return UsageError(f"The grammar is not valid GBNF: {reason} ({where}).")

    def _add_rule(self, name: str) -> int:
        self._rules.alternatives.append(None)
        self._rules.names.append(name)
        return len(self._rules.names) - 1

    def _rule_named(self, name: str) -> int:
        if name not in self._ids:
            self._ids[name] = self._add_rule(name)
        return self._ids[name]

    def _skip_space(self, *, newlines: bool) -> None:
        while True:
            if self._next == "#":
                while self._next not in "\0\r\n":
                    self._at += 1
            elif self._next in " \t" or (newlines and self._next in "\r\n"):
                self._at += 1
            else:
                return

    def _read_while(self, wanted: Callable[[str], bool], expected: str) -> str:
        start = self._at
        while wanted(self._next):
            self._at += 1
        if self._at == start:
            raise self._fail(f"expecting {expected}")
        return self._text[start : self._at]

    def _expect(self, char: str) -> None:
        if not self._text.startswith(char, self._at):
            raise self._fail(f"expecting {char}")
        self._at += len(char)

    def _read_rule(self) -> None:
        name = self._read_while(_is_word, "a rule's name")
        self._skip_space(newlines=False)
        number = self._rule_named(name)
        self._expect("::=")
        self._skip_space(newlines=True)
        self._rules.alternatives[number] = self._read_alternatives(name, 0)
        if self._next not in "\0\r\n":
            raise self._fail("expecting newline or end")
        self._skip_space(newlines=True)

    def _read_alternatives(self, name: str, depth: int) -> list[Sequence]:
        found = [self._read_sequence(name, depth)]
        while self._next == "|":
            self._at += 1
            self._skip_space(newlines=True)
            found.append(self._read_sequence(name, depth))
        return found

    def _read_sequence(self, name: str, depth: int) -> Sequence:
        sequence: Sequence = []
        last, weight = 0, 1
        """Where the item begins that a repetition repeats, and how many rules it stands for."""
        while True:
            if self._next in "*+?{":
                weight *= self._repeat(sequence, last, weight, name)
            elif self._next in '"[<!(.' or _is_word(self._next):
                last, before = len(sequence), len(self._rules.names)
                is_group = self._next == "("
                sequence += self._read_item(name, depth)
                weight = max(1, len(self._rules.names) - before) if is_group else 1
                self._count(len(sequence) - last)
            else:
                return sequence
            self._skip_space(newlines=depth > 0)

    def _count(self, n: int) -> None:
        self._n_items += n
        if self._n_items > _MAX_ITEMS:
            raise self._fail(f"it is longer than {_MAX_ITEMS} items with its repetitions")

    def _read_item(self, name: str, depth: int) -> Sequence:
        first = self._next
        if _is_word(first):
            return [Ref(self._rule_named(self._read_while(_is_word, "a name")))]
        if first in "<!":
            return [self._read_token()]
        self._at += 1
        if first == ".":
            return [Chars((), positive=False)]
        if first == '"':
            return self._read_literal()
        if first == "[":
            return self._read_class()
        if depth == _MAX_DEPTH:
            raise self._fail(f"more than {_MAX_DEPTH} groups are nested")
        self._skip_space(newlines=True)
        number = self._add_rule(name)
        self._rules.alternatives[number] = self._read_alternatives(name, depth + 1)
        self._expect(")")
        return [Ref(number)]

    def _read_literal(self) -> Sequence:
        found: Sequence = []
        while self._next != '"':
            code_point = self._read_char()
            found.append(Chars(((code_point, code_point),)))
        self._at += 1
        return found

    def _read_class(self) -> Sequence:
        positive = self._next != "^"
        self._at += not positive
        ranges = []
        while self._next != "]":
            low = high = self._read_char()
            if self._next == "-" and self._text[self._at + 1] != "]":
                self._at += 1
                high = self._read_char()
            ranges.append((low, high))
        self._at += 1
        return [Chars(tuple(ranges), positive)] if ranges else []

    def _read_char(self) -> int:
        char = self._next
        if char == "\0":
            raise self._fail("unexpected end of input")
        if char != "\\":
            self._at += 1
            return ord(char)
        escape = self._text[self._at + 1]
        if escape in _ESCAPES:
            self._at += 2
            return ord(_ESCAPES[escape])
        n = _HEX.get(escape)
        if n is None:
            raise self._fail("unknown escape")
        digits = self._text[self._at + 2 : self._at + 2 + n]
        if len(digits) < n or any(digit not in "0123456789abcdefABCDEF" for digit in digits):
            raise self._fail(f"expecting {n} hex chars")
        self._at += 2 + n
        return int(digits, 16)

    def _read_token(self) -> Token:
        positive = self._next != "!"
        self._at += not positive
        if self._next != "<":
            raise self._fail("expecting <")
        end = self._text.find(">", self._at)
        if end < 0:
            raise self._fail("expecting >")
        try:
            found = Token(self._find_token(self._text[self._at : end + 1]), positive)
        except UsageError as error:
            raise self._fail(error.message) from None
        self._at = end + 1
        return found

    def _repeat(self, sequence: Sequence, last: int, weight: int, name: str) -> int:
        """Write out what stands behind an item; returns how many times it may stand there."""
        if last == len(sequence):
            raise self._fail("expecting preceding item to */+/?/{")
        least, most = self._read_bounds()
        times = most or least or 1
        if weight * times > _MAX_REPEATS:
            raise self._fail(f"more than {_MAX_REPEATS} repetitions, inner ones multiplied")
        repeated = sequence[last:]
        self._count(len(repeated) * (times + 1))
        sequence[last:] = repeated * least
        previous: int | None = None
        for _ in range(1 if most is None else most - least):
            number = self._add_rule(name)
            again = number if most is None else previous
            tail: Sequence = [] if again is None else [Ref(again)]
            self._rules.alternatives[number] = [repeated + tail, []]
            previous = number
        if previous is not None:
            sequence.append(Ref(previous))
        return times

    def _read_bounds(self) -> tuple[int, int | None]:
        sign = self._next
        self._at += 1
        if sign != "{":
            return (1 if sign == "+" else 0), (1 if sign == "?" else None)
        least, most = self._read_int(), None
        if self._next == ",":
            self._at += 1
            self._skip_space(newlines=True)
            most = self._read_int() if self._next.isascii() and self._next.isdigit() else None
        else:
            most = least
        if least > _MAX_REPEATS:
            raise self._fail(f"more than {_MAX_REPEATS} repetitions")
        if most is not None and most < least:
            raise self._fail(f"{{{least},{most}}} ends before it begins")
        self._expect("}")
        return least, most if most is None or most <= _MAX_REPEATS else None

    def _read_int(self) -> int:
        self._skip_space(newlines=True)
        digits = self._read_while(lambda char: char.isascii() and char.isdigit(), "an int")
        self._skip_space(newlines=True)
        return min(int(digits[:9]), _MAX_REPEATS + 1) if len(digits) < 10 else _MAX_REPEATS + 1


def _is_word(char: str) -> bool:
    return char.isascii() and (char.isalnum() or char == "-")
