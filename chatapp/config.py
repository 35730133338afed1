"""The user's settings: one TOML file, read once into an immutable `Config`.

Promises: a missing file is the defaults; anything else in the file that chatapp does not know (a
section, a key, a type, a value out of bounds) is a `ConfigError` that names the file and the key,
because a misspelt setting that is quietly ignored costs an evening. `save_setting` changes one
value and keeps the user's comments and order; a file too unusual for that is left alone.
"""

import difflib
import json
import os
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from chatapp.errors import ConfigError, UsageError
from chatapp.gguf.replacing import replacement
from chatapp.paths import Paths
from chatapp.sampling import SamplingParams, parameters
from chatapp.sampling_input import read_value
from chatapp.thinking import Thinking

KvType = Literal["auto", "f16", "q8_0"]
BackendChoice = Literal["auto", "llama", "torch"]
EnterDoes = Literal["send", "newline"]
Align = Literal["left", "centre"]
WindowTitles = Literal["off", "answers", "chat"]
Titles = Literal["first line", "model"]


def _at_least(default: int, minimum: int) -> Any:
    return field(default=default, metadata={"minimum": minimum})


@dataclass(frozen=True, slots=True)
class EngineConfig:
    """`[engine]`: which model, and how it is held in memory."""

    model: str = ""
    """A path, a file in the models folder, or `builtin`; empty is the built-in model."""
    n_ctx: int = _at_least(0, 0)
    """Context length in tokens; 0: what the model was trained for, within reason."""
    gpu_layers: int = _at_least(-1, -1)
    """Layers on the GPU; -1: all that fit, 0: none."""
    n_threads: int = _at_least(0, 0)
    """Most threads that compute; 0: one for each core that this process may use."""
    adapt_threads: bool = True
    """Use fewer threads while other programs need the processors. With `false` their number stays,
    and so does the last bit of every sum: behind 512 tokens llama.cpp adds in an order that depends
    on the number of threads, so that the same seed may give another answer."""
    flash_attn: bool = True
    """Flash attention, where the device has it."""
    kv_type: KvType = "auto"
    """Type of the KV cache; `q8_0` takes half the memory, `auto` takes it where it has to."""
    backend: BackendChoice = "auto"
    """What runs a checkpoint: `llama` converts it for llama.cpp, `torch` runs it in PyTorch as it
    is, `auto` does that where it cannot be converted without a question."""


@dataclass(frozen=True, slots=True)
class LibraryConfig:
    """`[library]`: where model files are looked for."""

    folders: tuple[str, ...] = ()
    """Folders beside the models folder and those of other programs."""


@dataclass(frozen=True, slots=True)
class ChatConfig:
    """`[chat]`: how conversations begin."""

    system: str = ""
    """The system prompt of new conversations."""
    preset: str = ""
    """The preset of new conversations, by name; its system prompt counts before `system`."""
    think: str = ""
    """How much to think before an answer: `on`, `off`, `low`, `medium`, `high` or a number of
    tokens; empty: as the model does by itself."""
    titles: Titles = "first line"
    """What a chat is called: the `first line` of its first message, or what the `model` calls it
    after its answer, when nothing else is to be done."""


@dataclass(frozen=True, slots=True)
class HistoryConfig:
    """`[history]`: what becomes of deleted conversations."""

    keep_deleted_days: int = _at_least(30, 0)
    """Days after which a deleted conversation is removed for good, when the chat is opened;
    0: the next time it is opened."""


@dataclass(frozen=True, slots=True)
class UiConfig:
    """`[ui]`: how the terminal interface looks."""

    theme: str = "dark"
    """`dark`, `light`, `contrast`, or the name of a Textual theme."""
    sidebar: bool = True
    """Whether the list of chats is open at the start."""
    enter: EnterDoes = "send"
    """`send`, or `newline`: Enter starts a line, and Alt+Enter or Ctrl+J sends."""
    measure: int = _at_least(100, 0)
    """The longest line of prose, in columns; 0: as wide as the window. Code takes all of it."""
    align: Align = "left"
    """Where prose stands in a window that is wider: `left`, or `centre`."""
    run_seconds: int = _at_least(10, 1)
    """Seconds that code out of an answer may run."""
    bell: bool = False
    """Whether the terminal rings when an answer ends while another window has the keys. It must
    tell programs about that, as most do; under tmux with `focus-events on`."""
    window_title: WindowTitles = "off"
    """What the terminal's window is called: `answers` tells that one has ended while another window
    had the keys, `chat` names the open chat too; `off` leaves the title alone."""


@dataclass(frozen=True, slots=True)
class Config:
    """Every setting."""

    engine: EngineConfig = EngineConfig()
    library: LibraryConfig = LibraryConfig()
    sampling: SamplingParams = field(default_factory=SamplingParams)
    chat: ChatConfig = ChatConfig()
    history: HistoryConfig = HistoryConfig()
    ui: UiConfig = UiConfig()
    keys: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """`[keys]`: a binding's id to the keys in place of its own, separated by commas; "": none."""
    templates: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """`[templates]`: a model's path or name to the file with the chat template to use for it, or to
    a format's name such as `chatml`."""


_SECTIONS: Mapping[str, type] = {
    "engine": EngineConfig,
    "library": LibraryConfig,
    "chat": ChatConfig,
    "history": HistoryConfig,
    "ui": UiConfig,
}


def load_config(paths: Paths) -> Config:
    """The settings file as a `Config`; `ConfigError` names the file, the key and a way out."""
    path = paths.settings
    document = read_document(path)
    known = [entry.name for entry in fields(Config)]
    for name, section in document.items():
        if name not in known and not isinstance(section, dict):
            raise _stray(path, name, known)
        if name not in known:
            raise _unknown(path, f"the section [{name}]", name, known)
        if not isinstance(section, dict):
            raise ConfigError(
                f"{path}: {name} must be a section.", f"Write [{name}] on a line of its own."
            )
    _check_places(path, document)
    read = {
        name: _read_section(path, name, cls, document.get(name, {}))
        for name, cls in _SECTIONS.items()
    }
    return Config(
        **read,
        sampling=read_sampling(path, document.get("sampling", {})),
        keys=_read_keys(path, document.get("keys", {})),
        templates=_read_templates(path, document.get("templates", {})),
    )


def nearest(name: str, known: Iterable[str], otherwise: str = "") -> str:
    """A sentence with the known name that looks most like `name`, or `otherwise`."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"Did you mean `{close[0]}`?" if close else otherwise


def read_document(path: Path) -> dict[str, Any]:
    """A TOML file; empty if there is none. `ConfigError` for what is no TOML."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be read: {error.strerror}.",
            "Mend its permissions, or set CHATAPP_HOME to a folder of yours.",
        ) from error
    except (ValueError, RecursionError) as error:  # not UTF-8, not TOML, a number of 5,000 digits
        raise ConfigError(
            f"{path} is not valid TOML: {error}.", "Mend that line, or move the file away."
        ) from error


def _unknown(path: Path, what: str, name: str, known: Iterable[str]) -> ConfigError:
    names = list(known)
    return ConfigError(
        f"{path}: {what} is not known.",
        nearest(name, names, f"These are: {', '.join(sorted(names))}."),
    )


def _stray(path: Path, name: str, sections: Iterable[str]) -> ConfigError:
    """A setting that stands above the first section."""
    if where := say_where(name):
        return ConfigError(f"{path}: {name} stands outside of its section.", where)
    settings = [key for names in _places().values() for key in names]
    close = difflib.get_close_matches(name, settings, n=1, cutoff=0.6)
    hint = f"Every setting stands in a section. These are: {', '.join(sorted(sections))}."
    if close:
        hint = f"Did you mean `{close[0]}`? {say_where(close[0])}"
    return ConfigError(f"{path}: {name} is not known.", hint)


def _places() -> dict[str, list[str]]:
    """The settings of each section."""
    sections = {name: [entry.name for entry in fields(cls)] for name, cls in _SECTIONS.items()}
    return sections | {"sampling": [parameter.name for parameter in parameters()]}


def _check_places(path: Path, document: Mapping[str, Any]) -> None:
    """`ConfigError` for a setting of another section."""
    for section, names in _places().items():
        for key in document.get(section, {}):
            if key not in names and (where := say_where(key)):
                raise ConfigError(f"{path}: {section} has no {key}.", where)


def say_where(key: str) -> str:
    """Where a setting belongs that stands in the wrong place; empty if there is none of that
    name."""
    there = " or ".join(f"[{name}]" for name, names in _places().items() if key in names)
    return f"It belongs under {there}, on a line below that one: {key} = …" if there else ""


def _read_section(path: Path, section: str, cls: type, values: dict[str, Any]) -> Any:
    kinds = get_type_hints(cls)
    minimums = {entry.name: entry.metadata.get("minimum") for entry in fields(cls)}
    for key, value in values.items():
        where = f"{section}.{key}"
        if key not in kinds:
            raise _unknown(path, where, key, kinds)
        if (section, key) == ("chat", "think"):
            values[key] = _read_thinking(path, value)
            continue
        _check_kind(path, where, kinds[key], value)
        if minimums[key] is not None and value < minimums[key]:
            raise ConfigError(f"{path}: {where} is {value}, it must be at least {minimums[key]}.")
    return cls(
        **{key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}
    )


def _check_kind(path: Path, where: str, kind: Any, value: Any) -> None:
    if get_origin(kind) is Literal:
        if value not in get_args(kind):
            choices = " or ".join(json.dumps(choice) for choice in get_args(kind))
            raise ConfigError(f"{path}: {where} must be {choices}, not {value!r}.")
        return
    if kind == tuple[str, ...]:
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise ConfigError(f'{path}: {where} must be a list of texts, as in ["a", "b"].')
        return
    wanted = {bool: "true or false", int: "a whole number", str: "text in quotes"}[kind]
    if type(value) is not kind:  # a bool is an int to isinstance
        raise ConfigError(f"{path}: {where} must be {wanted}, not {value!r}.")


def _read_thinking(path: Path, value: Any) -> str:
    """`think = 500` and `think = false` are understood too."""
    text = ("off", "on")[value] if isinstance(value, bool) else str(value)
    try:
        return Thinking.parse(text).asked
    except UsageError as error:
        raise ConfigError(f"{path}: chat.think: {error.message}", error.hint) from error


def read_sampling(path: Path, values: Mapping[str, Any]) -> SamplingParams:
    """The table `[sampling]` of a file; `ConfigError` names the file and the key."""
    known = {parameter.name: parameter for parameter in parameters()}
    for key in values:
        if key not in known:
            raise _unknown(path, f"sampling.{key}", key, known)
    read = {}
    for key, value in values.items():
        try:
            read[key] = read_value(known[key], value)
        except UsageError as error:  # it begins with the key
            raise ConfigError(f"{path}: sampling.{error.message}", error.hint) from error
    try:
        return SamplingParams(**read)
    except UsageError as error:
        raise ConfigError(f"{path}: {error.message}", error.hint) from error


def _read_keys(path: Path, values: dict[str, Any]) -> Mapping[str, str]:
    """Which names and keys there are, only the screen knows (`ui/key_settings.py`)."""
    read: dict[str, str] = {}
    for key, value in values.items():
        if value is False or (isinstance(value, str) and value.strip().lower() in ("", "none")):
            read[key] = ""
        elif isinstance(value, str):
            read[key] = value
        else:
            raise ConfigError(
                f'{path}: keys.{key} must name keys, as in "ctrl+r" or "f5,ctrl+r", not {value!r}.',
                f'{key} = "" switches its key off.',
            )
    return MappingProxyType(read)


def _read_templates(path: Path, values: dict[str, Any]) -> Mapping[str, str]:
    for key, value in values.items():
        if isinstance(value, dict):  # model.gguf without quotes is a table to TOML
            raise ConfigError(
                f"{path}: templates.{key} is no text.",
                'A name with a dot stands in quotes: "model.gguf" = "template.jinja".',
            )
        if not isinstance(value, str) or not value.strip():
            raise ConfigError(f"{path}: templates.{key} must name a file, not {value!r}.")
    return MappingProxyType(dict(values))


def save_setting(paths: Paths, section: str, key: str, value: str | bool | float) -> None:
    """Set one value in the settings file, made if missing; the rest of its text stays as it is.

    `ConfigError` when the file cannot be written, or is written so that a line cannot be changed
    safely (the result is read back and compared before it replaces the file).
    """
    path = Path(os.path.realpath(paths.settings))  # a link into a dotfiles folder stays a link
    before = read_document(path)
    text = path.read_text(encoding="utf-8-sig") if path.exists() else ""
    edited = _set_line(text, section, key, f"{key} = {json.dumps(value, ensure_ascii=False)}")
    wanted = before | {section: {**before.get(section, {}), key: value}}
    try:
        same = tomllib.loads(edited) == wanted
    except tomllib.TOMLDecodeError:
        same = False
    if not same:
        raise ConfigError(
            f"{path}: {section}.{key} cannot be changed without touching the rest.",
            f"Set it by hand: {key} = {json.dumps(value)} under [{section}].",
        )
    _replace_file(path, edited)


def _set_line(text: str, section: str, key: str, line: str) -> str:
    lines = text.rstrip("\n").split("\n") if text.strip() else []
    headers = [i for i, row in enumerate(lines) if re.match(r"\s*\[", row)]
    start = next((i for i in headers if re.match(rf"\s*\[\s*{section}\s*\]", lines[i])), None)
    if start is None:
        gap = [""] if lines else []
        return "\n".join([*lines, *gap, f"[{section}]", line]) + "\n"
    end = next((i for i in headers if i > start), len(lines))
    for i in range(start + 1, end):
        if re.match(rf"\s*{key}\s*=", lines[i]):
            lines[i] = line
            return "\n".join(lines) + "\n"
    return "\n".join([*lines[: start + 1], line, *lines[start + 1 :]]) + "\n"


def _replace_file(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacement(path) as part:
            part.write_text(text, encoding="utf-8")
            if path.exists():
                part.chmod(path.stat().st_mode & 0o777)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}.") from error
