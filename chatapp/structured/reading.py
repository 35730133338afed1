"""A JSON schema from a file, a setting or a request: out of its wrapping, and well formed.

Whoever asks an API for JSON wraps the schema, each API in its own way; the schema itself is taken
out. What is no schema is refused in a sentence.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NoReturn

from chatapp.errors import UsageError

MAX_BYTES = 1 << 20
"""A schema of this size takes a third of a second to prepare, with 50,000 choices in it."""
_MAX_DEPTH = 120
"""Lists and objects in each other; the library that holds answers to a schema reads 127."""
_WRAPPING = {"name", "schema", "strict", "description", "type", "input_schema"}


@dataclass(frozen=True, slots=True)
class JsonSchema:
    """A schema, and where it stands in what was given."""

    value: dict[str, Any] | bool
    place: str
    """A JSON pointer; empty for a schema without wrapping."""

    @property
    def text(self) -> str:
        """The schema alone, as JSON."""
        return json.dumps(self.value, ensure_ascii=False)


def read_schema(text: str) -> JsonSchema:
    """The schema that `text` holds; `UsageError` for what is none."""
    if len(text.encode("utf-8", "replace")) > MAX_BYTES:
        raise UsageError(
            f"The JSON schema cannot be used: it is larger than {MAX_BYTES >> 20} MiB."
        )
    if not text.strip("\ufeff \t\r\n"):
        raise UsageError(
            "The JSON schema cannot be used: it is empty.", "The schema of any JSON at all is {}."
        )
    try:
        value = json.loads(text.removeprefix("\ufeff"), parse_constant=_refuse_constant)
    except ValueError as error:
        raise UsageError(
            f"The JSON schema cannot be used: it is not valid JSON: {error}."
        ) from None
    except RecursionError:
        raise _too_deep() from None
    _check_depth(value)
    try:
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except UnicodeEncodeError:
        raise UsageError(
            "The JSON schema cannot be used: it holds half a character (a lone \\uD800 to \\uDFFF)."
        ) from None
    except ValueError:
        raise UsageError(
            "The JSON schema cannot be used: it holds a number beyond all 64-bit floats."
        ) from None
    return _unwrap(value, "")


def refuse(keyword: str, place: str, why: str, hint: str = "") -> NoReturn:
    """Raise the `UsageError` that names a keyword of a schema and the place where it stands."""
    raise UsageError(f'The JSON schema cannot be used: "{keyword}" at {place} {why}.', hint)


def step(place: str, key: str | int) -> str:
    """The JSON pointer one step further down."""
    return f"{place}/{str(key).replace('~', '~0').replace('/', '~1')}"


def _unwrap(value: Any, place: str) -> JsonSchema:
    if isinstance(value, bool):
        return JsonSchema(value, place)
    if not isinstance(value, dict):
        where = f" at {place}" if place else ""
        raise UsageError(
            f"The JSON schema cannot be used: it is {_kind(value)}{where}.",
            'A schema is an object, as in {"type": "object", "properties": {}}, or true.',
        )
    kind = value.get("type")
    if set(value) <= {"response_format"} and value:
        return _unwrap(value["response_format"], step(place, "response_format"))
    if isinstance(value.get("json_schema"), dict | bool) and kind in ("json_schema", None):
        if set(value) <= {"type", "json_schema"}:
            return _unwrap_named(value["json_schema"], step(place, "json_schema"))
    elif kind == "json_object" and set(value) <= {"type", "schema"}:
        return _unwrap_object(value, place)
    elif "schema" in value and set(value) <= _WRAPPING and kind in ("json_schema", None):
        return _unwrap(value["schema"], step(place, "schema"))
    elif "input_schema" in value and set(value) <= _WRAPPING and kind is None:
        return _unwrap(value["input_schema"], step(place, "input_schema"))
    if kind in ("json_schema", "json_object", "text"):
        raise UsageError(
            f'The JSON schema cannot be used: it says "type": "{kind}" and holds no schema.',
            'Wrapped, it is {"type": "json_schema", "json_schema": {"schema": {…}}}.',
        )
    return JsonSchema(value, place)


def _unwrap_named(value: Any, place: str) -> JsonSchema:
    """What stands in `json_schema`: a name with a schema, or the schema at once."""
    if isinstance(value, dict) and "schema" not in value and set(value) & {"name", "strict"}:
        raise UsageError(
            f'The JSON schema cannot be used: nothing stands as "schema" at {place or "/"}.'
        )
    return _unwrap(value, place)


def _unwrap_object(value: dict[str, Any], place: str) -> JsonSchema:
    if "schema" in value:
        return _unwrap(value["schema"], step(place, "schema"))
    return JsonSchema({"type": "object"}, place)


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    return (
        "a list" if isinstance(value, list) else "a text" if isinstance(value, str) else "a number"
    )


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")


def _check_depth(value: Any) -> None:
    todo: list[tuple[Any, int]] = [(value, 1)]
    while todo:
        node, depth = todo.pop()
        if depth > _MAX_DEPTH:
            raise _too_deep()
        todo += [(child, depth + 1) for child in _children(node)]


def _children(node: Any) -> Iterator[Any]:
    if isinstance(node, dict):
        yield from node.values()
    elif isinstance(node, list):
        yield from node


def _too_deep() -> UsageError:
    return UsageError(
        f"The JSON schema cannot be used: it is nested more than {_MAX_DEPTH} levels deep.",
        'Parts that stand under "$defs" and are named by "$ref" nest less.',
    )
