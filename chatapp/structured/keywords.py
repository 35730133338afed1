"""What of a JSON schema an answer is held to, and the refusal of what it cannot be held to.

llguidance holds answers to a schema. What it does not know it names without the place; so every
keyword is looked at here first, and a refusal names both. What means nothing to an answer (an
annotation, a `format` nobody checks, `uniqueItems: false`) is no reason to refuse and is taken out.

Source: `parser/src/json/schema.rs` of llguidance 1.9, and its `docs/json_schema.md`.
"""

from __future__ import annotations

import json
import math
import sys
from decimal import Decimal
from itertools import combinations
from typing import Any

from chatapp.structured.alternatives import are_disjoint
from chatapp.structured.closing import close
from chatapp.structured.ends import check_ends
from chatapp.structured.patterns import translate
from chatapp.structured.reading import JsonSchema, refuse, step
from chatapp.structured.values import COUNTS, check, is_number
from chatapp.structured.walking import Node, walk

FORMATS = (
    "date-time",
    "time",
    "date",
    "duration",
    "email",
    "hostname",
    "ipv4",
    "ipv6",
    "uuid",
    "uri",
)
"""Those that llguidance holds an answer to; the others are annotations, as the standard says."""
_UNKNOWN = (
    "not",
    "if",
    "then",
    "else",
    "uniqueItems",
    "contains",
    "minContains",
    "maxContains",
    "propertyNames",
    "dependentRequired",
    "dependentSchemas",
    "dependencies",
    "unevaluatedProperties",
    "unevaluatedItems",
    "$dynamicRef",
    "$recursiveRef",
    "$dynamicAnchor",
    "$recursiveAnchor",
)
"""Keywords that llguidance does not know."""
_LETS_ALL = ("then", "else", "propertyNames", "unevaluatedProperties", "unevaluatedItems")
"""Those that ask for nothing when they are true."""
_MOST = 10**18
"""Of numbers: llguidance computes bounds in 64 bits; and a weak model that may write any integer
can add digits for ever."""
_EXACT = 2**53
"""Integers up to here are exact as the 64-bit floats that llguidance reads them as."""
_MOST_ALTERNATIVES = 100
"""Of a `oneOf`: each is compared with each."""


def prepare(schema: JsonSchema, longest: int = 10_000) -> str:
    """The schema as llguidance takes it; `UsageError` names the keyword and place it cannot.

    A text that has no longest length gets `longest` characters.
    """
    own = JsonSchema(json.loads(schema.text), schema.place)
    if own.value is False:
        refuse("false", own.place or "/", "is a schema that no value fits")
    if own.value is True:
        return "{}"
    draft = str(own.value.get("$schema", ""))
    if not draft.startswith(("https://json-schema.org/", "http://json-schema.org/")):
        own.value.pop("$schema", None)
    own.value.pop("x-guidance", None)  # llguidance's own settings
    found = list(walk(own))  # before anything is moved: a refusal names the place it was given
    for place, node in found:
        check(node, place, draft)
        _take_out(node, place)
        _narrow(node, place)
    nodes = [node for _place, node in found]
    close(own, nodes, longest)
    for node in nodes:
        _tell_alternatives_apart(own, node)
    check_ends(own, found)
    return own.text


def _take_out(node: Node, place: str) -> None:
    """Remove what asks for nothing; refuse what llguidance does not know."""
    for key in [key for key in node if key in _UNKNOWN]:
        if not _asks_for_nothing(node, key):
            refuse(
                key,
                step(place, key),
                "is nothing that an answer can be held to here",
                "Leave it out and check the answer afterwards.",
            )
    for key in _UNKNOWN:
        node.pop(key, None)
    if node.get("format") not in FORMATS:
        node.pop("format", None)


def _asks_for_nothing(node: Node, key: str) -> bool:
    value = node[key]
    if key == "if":
        return all(node.get(branch, True) in (True, {}) for branch in ("then", "else"))
    if key in ("then", "else") and "if" not in node:
        return True
    if key == "uniqueItems":
        return value is False or node.get("maxItems", 2) <= 1
    if key in ("minContains", "maxContains", "$dynamicAnchor", "$recursiveAnchor"):
        return True
    if key in ("dependentRequired", "dependentSchemas", "dependencies"):
        return isinstance(value, dict) and not any(child != [] for child in value.values())
    if key == "not":
        return value is False
    return key in _LETS_ALL and value in (True, {})


def _narrow(node: Node, place: str) -> None:
    """Spell what llguidance reads otherwise, or cannot read, so that every answer still fits."""
    for key in COUNTS:
        if key in node:
            node[key] = int(node[key])  # 2.0 is whole
    for key in ("const", "enum"):
        if key in node:
            _check_exact(node[key], key, step(place, key))
    _bound(node, place)
    if "pattern" in node:
        node["pattern"] = _translate(node["pattern"], "pattern", step(place, "pattern"))
    if "patternProperties" in node:
        at = step(place, "patternProperties")
        node["patternProperties"] = {
            _translate(name, "patternProperties", step(at, name)): child
            for name, child in node["patternProperties"].items()
        }
    if node.get("minProperties", 0) > max(1, len(set(node.get("required", ()))) + 1):
        refuse(
            "minProperties",
            step(place, "minProperties"),
            "asks for two names that are free, and an answer could give the same name twice",
            'Name more of them under "required".',
        )


def _bound(node: Node, place: str) -> None:
    """Bounds in reach of what llguidance computes with, and some for every integer."""
    names = node.get("type", "")
    is_integer = "integer" in names and "number" not in names
    for low, sign in (("minimum", 1), ("maximum", -1)):
        exclusive = f"exclusive{low.title()}"
        for key in (low, exclusive):
            bound = node.get(key)
            if isinstance(bound, bool) or bound is None:
                continue
            if bound * sign > _MOST:
                refuse(key, step(place, key), f"is beyond {_MOST * sign:.0e}")
            if bound * sign < -_MOST:
                node[key] = -sign * _MOST
            elif isinstance(bound, int) and float(bound) * sign < bound * sign:
                node[key] = int(math.nextafter(float(bound), sign * math.inf))
        if is_integer and not node.keys() & {low, exclusive}:
            node[low] = -sign * _MOST


def _check_exact(value: Any, key: str, at: str) -> None:
    """llguidance reads numbers as 64-bit floats: others would be written as their neighbours."""
    if isinstance(value, list):
        for child in value:
            _check_exact(child, key, at)
    elif isinstance(value, dict):
        for child in value.values():
            _check_exact(child, key, at)
    elif is_number(value) and abs(value) > _EXACT and not _is_exact(value):
        refuse(key, at, f"has the number {value}, which 64-bit floats do not have")


def _is_exact(value: float) -> bool:
    """Whether it is written as it is read: 1e22 is, 1e23 and 2**53 + 1 are not."""
    return abs(value) < sys.float_info.max and int(Decimal(repr(float(value)))) == value


def _translate(pattern: str, key: str, at: str) -> str:
    try:
        return translate(pattern)
    except ValueError as error:
        refuse(key, at, str(error))


def _tell_alternatives_apart(schema: JsonSchema, node: Node) -> None:
    """`oneOf` becomes `anyOf` where no value could fit two of its schemas."""
    options = node.get("oneOf")
    if not options or "anyOf" in node or len(options) > _MOST_ALTERNATIVES:
        return
    pairs = combinations(options, 2)
    if all(are_disjoint(schema, one, other) for one, other in pairs):
        changed = {("anyOf" if key == "oneOf" else key): value for key, value in node.items()}
        node.clear()
        node.update(changed)
