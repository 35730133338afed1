"""The program as facts are made of it: the real tables, with what the settings say.

Promises that nothing is loaded but this package's commands and the tables themselves: no screen, no
engine, no store.
"""

import ast
import inspect
import json
from collections.abc import Iterator
from dataclasses import fields
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from chatapp.cli.converter_flags import read_converter_flags
from chatapp.cli.group import ShortGroup
from chatapp.guide.facts.program import (
    CommandRow,
    FlagRow,
    KeyRow,
    Program,
    ProgramRow,
    SettingRow,
)

if TYPE_CHECKING:
    from chatapp.config import Config
    from chatapp.guide.retrieval import Guide
    from chatapp.paths import Paths

_FOLDERS = ("history", "models", "converted", "settings", "presets", "engine_log", "screen_log")
_CHAT = "chatapp"
"""What the chat itself is called among the commands."""


def read_program(config: "Config", paths: "Paths") -> Program:
    """Every table of this program, as it is configured."""
    from chatapp.commands import COMMANDS

    cli: dict[str, ProgramRow] = {}
    flags: dict[str, FlagRow] = {}
    for name, command in _walk():
        spelled = _CHAT if name == _CHAT else f"{_CHAT} {name}"
        cli[name] = ProgramRow(spelled, _first_sentence(command.help or ""))
        holder = _short_for(name)
        flags |= {f"{holder} {flag.name}": flag for flag in _flags(name, command)}
    return Program(
        keys=_read_keys(config),
        commands={
            f"/{one.name}": CommandRow(
                f"/{one.name}", one.spelled, one.help, tuple(f"/{alias}" for alias in one.aliases)
            )
            for one in COMMANDS
        },
        cli=cli,
        flags=flags,
        settings=_read_settings(config),
        folders={name: _spell_place(getattr(paths, name)) for name in _FOLDERS}
        | {"data": _spell_place(paths.data), "config": _spell_place(paths.config)},
    )


def make_guide(config: "Config", paths: "Paths") -> "Guide":
    """What this program knows of itself, to be asked. A few tenths of a second."""
    from chatapp.guide.retrieval import Guide

    return Guide(read_program(config, paths))


def _read_keys(config: "Config") -> dict[str, KeyRow]:
    from chatapp.ui.key_row import spell_key, split_keys
    from chatapp.ui.keymap import KEYS, SCOPE_TITLES

    found = {}
    for key in KEYS:
        own = None if key.fixed else config.keys.get(key.id)
        keys = split_keys(key.keys) if own is None else map(_read_key, split_keys(own))
        spelled = tuple(map(spell_key, keys))
        place = "" if key.scope in ("prompt", "chat", "app") else SCOPE_TITLES[key.scope]
        found[key.id] = KeyRow(spelled, key.tooltip, place)
    if config.ui.enter == "newline":  # the two are the other way round
        send, newline = found["send"], found["newline"]
        found["send"] = KeyRow(newline.keys, send.help)
        found["newline"] = KeyRow(send.keys, newline.help)
    return found


def _read_key(written: str) -> str:
    """A key of the settings, however it is spelt there, as the keymap has it."""
    from chatapp.ui.key_row import read_parts

    return "+".join(read_parts(written))


def _walk() -> Iterator[tuple[str, click.Command]]:
    from chatapp.cli import root

    waiting: list[tuple[str, click.Command]] = [(_CHAT, root)]
    while waiting:
        name, command = waiting.pop()
        yield name, command
        if isinstance(command, click.Group):
            above = "" if name == _CHAT else f"{name} "
            context = click.Context(command)
            below = [
                (one, command.get_command(context, one)) for one in command.list_commands(context)
            ]
            waiting += [(above + one, found) for one, found in below if found and not found.hidden]


def _short_for(name: str) -> str:
    """What stands for a command in front of its flags: `train` for `train pretrain`."""
    above, _, last = name.rpartition(" ")
    from chatapp.cli import root

    group = root.get_command(click.Context(root), above)
    return above if isinstance(group, ShortGroup) and last == group.meant else name


def _flags(name: str, command: click.Command) -> Iterator[FlagRow]:
    yield from read_converter_flags(name)
    for option in command.params:
        if isinstance(option, click.Option) and not option.hidden:
            spelled = max(option.opts, key=len)
            yield FlagRow(spelled, (option.help or "").strip(), tuple(option.opts))


def _first_sentence(text: str) -> str:
    head, dot, _ = " ".join(text.split()).partition(". ")
    return head + "." if dot else head


def _read_settings(config: "Config") -> dict[str, SettingRow]:
    from chatapp.config import Config
    from chatapp.sampling import Sampling, parameters

    found = {}
    usual = Config()
    for section in ("engine", "library", "chat", "history", "ui"):
        now, before = getattr(config, section), getattr(usual, section)
        helps = _read_helps(type(now))
        for entry in fields(now):
            value, default = getattr(now, entry.name), getattr(before, entry.name)
            row = SettingRow(
                entry.name, section, helps.get(entry.name, ""), _toml(value), _toml(default)
            )
            found[f"{section}.{entry.name}"] = row
    filled: Sampling = config.sampling.filled()
    for one in parameters():
        value = getattr(filled, one.name)
        row = SettingRow(one.name, "sampling", one.help, _toml(value), _toml(one.default))
        found[f"sampling.{one.name}"] = row
    return found


def _toml(value: Any) -> str:
    """A value as one would write it into the settings."""
    return json.dumps(value, ensure_ascii=False)


def _read_helps(section: type) -> dict[str, str]:
    """What stands below each field of a class in its source, as one line; empty without source."""
    try:
        tree = ast.parse(inspect.getsource(section))
    except (OSError, SyntaxError):
        return {}
    found: dict[str, str] = {}
    body = tree.body[0].body if isinstance(tree.body[0], ast.ClassDef) else []
    for entry, below in pairwise(body):
        if (
            isinstance(entry, ast.AnnAssign)
            and isinstance(entry.target, ast.Name)
            and isinstance(below, ast.Expr)
            and isinstance(below.value, ast.Constant)
        ):
            found[entry.target.id] = " ".join(str(below.value.value).split())
    return found


def _spell_place(path: Path) -> str:
    """A path as people read it, `~` for their own folder."""
    try:
        return f"~/{path.relative_to(Path.home()).as_posix()}"
    except (ValueError, RuntimeError):
        return str(path)
