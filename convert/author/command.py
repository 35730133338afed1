"""The options of a command that name the model's own code, and the reference they come to."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from convert.author.asked import SECONDS, Code, parse_code
from convert.errors import UsageError
from convert.options import parse_size

if TYPE_CHECKING:
    from convert.architectures.model import Model
    from convert.author.process import AuthorCode
    from convert.checkpoints.checkpoint import Checkpoint


def add_options(add: Any) -> None:
    """Add them to a parser or a group, by its `add_argument`."""
    add(
        "--code",
        metavar="FILE.py[:NAME]",
        help="the model's own code, run within limits: the logits are compared with its",
    )
    add(
        "--code-args",
        metavar="K=V",
        nargs="+",
        action="extend",
        default=[],
        help="what its class or function is built with, where the checkpoint does not say",
    )
    add(
        "--code-seconds",
        metavar="N",
        type=float,
        help=f"how long the code may take for an answer (default: {SECONDS:.0f})",
    )
    add("--code-memory", metavar="SIZE", help="how much memory it may take, such as 8GB")


def read_options(arguments: argparse.Namespace) -> Code | None:
    """The code that was named, or None. Raises `UsageError`."""
    if arguments.code is None:
        for name in ("code_args", "code_seconds", "code_memory"):
            if getattr(arguments, name):
                flag = f"--{name.replace('_', '-')}"
                raise UsageError(f"{flag} is for --code.", "Name the model's code: --code FILE.py.")
        return None
    memory = None if arguments.code_memory is None else parse_size(arguments.code_memory)
    return parse_code(arguments.code, arguments.code_args, arguments.code_seconds, memory)


def call_author(
    code: Code | None,
    checkpoint: Checkpoint,
    model: Model,
    told: Mapping[str, Any] = MappingProxyType({}),
) -> AbstractContextManager[AuthorCode | None]:
    """The code's process, ready to be asked; None where no code was named.

    Raises `CodeError` when it is entered, `UsageError` for a model that gives no logits.
    """
    if code is None:
        return nullcontext(None)
    if model.embeddings:
        raise UsageError(
            "--code compares next tokens, and this model makes embeddings.", "Leave --code out."
        )
    from convert.author.job import subject_of
    from convert.author.process import AuthorCode

    return AuthorCode(code, checkpoint, subject_of(checkpoint, model), told)
