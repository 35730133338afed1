"""Presets on the command line: `-t NAME`, and `-p VARIABLE=VALUE` for what stands in it."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from chatapp.errors import ChatAppError, ModelError, UsageError

if TYPE_CHECKING:
    from chatapp.config import Config
    from chatapp.paths import Paths
    from chatapp.presets import Filled, Preset

TEXT = "text"
"""The variable that takes what is piped in, if a preset has it."""
_Command = TypeVar("_Command", bound=Callable[..., Any])


def preset_options(command: _Command) -> _Command:
    """Add `-t` and `-p`."""
    named = click.option(
        "-t",
        "--preset",
        "preset",
        metavar="NAME",
        shell_complete=_complete,
        help="A preset: chatapp presets lists them. `off`: not the one of the settings.",
    )
    given = click.option(
        "-p",
        "--param",
        "values",
        metavar="NAME=VALUE",
        multiple=True,
        help="With -t: the value of a variable; @FILE is what a file holds.",
    )
    return named(given(command))


def choose_preset(named: str | None, usual: str, paths: "Paths") -> "Preset | None":
    """The preset that is asked for, else the `usual` one of the settings, if there is one."""
    from chatapp.presets.shelf import OFF, read_shelf

    name = usual if named is None else named
    if not name or name == OFF:
        return None
    try:
        return read_shelf(paths.presets).find(name)
    except ChatAppError as error:
        if named is not None:
            raise
        raise UsageError(
            f"The preset of the settings cannot be used ([chat] preset in {paths.settings}): "
            f"{error.message}",
            error.hint,
        ) from error


def fill_preset(
    preset: "Preset", given: tuple[str, ...], words: str, piped: str
) -> "tuple[Filled, str]":
    """(the preset with its values, the text that is put into it).

    What is piped in is the preset's `{text}`, if it has one and no value was given; else it stands
    below `words`, as without a preset.
    """
    values = dict(_read_value(one) for one in given)
    if TEXT in preset.wanted and TEXT not in values and piped.strip():
        values[TEXT], piped = piped, ""
    how = "-p {name}=VALUE, or what a file holds with -p {name}=@FILE"
    missing = [name for name in preset.missing if name not in values]
    if missing[:1] == [TEXT]:
        how = "-p {name}=@FILE, or pipe it in"
    filled = preset.fill(values, how=how)
    text = join_texts(words, piped)
    if filled.wants_text and not text:
        raise UsageError(
            f"The preset {preset.name} has nothing to work on.",
            f'Give it a text, as in chatapp ask -t {preset.name} "...", or pipe one in.'
            if TEXT not in preset.wanted
            else f'Give the question, as in chatapp ask -t {preset.name} "what is it about?".',
        )
    return filled, text


def join_texts(words: str, piped: str) -> str:
    """What was written, and below it, after a blank line, what was piped in."""
    joined = "\n\n".join(part for part in (words, piped) if part.strip())
    return replace_halves(joined)


def replace_halves(text: str) -> str:
    """Arguments that are no UTF-8 arrive as half surrogates, which no engine takes."""
    return text.encode("utf-8", "replace").decode()


def choose_presets_model(filled: "Filled", config: "Config", paths: "Paths") -> Path:
    """The model file that a preset names; the error says whose word it was."""
    from chatapp.cli.setting import choose_model

    try:
        return choose_model(filled.model, config, paths)
    except ModelError as error:
        raise ModelError(
            f"The model of the preset {filled.name} cannot be used: {error.message}",
            f"{error.hint} Or choose another with --model.".strip(),
        ) from error


def _complete(_ctx: click.Context, _param: click.Parameter, begun: str) -> list[str]:
    from chatapp.paths import find_paths
    from chatapp.presets.shelf import read_shelf

    return [name for name in read_shelf(find_paths().presets).presets if name.startswith(begun)]


def _read_value(text: str) -> tuple[str, str]:
    from chatapp.presets.values import expand_value

    name, equals, value = text.partition("=")
    if not equals:
        raise UsageError(f"-p {text} gives no value.", "A variable and its value: -p to=German.")
    return name.strip(), replace_halves(expand_value(name.strip(), value, Path()))
