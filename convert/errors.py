"""Every error the converter raises on purpose.

`message` says what failed and on which file, `hint` what to do next; `exit_code` is what the
command ends with. A bare Python exception reaching the command line is a bug of ours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from convert.questions import Question


class ConvertError(Exception):
    """A conversion cannot be done, and we can say why."""

    exit_code = 1
    is_lasting = False
    """Whether it is said of the files alone: another try with the same ones ends so again."""

    def __init__(self, message: str, hint: str = "", question: Question | None = None) -> None:
        """`question`: the one whose answer does away with the error, if there is such."""
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.question = question

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".rstrip()


class UsageError(ConvertError):
    """The command was given something it cannot use. Nothing was read or written."""

    exit_code = 2


class CheckpointError(ConvertError):
    """The checkpoint is damaged, hostile, or in a form we do not read."""

    is_lasting = True


class ArchitectureError(ConvertError):
    """The weights do not make up a model that llama.cpp can run."""

    is_lasting = True


class VocabError(ConvertError):
    """The tokenizer is missing, or cannot be carried over exactly."""

    is_lasting = True


class OutputError(ConvertError):
    """The model file cannot be written."""


class CodeError(ConvertError):
    """The model's own code, which was to say what the checkpoint computes, cannot."""


class ProofError(ConvertError):
    """The written file could not be shown to be the same model. It was removed."""


class OtherModelError(ProofError):
    """The written file was measured, and was not the same model. It was removed."""

    is_lasting = True
