"""What a checkpoint says about its model beyond shapes: heads, epsilon, activation, rope.

Shapes cannot tell these, so they come from the checkpoint's own configuration or from the user
(--set), and are never guessed in silence: a value that is missing is an error naming the flag, and
a default is used only where the format itself defines one.
"""

from __future__ import annotations

from math import isfinite
from typing import Any

from convert.checkpoints.checkpoint import Checkpoint
from convert.errors import ArchitectureError


class Settings:
    """Reads a checkpoint's configuration, field by field, each under any of its usual names."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self._where = checkpoint.path.name
        self._config = checkpoint.config

    def has(self, *names: str) -> bool:
        """Whether any of `names` is there and not null."""
        return self._find(names)[1] is not None

    def said(self, name: str) -> bool:
        """Whether `name` is there, be it null."""
        return name in self._config

    def raw(self, *names: str) -> Any:
        """The value under the first of `names` that is there, or None."""
        return self._find(names)[1]

    def integer(self, *names: str, default: int | None = None) -> int:
        """A whole number, at least 1. Raises `ArchitectureError` when missing without `default`."""
        name, value = self._find(names)
        if value is None:
            if default is None:
                raise self._missing(names)
            return default
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or not 0 < value < 1 << 31:
            raise ArchitectureError(f"{name} is {value!r:.40} in {self._where}, not a number > 0.")
        return value

    def number(self, *names: str, default: float | None = None) -> float:
        """A finite number. Raises `ArchitectureError` when missing without `default`."""
        name, value = self._find(names)
        if value is None:
            if default is None:
                raise self._missing(names)
            return default
        if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > 1e30:
            raise ArchitectureError(f"{name} is {value!r:.40} in {self._where}, not a number.")
        if not isfinite(value):
            raise ArchitectureError(f"{name} is {value!r:.40} in {self._where}.")
        return float(value)

    def text(self, *names: str, default: str | None = None) -> str:
        """A text. Raises `ArchitectureError` when missing without `default`."""
        name, value = self._find(names)
        if value is None:
            if default is None:
                raise self._missing(names)
            return default
        if not isinstance(value, str):
            raise ArchitectureError(f"{name} is {value!r:.40} in {self._where}, not a text.")
        return value

    def flag(self, *names: str, default: bool) -> bool:
        """True or false."""
        name, value = self._find(names)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise ArchitectureError(f"{name} is {value!r:.40} in {self._where}, not true or false.")
        return value

    def require(self, name: str, allowed: tuple[Any, ...], because: str) -> None:
        """Raise unless `name` is missing, null or one of `allowed`; `because` says why."""
        value = self._config.get(name)
        if value is not None and value not in allowed:
            raise ArchitectureError(f"{name} is {value!r:.60} in {self._where}: {because}.")

    def _find(self, names: tuple[str, ...]) -> tuple[str, Any]:
        for name in names:
            if self._config.get(name) is not None:
                return name, self._config[name]
        return names[0], None

    def _missing(self, names: tuple[str, ...]) -> ArchitectureError:
        return ArchitectureError(
            f"{self._where} does not say what {names[0]} is, and shapes cannot tell.",
            f"Give it: --set {names[0]}=VALUE.",
        )
