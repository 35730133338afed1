"""Flags of `chatapp ask` for every sampling parameter, made from `chatapp.sampling`.

A flag that is not given leaves the user's setting, that leaves what the model file recommends, and
that llama.cpp's default: so every flag's own default is None, and its help tells the one of the
table.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from chatapp.errors import UsageError
from chatapp.sampling import BOUNDLESS, Parameter, SamplingParams, parameters

if TYPE_CHECKING:
    from chatapp.chat_settings import ChatSettings
    from chatapp.layers import Layers

_READ_FROM_FILES = ("grammar", "json_schema")
_METAVARS = {int: "N", float: "X", tuple[tuple[int, float], ...]: "ID=BIAS"}
_F = TypeVar("_F", bound=Callable[..., Any])


def sampling_options(command: _F) -> _F:
    """Decorator: a flag for every sampling parameter, `top_p` as `--top-p`."""
    for parameter in reversed(list(parameters())):
        if parameter.name not in _READ_FROM_FILES:
            command = _make_option(parameter)(command)
    return command


def read_layers(flags: dict[str, Any], chat: "ChatSettings", settings: SamplingParams) -> "Layers":
    """The flags that were given, over what a chat sets, its preset and the settings; `UsageError`
    for a bad mixture."""
    flag = SamplingParams(**{name: value for name, value in flags.items() if value != ()})
    return chat.layers(settings, flag)


def _make_option(parameter: Parameter) -> Callable[[_F], _F]:
    flag = "--" + parameter.name.replace("_", "-")
    several = parameter.kind not in (int, float, str)
    kinds = {int: click.INT, float: click.FLOAT, tuple[tuple[int, float], ...]: _read_bias}
    return click.option(
        flag,
        parameter.name,
        type=kinds.get(parameter.kind, click.STRING),
        metavar=_METAVARS.get(parameter.kind, "TEXT"),
        multiple=several,
        default=None,
        callback=_make_check(parameter),
        help=f"{parameter.help} [{describe(parameter)}]",
    )


def _make_check(parameter: Parameter) -> Callable[[click.Context, click.Parameter, Any], Any]:
    def check(ctx: click.Context, param: click.Parameter, value: Any) -> Any:
        if value is not None:
            try:
                parameter.check(value)
            except UsageError as error:
                raise click.BadParameter(error.message, ctx, param) from None
        return value

    return check


def describe(parameter: Parameter) -> str:
    """Unit, bounds and default in short: `tokens, at least 0, default 40`."""
    facts = [parameter.unit] if parameter.unit else []
    if parameter.maximum is not None and parameter.maximum not in BOUNDLESS:
        facts.append(f"{_number(parameter.minimum)} to {_number(parameter.maximum)}")
    elif parameter.minimum is not None:
        facts.append(f"at least {_number(parameter.minimum)}")
    default = parameter.default
    if isinstance(default, tuple):
        default = " ".join(repr(item)[1:-1] for item in default) or "none"
    return ", ".join([*facts, f"default {default}"])


def _number(value: float | None) -> str:
    return f"{value:g}" if value is None or value != int(value) else str(int(value))


def _read_bias(text: str) -> tuple[int, float]:
    token, _, bias = text.partition("=")
    try:
        return int(token), float(bias)
    except ValueError:
        raise click.BadParameter(f"{text!r} is not a token's number, `=` and a bias.") from None
