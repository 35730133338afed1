"""The settings about keys and looks, checked before the screen opens.

Only the screen knows what there is: the keymap's rows, Textual's names of keys, its themes. Every
sentence names the setting and the way out.
"""

import string
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from textual._keyboard_protocol import FUNCTIONAL_KEYS
from textual.keys import KEY_NAME_REPLACEMENTS, Keys, _character_to_key
from textual.theme import BUILTIN_THEMES

from chatapp.config import Config, nearest, say_where
from chatapp.errors import ConfigError
from chatapp.ui.key_row import Key, Scope, read_parts, spell_key, split_keys
from chatapp.ui.keymap import KEYS, movable_ids
from chatapp.ui.themes import OUR_THEMES, THEMES

_MODIFIERS = ("alt", "ctrl", "hyper", "meta", "shift", "super")

_TOGETHER: tuple[frozenset[Scope], ...] = (
    frozenset({"app", "chat", "prompt"}),
    frozenset({"app", "chat", "sidebar"}),
    frozenset({"app", "message"}),
    frozenset({"app", "sides"}),
)
"""Scopes that are open at the same time: there, a key means one thing."""

_MODES: tuple[Scope, ...] = ("message", "sidebar", "find", "tree", "sides")
"""Scopes where letters are commands."""

_GIVEN = ("move", "kill", "yank", "undo", "files")
"""The prompt's own rows whose keys a user may give to something else."""


def check_screen_settings(config: Config, path: Path) -> Config:
    """`config` with its keys as Textual spells them; `ConfigError` for what cannot be meant.

    `path`: the settings file, for the sentences.
    """
    _check_theme(config.ui.theme, path)
    keys = {name: ",".join(_read(name, text, path)) for name, text in config.keys.items()}
    _check_doubles(keys, path)
    return replace(config, keys=keys)


def _check_theme(theme: str, path: Path) -> None:
    known = [*THEMES, *(one.name for one in OUR_THEMES), *BUILTIN_THEMES]
    if theme not in known:
        raise ConfigError(
            f"{path}: ui.theme is {theme!r}, which is no theme.",
            nearest(theme, known, f"There are: {', '.join(known)}."),
        )


def _read(name: str, text: str, path: Path) -> Iterator[str]:
    known = movable_ids()
    if name not in known:
        raise ConfigError(
            f"{path}: keys.{name} is not known.",
            say_where(name) or nearest(name, known, f"These are: {', '.join(sorted(known))}."),
        )
    for written in text.split(","):
        if not written.strip():
            continue
        *modifiers, last = read_parts(written.strip())
        for part in modifiers:
            if part not in _MODIFIERS:
                raise _no_key(f"{path}: keys.{name}", written, part, _MODIFIERS)
        if len(last) > 1 and last not in _names():
            raise _no_key(f"{path}: keys.{name}", written, last, sorted(_names()))
        key = last if len(last) > 1 or last.isalnum() else _character_to_key(last)
        if not modifiers and _is_text(last) and _scope(name) not in _MODES:
            raise ConfigError(
                f"{path}: keys.{name} is {written.strip()!r}, which is text in a prompt.",
                f'Take it with a control key, as in {name} = "ctrl+{last}" or "alt+{last}".',
            )
        yield "+".join([*sorted(modifiers), key])


def _no_key(where: str, written: str, part: str, known: Iterable[str]) -> ConfigError:
    return ConfigError(
        f"{where} is {written.strip()!r}: no key is called {part!r}.",
        nearest(part, known, 'Keys are written as in "ctrl+r", "alt+up", "f5" or "pageup".'),
    )


def _names() -> set[str]:
    from_terminals = {key.value.rpartition("+")[2] for key in Keys if "<" not in key.value}
    signs = {_character_to_key(sign) for sign in string.punctuation + " "}
    renamed = set(KEY_NAME_REPLACEMENTS.values())
    found = from_terminals | signs | renamed | set(FUNCTIONAL_KEYS.values())
    return {name for name in found if len(name) > 1}


def _is_text(last: str) -> bool:
    return (
        len(last) == 1
        or last == "space"
        or last in {_character_to_key(sign) for sign in string.punctuation}
    )


def _scope(name: str) -> Scope:
    return next(key.scope for key in KEYS if key.id == name)


def _check_doubles(keys: Mapping[str, str], path: Path) -> None:
    for scopes in _TOGETHER:
        owners: dict[str, Key] = {}
        for key in KEYS:
            if key.scope not in scopes or key.id in _GIVEN:
                continue
            if key.fixed and key.scope != "prompt":  # a list takes these before anybody else
                continue
            for pressed in split_keys(keys.get(key.id, key.keys)):
                other = owners.setdefault(pressed, key)
                if other is not key and (key.id in keys or other.id in keys):
                    raise _double(path, pressed, other, key)


def _double(path: Path, pressed: str, first: Key, second: Key) -> ConfigError:
    fixed = next((key for key in (first, second) if key.fixed), None)
    if fixed is not None:
        other = second if fixed is first else first
        return ConfigError(
            f"{path}: keys.{other.id} is {spell_key(pressed)}, which belongs to the prompt "
            f"({fixed.label}).",
            f"Give {other.id} another key.",
        )
    return ConfigError(
        f"{path}: {spell_key(pressed)} is the key of both keys.{first.id} and keys.{second.id}.",
        f'Give one of them another key, or none: {second.id} = "".',
    )
