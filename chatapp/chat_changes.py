"""How a conversation's settings change: one value at a time, or by a preset.

Nothing is changed in place: each function gives new settings, or a `UsageError` with the bounds,
the nearest name, or the command that is meant.
"""

import re
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from chatapp.chat_settings import MOST_CTX, ChatSettings
from chatapp.config import nearest
from chatapp.errors import UsageError
from chatapp.presets.preset import Filled
from chatapp.sampling import Parameter, parameters
from chatapp.sampling_input import find_parameter, parse_value
from chatapp.structured.reading import read_schema
from chatapp.text import cut_text, one_line
from chatapp.thinking import Thinking

THINK, N_CTX = "think", "n_ctx"
_ASSIGNMENT = re.compile(r"([\w-]+)(?:\s*=\s|=|\s|$)(.*)", re.DOTALL)
_BACK = frozenset({"default", "reset"})
"""What a value can be called that takes one's own away."""
_OFF = frozenset({"off", "none"})
_OTHER_NAMES = {
    "thinking": THINK,
    "context": N_CTX,
    "ctx": N_CTX,
    "schema": "json_schema",
}
_COMMANDS = ("system", "model", "preset", "persona", "title")
"""Settings of a chat that have a command of their own."""
_EXCLUSIVE = {"grammar": "json_schema", "json_schema": "grammar"}


@dataclass(frozen=True, slots=True)
class ShowAll:
    """`/set`: every parameter is asked for."""


@dataclass(frozen=True, slots=True)
class Reset:
    """`/set temperature`: as it is without this chat's own value."""

    name: str


@dataclass(frozen=True, slots=True)
class Change:
    """`/set temperature 0.7`."""

    name: str
    text: str


def read_set(args: str) -> ShowAll | Reset | Change:
    """What stands behind `/set`: nothing, a name, a name and a value (`temperature=0.7` too)."""
    if not args.strip():
        return ShowAll()
    found = _ASSIGNMENT.fullmatch(args.strip())
    if found is None:
        raise _unknown(args.split()[0])
    name, text = find_name(found[1]), found[2].strip()
    return Change(name, text) if text and text.lower() not in _BACK else Reset(name)


def setting_names() -> list[str]:
    """Every name that `/set` knows."""
    return [THINK, N_CTX, *(parameter.name for parameter in parameters())]


def find_name(name: str) -> str:
    """The setting that is meant by a name; `UsageError` names the nearest."""
    plain = name.lower().lstrip("-").replace("-", "_")
    plain = _OTHER_NAMES.get(plain, plain)
    if plain in (THINK, N_CTX):
        return plain
    parameter = find_parameter(plain)
    if parameter is None:
        raise _unknown(name)
    return parameter.name


def change(settings: ChatSettings, name: str, text: str) -> ChatSettings:
    """`settings` with one value, as it was typed."""
    name = find_name(name)
    if name == THINK:
        return msgspec.structs.replace(settings, think=Thinking.parse(text).asked)
    if name == N_CTX:
        return msgspec.structs.replace(settings, n_ctx=_parse_n_ctx(text))
    parameter = find_parameter(name)
    assert parameter is not None
    given: dict[str, Any] = {name: _parse(parameter, text)}
    if given[name] and (other := _EXCLUSIVE.get(name)):
        given[other] = None  # one form at a time, the last one asked for
    return msgspec.structs.replace(settings, sampling=replace(settings.sampling, **given))


def reset(settings: ChatSettings, name: str) -> ChatSettings:
    """`settings` without a value of its own for `name`."""
    name = find_name(name)
    if name == THINK:
        return msgspec.structs.replace(settings, think="")
    if name == N_CTX:
        return msgspec.structs.replace(settings, n_ctx=0)
    return msgspec.structs.replace(settings, sampling=replace(settings.sampling, **{name: None}))


def choose_system(args: str, usual: str) -> str | None:
    """The system prompt that is meant behind `/system`: `none`, `reset` for the `usual` one of the
    settings or the preset, else the text itself; None: it is to be shown."""
    word = args.strip().lower()
    if not word:
        return None
    if word in _BACK:
        return usual
    return "" if word in _OFF else args.strip()


@dataclass(frozen=True, slots=True)
class Changed:
    """A conversation's settings and its system prompt, which change together."""

    settings: ChatSettings
    system: str


def take_preset(
    settings: ChatSettings, system: str, preset: Filled, *, usual_system: str
) -> Changed:
    """With a preset in place of the one before. What the chat has set itself stays and counts
    before the preset, but for the system prompt: the preset's replaces it, if it has one; without,
    one that the preset before had brought gives way to `usual_system`, that of the settings."""
    before = leave_preset(settings, system, usual_system=usual_system)
    return Changed(
        msgspec.structs.replace(before.settings, preset=preset), preset.system or before.system
    )


def leave_preset(settings: ChatSettings, system: str, *, usual_system: str) -> Changed:
    """Without a preset. The system prompt that it brought goes too, unless it was changed since."""
    brought = settings.preset.system if settings.preset else ""
    others = {key: value for key, value in settings.others.items() if key != "preset"}
    return Changed(
        msgspec.structs.replace(settings, preset=None, others=others),
        usual_system if brought and system == brought else system,
    )


def _parse(parameter: Parameter, text: str) -> Any:
    if parameter.name in _EXCLUSIVE:
        if text.strip().lower() in _OFF:
            return ""  # none, whatever the preset or the settings ask for
        if parameter.name == "json_schema":
            return read_schema(text).text
    return parse_value(parameter, text)


def _parse_n_ctx(text: str) -> int:
    plain = text.strip().replace("_", "").replace(",", "").lower()
    factor = 1024 if plain.endswith("k") else 1
    digits = plain.removesuffix("k")
    if digits.isascii() and digits.isdigit() and len(digits) < 12:
        n_ctx = int(digits) * factor
        if 0 < n_ctx <= MOST_CTX:
            return n_ctx
    raise UsageError(
        f"n_ctx takes a number of tokens above 0, not {cut_text(one_line(text), 40)!r}.",
        "As in 8192, or 8k.",
    )


def _unknown(name: str) -> UsageError:
    shown = cut_text(one_line(name), 40)
    if name.lower() in _COMMANDS:
        return UsageError(f"{shown} is no parameter.", f"It has a command: /{name.lower()}.")
    return UsageError(
        f"There is no parameter {shown!r}.",
        nearest(name.lower(), setting_names(), "/set alone shows all of them."),
    )
