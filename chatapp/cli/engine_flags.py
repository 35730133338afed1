"""Flags that the chat and `ask` share: how a model is held in memory, how much it thinks."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

_Command = TypeVar("_Command", bound=Callable[..., Any])


def engine_options(command: _Command) -> _Command:
    """Add `--backend`, `--gpu-layers`, `--n-ctx`, `--kv-type`, `--chat-template` and `--think`."""
    options = (
        click.option(
            "--backend",
            type=click.Choice(["auto", "llama", "torch"]),
            help="Run a checkpoint in PyTorch as it is, or convert it; auto decides.",
        ),
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
        click.option(
            "--think",
            metavar="on|off|low|medium|high|N",
            callback=_read_thinking,
            help="How much to think before the answer; N: at most so many tokens.",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def _read_thinking(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    from chatapp.errors import UsageError
    from chatapp.thinking import Thinking

    if value is None:
        return None
    try:
        return Thinking.parse(value).asked
    except UsageError as error:
        raise click.BadParameter(f"{error.message} {error.hint}", ctx, param) from None
