"""Chat templates that a person names: a file, or a format by its name."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from chatapp.errors import ConfigError, UsageError
from chatapp.gguf.known import FORMATS, find_format
from chatapp.gguf.sandbox import MAX_TEMPLATE
from chatapp.paths import BUILTIN_MODEL, expand_home, read_path


def read_template(named: str, folder: Path) -> str:
    """The Jinja text that `named` means: a known format, or a file, looked for in `folder`.

    A file of transformers' (`tokenizer_config.json`, `chat_template.json`) gives the template in
    it. Raises `UsageError`.
    """
    if known := find_format(named):
        return known.source
    path = folder / expand_home(named)
    try:
        with path.open("rb") as file:
            text = file.read(MAX_TEMPLATE * 4).decode("utf-8-sig")
    except OSError as error:
        names = ", ".join(sorted(known.name for known in FORMATS))
        raise UsageError(
            f"The chat template {named} cannot be read: {error.strerror}.",
            f"Give a file of Jinja, or one of {names}.",
        ) from None
    except UnicodeDecodeError:
        raise UsageError(f"The chat template {named} is not UTF-8 text.") from None
    template = _unwrap(text) if text.lstrip().startswith("{") else text
    if not template.strip():
        raise UsageError(f"There is no chat template in {named}.")
    return template


def read_beside_tokenizer(folder: Path) -> tuple[str, str, str]:
    """(the chat template in a folder of transformers', its BOS, its EOS); each empty where there
    is none that can be read."""
    source = ""
    for name in ("chat_template.jinja", "chat_template.json", "tokenizer_config.json"):
        with contextlib.suppress(UsageError):
            source = source or read_template(name, folder)
    try:
        with (folder / "tokenizer_config.json").open("rb") as file:
            config = json.loads(file.read(MAX_TEMPLATE * 4))
    except (OSError, ValueError, RecursionError):
        return source, "", ""
    tokens = config if isinstance(config, dict) else {}
    return source, _token_text(tokens.get("bos_token")), _token_text(tokens.get("eos_token"))


def _token_text(value: Any) -> str:
    text = value.get("content") if isinstance(value, dict) else value
    return text if isinstance(text, str) else ""


def _unwrap(text: str) -> str:
    """The template in a JSON file; the text itself where it is Jinja, which begins alike."""
    try:
        value: Any = json.loads(text)
    except (ValueError, RecursionError):
        return text
    value = value.get("chat_template")
    if isinstance(value, list):
        named = {item.get("name"): item.get("template") for item in value if isinstance(item, dict)}
        value = named.get("default") or next(iter(named.values()), None)
    return value if isinstance(value, str) else ""


def template_for(model: Path, templates: Mapping[str, str], folder: Path) -> str:
    """The template that the settings name for a model; empty where they name none.

    `templates` are files by models: a path, a file's name with or without its ending, `builtin`.
    Relative ones lie in `folder`, beside the settings. Raises `ConfigError`.
    """
    names = {str(model), model.name, model.stem}
    if model == BUILTIN_MODEL:
        names.add("builtin")
    for name, named in templates.items():
        if name in names or read_path(name) == model:
            try:
                return read_template(named, folder)
            except UsageError as error:
                where = f"[templates] in the settings, for {name}"
                raise ConfigError(f"{error.message} ({where})", error.hint) from error
    return ""
