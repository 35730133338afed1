"""What a checkpoint says about its model beyond shapes: heads, epsilon, activation, rope.

Shapes cannot tell these, so they come from the checkpoint's own configuration or from the user
(--set), and are never guessed in silence: a value that is missing is asked for (`questions`), and a
default is used only where the format itself defines one.
"""

from __future__ import annotations

from typing import Any

from convert.checkpoints.checkpoint import Checkpoint
from convert.errors import ArchitectureError
from convert.questions import Answer, Choice, Question


class Settings:
    """Reads a checkpoint's configuration, field by field, each under any of its usual names."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self._checkpoint = checkpoint
        self._where = checkpoint.path.name
        self._config = checkpoint.config

    def has(self, *names: str) -> bool:
        """Whether any of `names` is there and not null."""
        return self._find(names)[1] is not None

    def said(self, name: str) -> bool:
        """Whether `name` is there, be it null."""
        self._checkpoint.questions.known.add(name)
        return name in self._config

    def raw(self, *names: str) -> Any:
        """The value under the first of `names` that is there, or None."""
        return self._find(names)[1]

    def integer(
        self,
        *names: str,
        default: int | None = None,
        choices: tuple[Choice, ...] = (),
        why: str = "",
        flag: str = "",
    ) -> int:
        """A whole number, at least 1. Missing without `default`, it is asked for."""
        return int(self._value(names, int, default, why, choices, flag))

    def number(
        self,
        *names: str,
        default: float | None = None,
        choices: tuple[Choice, ...] = (),
        why: str = "",
    ) -> float:
        """A finite number. Missing without `default`, it is asked for; `choices` are examples."""
        return float(self._value(names, float, default, why, choices))

    def text(self, *names: str, default: str | None = None) -> str:
        """A text. Missing without `default`, it is asked for."""
        return str(self._value(names, str, default))

    def flag(self, *names: str, default: bool) -> bool:
        """A setting that is true or false; `default` where it is missing."""
        return bool(self._value(names, bool, default))

    def ask(self, question: Question) -> Answer:
        """What the configuration answers to `question`, as `Checkpoint.ask` has it."""
        return self._checkpoint.ask(question)

    def require(self, name: str, allowed: tuple[Any, ...], because: str) -> None:
        """Raise unless `name` is missing, null or one of `allowed`; `because` says why."""
        value = self.raw(name)
        if value is not None and value not in allowed:
            raise ArchitectureError(f"{name} is {value!r:.60} in {self._where}: {because}.")

    def _find(self, names: tuple[str, ...]) -> tuple[str, Any]:
        self._checkpoint.questions.known |= set(names)
        for name in names:
            if self._config.get(name) is not None:
                return name, self._config[name]
        return names[0], None

    def _value(
        self,
        names: tuple[str, ...],
        kind: type[Answer],
        default: Answer | None,
        why: str = "",
        choices: tuple[Choice, ...] = (),
        flag: str = "",
    ) -> Answer:
        if default is not None and not self.has(*names):
            return default
        why = why or f"{self._where} does not say, and shapes cannot tell."
        others = kind is float or not choices
        return self.ask(Question(names[0], why, choices, kind, others, names=names[1:], flag=flag))
