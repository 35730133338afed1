"""Builds the author's model: its class or function, called with what is known of its settings."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import typing
from collections.abc import Callable, Mapping
from typing import Any

from convert.author.choosing import find_config_class, find_literal_settings
from convert.author.faults import AuthorError
from convert.author.known import (
    MISSING,
    Known,
    MissingSettingError,
    Settings,
    names_of_settings,
    put,
)
from convert.author.script import Script

_CONFIG_NAMES = frozenset(
    {"config", "cfg", "conf", "args", "params", "hparams", "model_args", "configuration", "configs"}
    | {"settings", "opt", "opts", "options", "hp", "hyperparameters", "hyperparams", "c", "h", "p"}
    | {"arguments"}
)
_PLAIN = (int, float, bool, str, bytes, complex, list, tuple, set)


def build(script: Script, name: str, known: Known) -> Any:
    """The model `name` of `script`, with the weights it makes itself. Raises what the code raises,
    `MissingSettingError`, `AuthorError`."""
    target = script.load(name, known)
    if hasattr(target, "state_dict") and not inspect.isclass(target):
        return target  # one that the script has made
    if not callable(target):
        raise AuthorError(f"{name} in {script.path.name} is neither a class nor a function.")
    builder = _Builder(script, name, known)
    model = builder.call(target, _default_config(target, known))
    if not hasattr(model, "state_dict") or not callable(model):
        raise AuthorError(
            f"{name} in {script.path.name} makes a {type(model).__name__}, which is no nn.Module.",
            "Name the model's class or the function that returns the model.",
        )
    return model


def _default_config(target: Any, known: Known) -> Any:
    """minGPT's way: the class has a configuration to be filled. `MISSING` where it has none."""
    make = getattr(target, "get_default_config", None)
    if make is None:
        return MISSING
    config = make()
    names = vars(config) if hasattr(config, "__dict__") else {}
    for name in list(names):
        if name == "model_type" and known.strong("n_layer") is not MISSING:
            put(config, name, None)  # minGPT takes either a type or sizes
        elif (found := known.find(name)) is not MISSING:
            put(config, name, found)
    return config


class _Builder:
    def __init__(self, script: Script, name: str, known: Known) -> None:
        self._script, self._name, self._known = script, name, known

    def call(self, target: Callable[..., Any], config: Any = MISSING) -> Any:
        """`target(...)` with every parameter that is known or has to be given."""
        parameters = _parameters(target)
        hints = self._annotations(target)
        positional: list[Any] = []
        named: dict[str, Any] = {}
        for parameter in parameters:
            value = self._value(parameter, hints.get(parameter.name), config, alone=not positional)
            if value is MISSING:
                continue
            if parameter.kind is parameter.POSITIONAL_ONLY:
                positional.append(value)
            elif parameter.kind is parameter.VAR_KEYWORD:
                named |= value
            else:
                named[parameter.name] = value
        return target(*positional, **named)

    def _value(
        self, parameter: inspect.Parameter, annotation: Any, config: Any, *, alone: bool
    ) -> Any:
        """What to give for `parameter`; `MISSING` for nothing. Raises `MissingSettingError`."""
        name, required = parameter.name, parameter.default is parameter.empty
        if parameter.kind is parameter.VAR_POSITIONAL:
            return MISSING
        if parameter.kind is parameter.VAR_KEYWORD:
            return MISSING if not alone else dict(self._known.config())
        if _made(parameter):  # `config=GPTConfig()`: the code's own, with what is known better
            made = copy.deepcopy(parameter.default)
            self._known.adjust(made)
            return made
        if _is_config(name, annotation) and (required or parameter.default is None):
            return self._config(name, annotation) if config is MISSING else config
        found = self._known.instead(name, None if required else parameter.default)
        if found is MISSING and required:
            found = self._known.weak(name)
        if found is MISSING and required:
            raise MissingSettingError(name)
        return found

    def _config(self, name: str, annotation: Any) -> Any:
        """An object of settings for the parameter `name`."""
        kind = annotation if inspect.isclass(annotation) and annotation is not dict else None
        if kind is None or issubclass(kind, Mapping):
            literal = find_literal_settings(self._script, name)
            found = "" if annotation is dict else find_config_class(self._script, self._name, name)
            if literal and not found:
                return Settings(self._known, literal)
            kind = self._script.load(found, self._known) if found else None
        if not inspect.isclass(kind):
            return Settings(self._known, find_literal_settings(self._script, name))
        return self._make(kind)

    def _make(self, kind: Any) -> Any:
        """One of a class of settings, filled."""
        if dataclasses.is_dataclass(kind):
            hints = self._annotations(kind)
            values = {
                field.name: value
                for field in dataclasses.fields(kind)
                if field.init
                and (value := self._field(field, hints.get(field.name))) is not MISSING
            }
            filler: Any = kind
            return filler(**values)
        maker: Callable[..., Any] = kind
        made = self.call(maker)
        for name in names_of_settings(made):
            if (found := self._known.instead(name, getattr(made, name))) is not MISSING:
                put(made, name, found)
        return made

    def _field(self, field: Any, annotation: Any) -> Any:
        required = (
            field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        )
        found = self._known.instead(field.name, field.default)
        if dataclasses.is_dataclass(annotation) and (found is MISSING or isinstance(found, dict)):
            return self._make(annotation)
        if found is MISSING and required:
            found = self._known.weak(field.name)
        if found is MISSING and required:
            raise MissingSettingError(field.name)
        return found

    def _annotations(self, target: Any) -> dict[str, Any]:
        """Annotations as objects, as far as they are: those written as text are looked up."""
        raw = getattr(target.__init__ if inspect.isclass(target) else target, "__annotations__", {})
        if dataclasses.is_dataclass(target):
            raw = {field.name: field.type for field in dataclasses.fields(target)}
        found: dict[str, Any] = {}
        for name, annotation in raw.items():
            if isinstance(annotation, str):
                if annotation.isidentifier() and self._script.has(annotation):
                    annotation = self._script.load(annotation, self._known)
                else:
                    annotation = {"dict": dict}.get(annotation.partition("[")[0].lower())
            origin = typing.get_origin(annotation)
            kinds = [kind for kind in typing.get_args(annotation) if kind is not type(None)]
            if origin is dict:
                annotation = dict
            elif origin is not None and len(kinds) == 1:  # Optional
                annotation = kinds[0]
            found[name] = annotation
        return found


def _parameters(target: Callable[..., Any]) -> list[inspect.Parameter]:
    try:
        return list(inspect.signature(target).parameters.values())
    except (ValueError, TypeError):
        return []


def _is_config(name: str, annotation: Any) -> bool:
    """Whether a parameter takes settings as one object."""
    if inspect.isclass(annotation):
        return annotation is dict or (
            not issubclass(annotation, _PLAIN) and not _is_torch(annotation)
        )
    return name.lower() in _CONFIG_NAMES or name.lower().endswith(("config", "cfg", "hparams"))


def _is_torch(kind: type) -> bool:
    return kind.__module__.partition(".")[0] in {"torch", "numpy", "builtins", "collections"}


def _made(parameter: inspect.Parameter) -> bool:
    """Whether the default is itself settings: `config=GPTConfig()`."""
    default = parameter.default
    return isinstance(default, dict) or bool(names_of_settings(default))
