"""Every error chatapp raises on purpose.

One tree: a `ChatAppError` says in `message` what failed and on what, and in `hint` what to do
next. They are raised where the fact is known and caught in two places only, the command line and
the app. `exit_code` is what `chatapp` ends with when the error reaches the command line.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from chatapp.text import whole_text


class ChatAppError(Exception):
    """Something failed in a way we can explain."""

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        message, hint = (whole_text(text) for text in (message, hint))  # names from a disk, too
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".rstrip()


class UsageError(ChatAppError):
    """The command was given something it cannot use."""

    exit_code = 2


class ConfigError(ChatAppError):
    """The settings file cannot be used as it is."""

    exit_code = 2


class ModelError(ChatAppError):
    """A model file cannot be found, read or loaded."""


class TemplateError(ModelError):
    """A chat template cannot be compiled or rendered."""


class ContextOverflowError(ChatAppError):
    """The prompt does not fit the model's context. Nothing was cut off, nothing was generated."""


class EngineError(ChatAppError):
    """The engine process refused a request or failed at it."""


class EngineDiedError(EngineError):
    """The engine process ended by itself. What it had said before is kept."""


class ConnectionLostError(EngineError):
    """A remote server cannot be reached, or left in the middle. What it had said is kept."""


class HubError(ChatAppError):
    """A model hub cannot be reached, refuses, or sent something wrong."""


class HubSilentError(HubError):
    """A model hub cannot be reached, is out of order, or may not be asked."""


class NetworkSettingsError(ChatAppError):
    """A variable of the environment about proxies or certificates cannot be used."""


class StoreError(ChatAppError):
    """The history database cannot be opened, read or written."""


class ConversionError(ChatAppError):
    """The converter refused a checkpoint, or failed at it. It left nothing behind."""

    def __init__(
        self,
        message: str,
        hint: str = "",
        questions: Sequence[Mapping[str, Any]] = (),
        *,
        is_lasting: bool = False,
    ) -> None:
        """`questions`: what the checkpoint leaves open, where that is all. `is_lasting`: the same
        converter says the same of the same files again."""
        super().__init__(message, hint)
        self.questions = tuple(questions)
        self.is_lasting = is_lasting
