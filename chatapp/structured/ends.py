"""Whether an answer that fits a schema can have an end: a list in a list in a list has none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from chatapp.structured.reading import JsonSchema, refuse, step
from chatapp.structured.walking import Node, find


def check_ends(schema: JsonSchema, found: list[tuple[str, Node]]) -> None:
    """`UsageError` names the reference by which the schema `found` first needs itself for ever."""
    finite: set[int] = set()
    todo = [node for _, node in found[::-1]]  # inner ones first: most are known after one look
    n_left = -1
    while len(todo) != n_left:
        n_left = len(todo)
        for node in todo:
            if _is_finite(schema, node, finite):
                finite.add(id(node))
        todo = [node for node in todo if id(node) not in finite]
    if id(schema.value) in finite or isinstance(schema.value, bool):
        return
    endless = {id(node) for node in todo}
    for place, node in found:
        if id(node) in endless and "$ref" in node:
            refuse(
                "$ref",
                step(place, "$ref"),
                "leads back to itself, and an answer that fits would have no end",
                'Let it end, as in "anyOf": [{"$ref": "#"}, {"type": "null"}].',
            )


def _is_finite(schema: JsonSchema, node: Any, finite: set[int]) -> bool:
    """Whether some value with an end fits, as far as is known of the schemas inside."""

    def ends(child: Any) -> bool:
        return isinstance(child, bool) or id(child) in finite

    if "$ref" in node and not ends(find(schema, node["$ref"], "")[1]):
        return False
    if not all(map(ends, node.get("allOf", ()))):
        return False
    for key in ("anyOf", "oneOf"):
        if key in node and not any(map(ends, node[key])):
            return False
    names = node.get("type", "any")
    kinds = set(names if isinstance(names, list) else [names])
    if "const" in node or "enum" in node or not kinds <= {"object", "array"}:
        return True
    return any(_ends_as(kind, node, ends) for kind in kinds)


def _ends_as(kind: str, node: Node, ends: Callable[[Any], bool]) -> bool:
    if kind == "object":
        properties = node.get("properties", {})
        return all(ends(properties.get(name, True)) for name in node.get("required", ()))
    first, rest = node.get("prefixItems", []), node.get("items", True)
    if isinstance(rest, list):
        first, rest = rest, node.get("additionalItems", True)
    least = node.get("minItems", 0)
    return all(map(ends, first[:least])) and (least <= len(first) or ends(rest))
