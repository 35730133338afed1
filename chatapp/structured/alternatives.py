"""Whether no value fits two schemas at once, so that `oneOf` between them is `anyOf`.

llguidance sees this where the alternatives stand in place. Programs that write schemas put each
under `$defs` and tell them apart by a property with one value, which is seen here. No is no proof.
"""

from __future__ import annotations

from typing import Any

from chatapp.structured.reading import JsonSchema
from chatapp.structured.walking import find

_DEPTH = 6
_ALL = frozenset(("null", "boolean", "number", "string", "array", "object"))


def are_disjoint(schema: JsonSchema, one: Any, other: Any, depth: int = _DEPTH) -> bool:
    """True if it is certain that no value fits both `one` and `other`, parts of `schema`."""
    one, other = _resolve(schema, one), _resolve(schema, other)
    if one is False or other is False:
        return True
    if not isinstance(one, dict) or not isinstance(other, dict) or depth == 0:
        return False
    for mine, yours in ((one, other), (other, one)):
        for key in ("anyOf", "oneOf"):
            options = mine.get(key)
            if isinstance(options, list) and all(
                are_disjoint(schema, option, yours, depth - 1) for option in options
            ):
                return True
        inner = mine.get("allOf")
        if isinstance(inner, list) and any(
            are_disjoint(schema, part, yours, depth - 1) for part in inner
        ):
            return True
    types = _types(one), _types(other)
    if not types[0] & types[1] or _have_other_values(one, other):
        return True
    return types[0] & types[1] == {"object"} and _have_other_keys(schema, one, other, depth)


def _resolve(schema: JsonSchema, node: Any) -> Any:
    for _ in range(_DEPTH):
        if not (isinstance(node, dict) and "$ref" in node):
            break
        node = find(schema, node["$ref"], "")[1]
    return node


def _types(node: dict[str, Any]) -> frozenset[str]:
    """What a value may be; an integer is a number."""
    if "const" in node or "enum" in node:
        return frozenset(_type_of(value) for value in _values(node))
    names = node.get("type", list(_ALL))
    names = names if isinstance(names, list) else [names]
    return frozenset("number" if name == "integer" else str(name) for name in names)


def _type_of(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    names: dict[type, str] = {str: "string", list: "array", dict: "object"}
    return names.get(type(value), "number")


def _values(node: dict[str, Any]) -> list[Any]:
    return [node["const"]] if "const" in node else list(node["enum"])


def _have_other_values(one: dict[str, Any], other: dict[str, Any]) -> bool:
    if not all("const" in node or isinstance(node.get("enum"), list) for node in (one, other)):
        return False
    return not any(
        mine == yours and _type_of(mine) == _type_of(yours)
        for mine in _values(one)
        for yours in _values(other)
    )


def _have_other_keys(
    schema: JsonSchema, one: dict[str, Any], other: dict[str, Any], depth: int
) -> bool:
    """A key that one must have, and that the other may not, or with another value only."""
    for mine, yours in ((one, other), (other, one)):
        for key in mine.get("required", ()):
            properties = mine.get("properties", {}), yours.get("properties", {})
            value = properties[1].get(key)
            if value is None:
                if yours.get("additionalProperties") is False and not yours.get(
                    "patternProperties"
                ):
                    return True
            elif are_disjoint(schema, properties[0].get(key, True), value, depth - 1):
                return True
    return False
