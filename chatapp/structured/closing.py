"""What gives an answer an end: objects get the properties that their schema names and no others.

The standard lets an object have more. Whoever asks a model for an object with names means those:
a weak model that may add names adds them without end. llama.cpp's own way from a schema to a
grammar closes objects too. An object is left open where another schema could name more of it, or
where the schema says what others are like. Texts and decimals go on for ever in weak models too.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from chatapp.structured.reading import JsonSchema
from chatapp.structured.values import BOUNDS, is_number
from chatapp.structured.walking import Node, find

_JOINS = ("allOf", "anyOf", "oneOf", "$ref")
_SPEAKS_OF_OBJECTS = {
    *_JOINS,
    "properties",
    "required",
    "additionalProperties",
    "patternProperties",
    "minProperties",
    "maxProperties",
}
_ALLOWS_OTHERS = {"additionalProperties", "patternProperties"}
_OTHER_NAMES = {"patternProperties", "properties", "required", *_JOINS}
_FINEST = 1e-9
_NAME = "^.{1,60}$"
"""Of a property whose name is free: a weak model might not find its end."""


def close(schema: JsonSchema, nodes: list[Node], longest: int) -> None:
    """Give an end to what stands in `nodes`, all of a schema, that no other schema joins.

    Objects get no other properties; a text gets at most `longest` characters, a number at most
    nine decimals.
    """
    joined = _find_joined(schema, nodes)
    for node in nodes:
        if id(node) in joined:
            continue
        _shorten(node, longest)
        names = _find_names(schema, node, set())
        if names:
            own = node.setdefault("properties", {})
            for name in names:
                own.setdefault(name, True)
            node["additionalProperties"] = False
        elif not node.keys() & _OTHER_NAMES and (
            "additionalProperties" in node or node.get("type") == "object"
        ):
            _shorten_names(node)


def _find_names(schema: JsonSchema, node: Any, seen: set[int]) -> list[str] | None:
    """The names that it and the schemas joined with it speak of; None if they allow others."""
    if not isinstance(node, dict) or id(node) in seen or node.keys() & _ALLOWS_OTHERS:
        return None
    seen.add(id(node))
    if node.get("minProperties", 0) > len(node.get("required", ())):
        return None
    names = [*node.get("properties", ()), *node.get("required", ())]
    is_top = len(seen) == 1
    for key, children in _find_children(schema, node):
        others = node.keys() & (_SPEAKS_OF_OBJECTS - {key})
        if is_top and not others and not (key == "allOf" and len(children) > 1):
            return None  # nothing is joined here: each of them is closed by itself
        for child in children:
            found = [] if isinstance(child, bool) else _find_names(schema, child, seen)
            if found is None:
                return None
            names += found
    return names


def _shorten(node: Node, longest: int) -> None:
    if node.keys() & {"const", "enum"}:
        return
    names = node.get("type", "")
    if "string" in names and not node.keys() & {"maxLength", "format"}:
        node["maxLength"] = max(longest, node.get("minLength", 0))
    bounds = [node[key] for key in BOUNDS if is_number(node.get(key))]
    if "number" in names and "multipleOf" not in node and all(map(_is_coarse, bounds)):
        node["multipleOf"] = _FINEST


def _is_coarse(bound: float) -> bool:
    return round(bound, 6) == bound


def _shorten_names(node: Node) -> None:
    """Free names get a longest length."""
    value = node.pop("additionalProperties", True)
    if value is not False:
        node["patternProperties"] = {_NAME: value}
    node["additionalProperties"] = False


def _find_joined(schema: JsonSchema, nodes: list[Node]) -> set[int]:
    """Those that hold together with another, which may speak of the same object."""
    joined: set[int] = set()
    todo = [(node, False) for node in nodes]
    while todo:
        node, is_joined = todo.pop()
        if is_joined:
            if id(node) in joined:
                continue
            joined.add(id(node))
        for key, children in _find_children(schema, node):
            others = node.keys() & (_SPEAKS_OF_OBJECTS - {key})
            if is_joined or others or (key == "allOf" and len(children) > 1):
                todo += [(child, True) for child in children if isinstance(child, dict)]
    return joined


def _find_children(schema: JsonSchema, node: Node) -> Iterator[tuple[str, list[Any]]]:
    for key in _JOINS:
        if key == "$ref" and key in node:
            yield key, [find(schema, node[key], "")[1]]
        elif key in node:
            yield key, node[key]
