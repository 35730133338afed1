"""Large texts kept aside, each with a label that stands for it in the prompt.

A label such as `[pasted 214 lines]` is text like any other to the text area; only labels that were
given out here stand for something, so what somebody types in brackets is only text.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

_LABEL = re.compile(r"\[pasted [^\]\n]*\]")


@dataclass(frozen=True, slots=True)
class Fold:
    """Where a label stands in a line, and what it stands for."""

    start: int
    end: int
    text: str


class Folds:
    """The texts that are kept aside, by label."""

    def __init__(self) -> None:
        self._texts: dict[str, str] = {}

    def add(self, text: str) -> str:
        """Keep `text` aside; its label. The same text has one label."""
        lines = text.count("\n") + 1
        size = f"{lines} lines" if lines > 1 else f"{len(text)} characters"
        label, number = f"[pasted {size}]", 1
        while self._texts.get(label, text) != text:
            number += 1
            label = f"[pasted {size} #{number}]"
        self._texts[label] = text
        return label

    def open(self, text: str) -> str:
        """`text` with what its labels stand for."""
        return _LABEL.sub(lambda found: self._texts.get(found[0], found[0]), text)

    def clear(self) -> None:
        """Keep nothing."""
        self._texts.clear()

    def in_line(self, line: str) -> Iterator[Fold]:
        """The labels of one line."""
        if self._texts:
            for found in _LABEL.finditer(line):
                if found[0] in self._texts:
                    yield Fold(found.start(), found.end(), self._texts[found[0]])

    def at(self, line: str, column: int) -> Fold | None:
        """The label that the cursor at `column` is in or touches."""
        touched = [fold for fold in self.in_line(line) if fold.start <= column <= fold.end]
        return touched[-1] if touched else None

    def inside(self, line: str, column: int) -> Fold | None:
        """The label that would be cut in two at `column`."""
        cut = (fold for fold in self.in_line(line) if fold.start < column < fold.end)
        return next(cut, None)
