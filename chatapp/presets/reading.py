"""Reads one preset: a TOML file with `description`, `system`, `prompt`, `sampling`, `think`,
`n_ctx`, `schema`, `grammar`, `model` and `variables`, each of which may be left out.

What is wrong is a `ConfigError` that names the file, the key and the nearest key that is known. A
schema or a grammar is written out, or is the name of a file beside the preset.
"""

import json
import stat
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from chatapp.config import nearest, read_document, read_sampling
from chatapp.errors import ConfigError, UsageError
from chatapp.paths import expand_home
from chatapp.presets.preset import Preset
from chatapp.presets.wording import INPUT, find_variables, is_variable
from chatapp.sampling import SamplingParams
from chatapp.structured.reading import read_schema
from chatapp.thinking import Thinking

MAX_BYTES = 1 << 20
"""Of a preset, and of a schema or grammar that it names."""
_TEXTS = ("description", "system", "prompt", "model")
_KEYS = (*_TEXTS, "sampling", "think", "n_ctx", "schema", "grammar", "variables")
MOST_CTX = 2**31 - 1
"""Tokens of a context."""


def read_preset(path: Path, *, ready_made: bool = False) -> Preset:
    """The preset in a file; its name is the file's without the ending."""
    _check_file(path, path)
    document = read_document(path)
    for key in document:
        if key not in _KEYS:
            raise ConfigError(
                f"{path}: {key} is not known.",
                nearest(key, _KEYS, f"A preset has {', '.join(sorted(_KEYS))}."),
            )
    texts = {key: _read_text(path, key, document.get(key, "")) for key in _TEXTS}
    sampling = _read_table(path, "sampling", document.get("sampling", {}))
    preset = Preset(
        name=path.stem,
        path=path,
        ready_made=ready_made,
        **texts,
        variables=_read_variables(path, document.get("variables", {})),
        sampling=_add_form(path, read_sampling(path, sampling), document),
        think=_read_think(path, document.get("think", "")),
        n_ctx=_read_n_ctx(path, document.get("n_ctx", 0)),
    )
    _check_wording(preset)
    return preset


def _check_file(path: Path, preset: Path) -> None:
    """Refuse what is no file, so that a named pipe is not waited for, or too large."""
    where = f"{path}" if path == preset else f"{preset}: {path}"
    try:
        found = path.stat()
    except OSError as error:
        raise ConfigError(f"{where} cannot be read: {error.strerror}.") from error
    if not stat.S_ISREG(found.st_mode):
        raise ConfigError(f"{where} is no file.")
    if found.st_size > MAX_BYTES:
        raise ConfigError(f"{where} is larger than {MAX_BYTES >> 20} MiB, which no preset is.")


def _read_text(path: Path, key: str, value: object) -> str:
    if not isinstance(value, str):
        raise ConfigError(f"{path}: {key} must be text in quotes, not {value!r}.")
    return value.strip("\n") if key == "prompt" else value.strip()


def _read_table(path: Path, key: str, value: object) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise ConfigError(
            f"{path}: {key} must be a table.", f"Write [{key}] on a line of its own, at the end."
        )
    return value


def _read_think(path: Path, value: object) -> str:
    text = ("off", "on")[value] if isinstance(value, bool) else str(value)
    try:
        return Thinking.parse(text).asked
    except UsageError as error:
        raise ConfigError(f"{path}: think: {error.message}", error.hint) from error


def _read_n_ctx(path: Path, value: object) -> int:
    if type(value) is not int or not 0 <= value <= MOST_CTX:
        raise ConfigError(f"{path}: n_ctx must be a number of tokens, not {value!r}.")
    return value


def _read_variables(path: Path, value: object) -> Mapping[str, str]:
    variables: dict[str, str] = {}
    for name, default in _read_table(path, "variables", value).items():
        where = f"{path}: variables.{name}"
        if name == INPUT:
            raise ConfigError(
                f"{where} cannot be declared.", "It is the text that is given, in each message."
            )
        if not is_variable(name):
            raise ConfigError(f"{where} is no name.", "A variable has letters, digits and _.")
        if isinstance(default, bool) or not isinstance(default, str | int | float):
            raise ConfigError(f"{where} must be text in quotes, not {default!r}.")
        variables[name] = str(default)
    return MappingProxyType(variables)


def _add_form(path: Path, sampling: SamplingParams, document: dict[str, Any]) -> SamplingParams:
    """`sampling` with the schema or grammar that stands beside it."""
    form: dict[str, Any] = {}
    try:
        if "schema" in document:
            text = _read_form(path, "schema", document["schema"])
            form["json_schema"] = read_schema(text).text
        if "grammar" in document:
            form["grammar"] = _read_form(path, "grammar", document["grammar"])
        return replace(sampling, **form)
    except UsageError as error:
        raise ConfigError(f"{path}: {error.message}", error.hint) from error


def _read_form(path: Path, key: str, value: object) -> str:
    if key == "schema" and isinstance(value, dict):
        try:
            return json.dumps(value, ensure_ascii=False)
        except TypeError:
            raise ConfigError(f"{path}: schema holds a date, which JSON does not have.") from None
    if not isinstance(value, str) or not value.strip():
        raise ConfigError(f"{path}: {key} must be text in quotes, or a file's name.")
    if "::=" in value if key == "grammar" else value.lstrip().startswith("{"):
        return value
    file = path.parent / expand_home(value.strip())
    try:
        _check_file(file, path)
        text = file.read_text(encoding="utf-8-sig")
    except (ValueError, OSError) as error:  # a name with a zero byte; no UTF-8
        raise ConfigError(f"{path}: {key}: {file} cannot be read: {error}.") from error
    if not text.strip():
        raise ConfigError(f"{path}: {key}: {file} is empty.")
    return text


def _check_wording(preset: Preset) -> None:
    used: set[str] = set()
    for key in ("system", "prompt"):
        try:
            names = find_variables(getattr(preset, key))
        except UsageError as error:
            raise ConfigError(f"{preset.path}: {key}, {error.message}", error.hint) from error
        if key == "system" and INPUT in names:
            raise ConfigError(
                f"{preset.path}: system cannot hold {{{INPUT}}}, the text of a message.",
                "Put it into prompt; a variable of another name can stand in both.",
            )
        used |= set(names)
    for name in preset.variables:
        if name not in used:
            raise ConfigError(
                f"{preset.path}: variables.{name} is used nowhere.",
                nearest(name, used, f"Write {{{name}}} in prompt or system, or leave it out."),
            )
