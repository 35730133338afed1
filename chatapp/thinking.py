"""How much a model is to think before it answers: a word or a number, and what follows from it.

Whoever has a template that knows `reasoning_effort` leaves low, medium and high to the model;
elsewhere they are budgets. A budget bounds the thoughts of a whole turn.
"""

from dataclasses import dataclass
from typing import Self

from chatapp.errors import UsageError
from chatapp.parts import Parts, Reasoning, Text

BUDGETS = {"low": 512, "medium": 2048, "high": 8192}
"""Tokens of thought where the model's template knows no effort; the levels of llama.cpp's UI."""
WORDS = ("on", "off", *BUDGETS)
_MOST = 2**31 - 1
_MOST_DIGITS = 20


@dataclass(frozen=True, slots=True)
class Thinking:
    """What was asked for. `Thinking("")` asks for nothing: the model does as it does by itself."""

    asked: str = ""
    """Empty, one of `WORDS`, or a number of tokens above 0 in digits."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `on`, `off`, `low`, `medium`, `high` or a number of tokens; 0 is `off`.

        `UsageError` for anything else; empty text asks for nothing.
        """
        word = text.strip().lower()
        if word in ("", *WORDS):
            return cls(word)
        digits = word.replace("_", "").replace(",", "")
        if digits.isascii() and digits.isdigit():
            number = int(digits) if len(digits) <= _MOST_DIGITS else _MOST + 1
            if number <= _MOST:
                return cls(str(number) if number else "off")
        raise UsageError(
            f"{text.strip()[:40]!r} does not say how much to think.",
            f"It can be {', '.join(WORDS)}, or the most tokens of thought, as in 1000.",
        )

    @property
    def enabled(self) -> bool | None:
        """Whether to think at all; None: as the model does by itself."""
        return self.asked != "off" if self.asked else None

    @property
    def effort(self) -> str:
        """`low`, `medium`, `high`, or empty."""
        return self.asked if self.asked in BUDGETS else ""

    def budget(self, *, knows_effort: bool) -> int | None:
        """Most tokens of thought; None: as many as it likes. `knows_effort`: the template does."""
        if self.asked == "off":
            return 0
        if self.asked.isdigit():
            return int(self.asked)
        return None if knows_effort else BUDGETS.get(self.asked)

    @property
    def switches(self) -> dict[str, bool | str]:
        """What a chat template is given."""
        found: dict[str, bool | str] = {}
        if self.enabled is not None:
            found["enable_thinking"] = self.enabled
        if self.effort:
            found["reasoning_effort"] = self.effort
        return found


def is_only_thought(parts: Parts) -> bool:
    """Whether a model thought and then said nothing, and called nothing either."""
    thought = any(isinstance(part, Reasoning) and part.text.strip() for part in parts)
    return thought and all(
        isinstance(part, Reasoning) or (isinstance(part, Text) and not part.text.strip())
        for part in parts
    )


def explain_silence(parts: Parts, finish_reason: str) -> str:
    """The sentence on an answer that says nothing; empty for one that does, or calls a tool."""
    at_limit = finish_reason == "length"
    if is_only_thought(parts):
        if at_limit:
            return "The model thought until the limit of tokens was reached, and gave no answer."
        return "The model thought and gave no answer."
    if any(not isinstance(part, Text) or part.text.strip() for part in parts):
        return ""
    if at_limit:
        return "The limit of tokens was reached before the model said a word."
    return "The model gave an empty answer."
