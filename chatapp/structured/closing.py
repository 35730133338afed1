"""Objects get the properties that their schema names and no others, unless it says otherwise.

The standard lets an object have more. Whoever asks a model for an object with names means those:
a weak model that may add names adds them without end. llama.cpp's own way from a schema to a
grammar closes objects too. An object is left open where another schema could name more of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from chatapp.structured.reading import JsonSchema
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


def close_objects(schema: JsonSchema, nodes: list[Node]) -> None:
    """Forbid other properties in those of `nodes`, all of a schema, that stand alone."""
    joined = _find_joined(schema, nodes)
    for node in nodes:
        others = node.keys() & (_SPEAKS_OF_OBJECTS - {"properties", "required", "maxProperties"})
        if id(node) in joined or others or not node.get("properties"):
            continue
        for name in node.get("required", ()):
            node["properties"].setdefault(name, True)
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
