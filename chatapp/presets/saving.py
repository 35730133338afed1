"""Writes a preset file of one's own, so that it says what it was made from when it is read again.

The text is read back before it takes its place: what `read_preset` refuses is never saved.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from chatapp.errors import ConfigError, UsageError
from chatapp.gguf.replacing import replacement
from chatapp.paths import sees
from chatapp.presets.preset import Filled
from chatapp.presets.reading import read_preset
from chatapp.presets.shelf import OFF, SUFFIX
from chatapp.presets.wording import double_braces
from chatapp.sampling_input import write_given
from chatapp.text import one_line

_MOST = 80
"""Characters of a name."""


def preset_path(folder: Path, name: str) -> Path:
    """Where the preset of that name lies; `UsageError` if none can be called so."""
    name = name.strip().removesuffix(SUFFIX)
    wrong = ""
    if not name or len(name) > _MOST:
        wrong = f"has 1 to {_MOST} characters"
    elif name == OFF:
        wrong = f"is not {OFF!r}, which means no preset"
    elif name.startswith(".") or any(part in name for part in ("/", "\\", os.sep)):
        wrong = "is no path, and begins with no dot"
    elif one_line(name) != name or any(mark in name for mark in "\"'"):
        wrong = "has no quotation marks and no control characters"
    if wrong:
        raise UsageError(f"A preset's name {wrong}.", "As in pirate, or short-answers.")
    return folder / f"{name}{SUFFIX}"


def save_preset(path: Path, made: Filled, *, replace: bool = False) -> None:
    """Write what `made` says; its name is the path's. `UsageError` if there is such a file and it
    is not to be replaced."""
    if sees(path) and not replace:
        raise UsageError(f"There is a preset {path.stem} already.", f"It is {path}.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacement(path) as part:
            part.write_text(write_preset(made), encoding="utf-8")
            read_preset(part)
    except (OSError, UnicodeEncodeError) as error:
        raise ConfigError(f"{path} cannot be written: {error}.") from error


def write_preset(made: Filled) -> str:
    """The TOML of a preset without variables of its own but `{input}`."""
    sampling = write_given(made.sampling)
    form = {"schema": sampling.pop("json_schema", ""), "grammar": sampling.pop("grammar", "")}
    texts = {
        "system": double_braces(made.system),
        "prompt": made.prompt,  # its braces are doubled already
        "think": made.think,
        "model": made.model,
        **form,
    }
    lines = [f"{key} = {_spell(text)}" for key, text in texts.items() if text]
    lines += [f"n_ctx = {made.n_ctx}"] if made.n_ctx else []
    if sampling:
        lines += ["", "[sampling]"]
        lines += [f"{key} = {_spell(value)}" for key, value in sampling.items()]
    return "\n".join(lines) + "\n"


def _spell(value: Any) -> str:
    """A value in TOML. A text of several lines keeps them."""
    if isinstance(value, str):
        if "\n" not in value:
            return _quote(value)
        return '"""\n' + "\n".join(_quote(line)[1:-1] for line in value.split("\n")) + '"""'
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{_quote(k)} = {_spell(v)}" for k, v in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(_spell, value)) + "]"
    return repr(value).lower() if isinstance(value, bool) else repr(value)


def _quote(text: str) -> str:
    """JSON's spelling is TOML's but for DEL."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007F")
