"""Flags that say how a model is held in memory; the chat and `ask` share them."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

_Command = TypeVar("_Command", bound=Callable[..., Any])


def engine_options(command: _Command) -> _Command:
    """Add `--gpu-layers`, `--n-ctx`, `--kv-type` and `--chat-template`."""
    options = (
        click.option(
            "--gpu-layers",
            metavar="N",
            type=click.IntRange(min=-1),
            help="Layers on the GPU: -1 all that fit, 0 none.",
        ),
        click.option(
            "--n-ctx",
            metavar="N",
            type=click.IntRange(min=0),
            help="Context length in tokens; 0 decides.",
        ),
        click.option(
            "--kv-type",
            type=click.Choice(["auto", "f16", "q8_0"]),
            help="Type of the KV cache; q8_0 takes half the memory.",
        ),
        click.option(
            "--chat-template",
            metavar="FILE",
            help="A Jinja file in place of the model's own, or a name such as `chatml`.",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command
