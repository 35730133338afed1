"""What a checkpoint leaves open, asked all at once: questions as values.

A reader asks with `Checkpoint.ask(Question(...))` and goes on. Where the configuration or --set
says the answer, that comes back, checked; where nobody says, the question is kept and a value that
the shapes allow comes back for the time being, so that the reader meets its other questions too.
`Questions.together()` stands around the whole reading and raises all of them as one
`OpenQuestions`: nothing is ever written with a value of the time being. A reader that cannot go on
raises any `ConvertError` with `question=Question(...)`, which joins the others.

    norm_first = checkpoint.ask(
        Question(
            "norm_first",
            "Norms stand before or behind attention and MLP, and tensors cannot tell.",
            choices=(
                Choice(True, "before, as GPT-2", {"perplexity": 6.1}),
                Choice(False, "behind, as the first transformers", {"perplexity": 212.0}),
            ),
        )
    )
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from convert.errors import ArchitectureError, ConvertError

Answer = bool | int | float | str
_KINDS = {bool: "true or false", int: "a number > 0", float: "a number", str: "a text"}
_SHOWN = 16  # choices in a sentence
_PLACEHOLDERS = {bool: "true|false", int: "N", float: "X", str: "VALUE"}


@dataclass(frozen=True)
class Choice:
    """One value that fits, a word on what it means, and what was measured with it."""

    value: Answer
    meaning: str = ""
    measured: Mapping[str, float] = field(default_factory=dict)
    """Such as {"perplexity": 12.3}."""


@dataclass(frozen=True)
class Question:
    """One thing that a checkpoint leaves open, and the answers it may have."""

    name: str
    """Its key in the configuration: --set NAME=VALUE answers it."""
    why: str
    """A sentence: what it is, and why it is asked."""
    choices: tuple[Choice, ...] = ()
    """What the shapes allow, the likeliest first; () where they say nothing."""
    kind: type[Answer] | None = None
    """Of the answer; None: as the first choice's."""
    others: bool = False
    """Whether an answer may be none of `choices`, which then are examples."""
    default: Answer | None = None
    """The usual value, where one is so usual that it may be put into a command to copy."""
    names: tuple[str, ...] = ()
    """Other keys under which a configuration may have it."""
    flag: str = ""
    """What answers it where that is not --set, such as "--n-head"."""

    @property
    def type(self) -> type[Answer]:
        """The type that an answer to the question has."""
        return self.kind or type(self.choices[0].value)

    @property
    def for_the_moment(self) -> Answer:
        """A value to go on with until it is answered."""
        if self.default is not None:
            return self.default
        return self.choices[0].value if self.choices else self.type(1)

    @property
    def answer(self) -> str:
        """The flag with the usual value, or with a word in its place that no reader takes."""
        value = _PLACEHOLDERS[self.type] if self.default is None else spell(self.default)
        return f"{self.flag} {value}" if self.flag else f"--set {self.name}={value}"

    def check(self, name: str, value: Any) -> Answer:
        """`value`, said under `name`, in the question's type. Raises `ArchitectureError`."""
        kind = self.type
        if kind is int and isinstance(value, float) and value.is_integer():
            value = int(value)
        if kind is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value) if abs(value) < 1 << 100 else math.inf
        fits = type(value) is kind
        if kind is int and fits:
            fits = 0 < value < 1 << 31
        if kind is float and fits:
            fits = math.isfinite(value) and abs(value) <= 1e30
        if not fits:
            raise ArchitectureError(f"{name} is {value!r:.40}, not {_KINDS[kind]}.")
        checked: Answer = value
        if self.choices and not self.others and checked not in [c.value for c in self.choices]:
            allowed = ", ".join(spell(choice.value) for choice in self.choices[:_SHOWN])
            raise ArchitectureError(
                f"{name} is {value!r:.40}, which does not fit the tensors.",
                f"These fit: {allowed}.",
            )
        return checked

    def as_dict(self) -> dict[str, Any]:
        """The question as plain values, for JSON and for a screen."""
        return {
            "name": self.name,
            "why": self.why,
            "kind": {bool: "flag", int: "integer", float: "number", str: "text"}[self.type],
            "choices": [
                {
                    "value": c.value,
                    "text": spell(c.value),
                    "meaning": c.meaning,
                    "measured": dict(c.measured),
                }
                for c in self.choices
            ],
            "others": self.others or not self.choices,
            "default": self.default,
            "flag": self.flag or f"--set {self.name}=",
        }

    def lines(self) -> list[str]:
        """The question as lines of text: why, every choice with its meaning, how to answer."""
        lines = [f"{self.name}: {self.why}"]
        width = max((len(spell(choice.value)) for choice in self.choices), default=0)
        for choice in self.choices[:_SHOWN]:
            words = [choice.meaning] if choice.meaning else []
            words += [f"{name} {value:.4g}" for name, value in choice.measured.items()]
            words += ["usual"] if choice.value == self.default else []
            lines.append(f"    {spell(choice.value):<{width}}  {', '.join(words)}".rstrip())
        if len(self.choices) > _SHOWN:
            lines.append(f"    and {len(self.choices) - _SHOWN} more")
        return [*lines, f"    answer: {self.answer}"]


class OpenQuestions(ConvertError):  # noqa: N818  (not a fault of the checkpoint's)
    """A checkpoint leaves things open. `questions` are all of them, as values."""

    is_lasting = True

    def __init__(self, where: str, questions: Sequence[Question], besides: str = "") -> None:
        names = ", ".join(question.name for question in questions)
        n, lines = len(questions), [line for each in questions for line in each.lines()]
        message = f"{where} leaves {n} {'thing' if n == 1 else 'things'} open: {names}."
        hint = "\n".join([*lines, *([f"Besides: {besides}"] if besides else [])])
        super().__init__(message, hint)
        self.questions = tuple(questions)

    def as_dict(self) -> list[dict[str, Any]]:
        """The open questions as plain values, for JSON."""
        return [question.as_dict() for question in self.questions]

    @property
    def flags(self) -> str:
        """The answers to all of them as words of a command."""
        return " ".join(question.answer for question in self.questions)


class Questions:
    """The open questions of one checkpoint, in the order they were met."""

    def __init__(self) -> None:
        self._open: dict[str, Question] = {}
        self._depth = 0
        self.known: set[str] = set()
        """Keys that its configuration has, and that somebody looked for."""

    @property
    def pending(self) -> bool:
        """Whether anything was asked that nobody has answered."""
        return bool(self._open)

    def ask(self, question: Question, said: Mapping[str, Any]) -> Answer:
        """The answer in `said`, or one for the moment. Raises `ArchitectureError`."""
        self.known |= {question.name, *question.names}
        for name in (question.name, *question.names):
            if said.get(name) is not None:
                return question.check(name, said[name])
        self._open.setdefault(question.name, question)
        return question.for_the_moment

    @contextmanager
    def together(self, where: str) -> Iterator[None]:
        """Raise `OpenQuestions` at the end of the outermost block if there are any.

        A refusal meanwhile is told with them, unless one was answered blindly: it may follow from
        that.
        """
        besides = ""
        self._depth += 1
        try:
            yield
        except ConvertError as refusal:
            if self._depth > 1:
                raise
            if refusal.question is not None:
                self._open.setdefault(refusal.question.name, refusal.question)
            elif not self._open:
                raise
            elif all(question.choices for question in self._open.values()):
                besides = refusal.message
        finally:
            self._depth -= 1
        if self._open and not self._depth:
            met, self._open = [*self._open.values()], {}  # another reading meets its own
            raise OpenQuestions(where, met, besides)


def spell(value: Answer) -> str:
    """`value` as one writes it behind --set."""
    if isinstance(value, bool):
        return "true" if value else "false"
    whole = isinstance(value, float) and value.is_integer() and abs(value) < 1e15
    return str(int(value)) if whole else str(value)
