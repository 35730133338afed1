"""The schemas inside a schema, each with its place, references followed once.

Values of `enum`, `const`, `default` and `examples` are no schemas, whatever they look like; what
stands under `$defs` counts only when something refers to it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

from chatapp.structured.reading import JsonSchema, refuse, step

ONE = (
    "items",
    "additionalItems",
    "additionalProperties",
    "contains",
    "propertyNames",
    "not",
    "if",
    "then",
    "else",
    "unevaluatedItems",
    "unevaluatedProperties",
)
"""Keywords whose value is a schema."""
MANY = ("allOf", "anyOf", "oneOf", "prefixItems", "items")
"""Keywords whose value is a list of schemas; `items` was one before 2020-12."""
NAMED = ("properties", "patternProperties", "dependentSchemas")
"""Keywords whose value has a schema under each name."""
_MAX_DEPTH = 500
"""Schemas in each other by way of references; the library overflows its stack at some 10,000."""
_MAX_SCHEMAS = 20_000
"""Walking through them takes 0.1 s."""

Node = dict[str, Any]


def walk(schema: JsonSchema) -> Iterator[tuple[str, Node]]:
    """Every schema that is an object, outer ones first, with its JSON pointer.

    `UsageError` names the keyword and place of what is no schema, and of a reference that leads
    nowhere. What is yielded may be changed before the next is asked for.
    """
    seen: set[int] = set()
    todo: list[tuple[str, str, Any, int]] = [("", schema.place, schema.value, 0)]
    while todo:
        keyword, place, node, depth = todo.pop()
        if isinstance(node, bool) or id(node) in seen:
            continue
        if not isinstance(node, dict):
            refuse(keyword, place or "/", "is no schema", "A schema is an object, true or false.")
        seen.add(id(node))
        if depth > _MAX_DEPTH or len(seen) > _MAX_SCHEMAS:
            most = f"{_MAX_DEPTH} deep" if depth > _MAX_DEPTH else f"{_MAX_SCHEMAS:,}"
            refuse(keyword, place, f"is one too many of the schemas in each other ({most})")
        yield place, node
        found = [(key, *at, depth + 1) for key, at in _inner(node, place)]
        if "$ref" in node:
            at = step(place, "$ref")
            found.append(("$ref", *find(schema, node["$ref"], at), depth + 1))
        todo += found[::-1]


def find(schema: JsonSchema, reference: Any, place: str) -> tuple[str, Any]:
    """Where a `$ref` leads, and what stands there. Only within the schema: nothing is fetched."""
    if not isinstance(reference, str):
        refuse("$ref", place, "is no text")
    path, _, fragment = reference.partition("#")
    root = schema.value
    if path and not (isinstance(root, dict) and path == root.get("$id")):
        refuse(
            "$ref",
            place,
            f"refers to another file ({reference[:80]})",
            'Put what it refers to under "$defs" in this one.',
        )
    if fragment and not fragment.startswith("/"):
        return _find_anchor(schema, fragment, place)
    node: Any = root
    at = schema.place
    for raw in unquote(fragment).split("/")[1:]:
        key = raw.replace("~1", "/").replace("~0", "~")
        if isinstance(node, dict) and key in node:
            node = node[key]
        elif isinstance(node, list) and key.isdecimal() and int(key[:9]) < len(node):
            node = node[int(key[:9])]
        else:
            refuse("$ref", place, f"refers to {reference[:80]}, and nothing stands there")
        at = step(at, key)
    return at, node


def _find_anchor(schema: JsonSchema, name: str, place: str) -> tuple[str, Any]:
    todo: list[tuple[str, Any]] = [(schema.place, schema.value)]
    while todo:
        at, node = todo.pop()
        if isinstance(node, dict):
            if name in (node.get("$anchor"), str(node.get("$id", ""))[1:]):
                return at, node
            todo += [(step(at, key), value) for key, value in node.items()]
        elif isinstance(node, list):
            todo += [(step(at, key), value) for key, value in enumerate(node)]
    return refuse("$ref", place, f"refers to #{name[:80]}, and nothing has that anchor")


def _inner(node: Node, place: str) -> Iterator[tuple[str, tuple[str, Any]]]:
    for key, value in node.items():
        at = step(place, key)
        if key in NAMED:
            if not isinstance(value, dict):
                refuse(key, at, "is no object with a schema under each name")
            yield from ((key, (step(at, name), child)) for name, child in value.items())
        elif key in MANY and isinstance(value, list):
            yield from ((key, (step(at, index), child)) for index, child in enumerate(value))
        elif key in ONE:
            yield key, (at, value)
        elif key in MANY:
            refuse(key, at, "is no list of schemas")
