"""`chatapp convert`: hands over to `python -m convert`, which shares no code with the chat.

This process becomes the converter: the same terminal, Ctrl+C and exit code, and no parent that
could die before its child.
"""

import os
import sys
from pathlib import Path

import click


@click.command(
    add_help_option=False,
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def convert(arguments: tuple[str, ...]) -> None:
    """Make a GGUF of a PyTorch checkpoint."""
    hand_over("convert", list(arguments))


def hand_over(module: str, arguments: list[str]) -> None:
    """Become `python -m module arguments`. -P: a module in the current folder must not be taken
    for ours."""
    root = str(Path(__file__).parents[2])
    inherited = os.environ.get("PYTHONPATH")
    path = f"{root}{os.pathsep}{inherited}" if inherited else root
    sys.stdout.flush()
    sys.stderr.flush()
    command = [sys.executable, "-P", "-m", module, *arguments]
    os.execve(sys.executable, command, os.environ | {"PYTHONPATH": path})  # noqa: S606
