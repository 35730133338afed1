"""Whether the keywords of a JSON schema have values that they can have."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

from chatapp.structured.reading import refuse, step
from chatapp.structured.walking import Node

TYPES = ("null", "boolean", "integer", "number", "string", "array", "object")
COUNTS = ("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties")
BOUNDS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
_DRAFT_7 = "http://json-schema.org/draft-07/schema#"
_MOST_MULTIPLE = 100_000
"""Of a step's digits without zeros behind them; 1,000,003 took 7 s and 300 MB to prepare."""


def check(node: Node, place: str, draft: str) -> None:
    """`UsageError` names the keyword and place of a value that means nothing.

    `draft` is the root's `$schema`, or empty: the newest.
    """
    for key, value in node.items():
        at = step(place, key)
        if key in COUNTS and not _is_count(value):
            refuse(key, at, "is no whole number from 0 on")
        elif key == "pattern" and not isinstance(value, str):
            refuse(key, at, "is no text")
        elif key == "required" and not _is_texts(value):
            refuse(key, at, "is no list of names")
        elif key == "enum" and not (isinstance(value, list) and value):
            refuse(key, at, "names no value that an answer could have")
        elif key in BOUNDS:
            _check_bound(key, value, at, draft)
        elif key in ("anyOf", "oneOf", "allOf") and value == []:
            refuse(key, at, "is empty")
        elif key == "items" and isinstance(value, list) and (not draft or "/2020-12/" in draft):
            hint = f'Name the list "prefixItems", or add "$schema": "{_DRAFT_7}".'
            refuse(key, at, "is a list, which it was before 2020-12", hint)
    if "type" in node:
        _check_type(node["type"], step(place, "type"))
    if "multipleOf" in node:
        _check_multiple(node["multipleOf"], step(place, "multipleOf"))


def is_number(value: Any) -> bool:
    """Whether `value` is a number of JSON; Python counts true and false among them."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def _check_bound(key: str, value: Any, at: str, draft: str) -> None:
    if isinstance(value, bool) and key.startswith("exclusive"):
        if "draft-04" not in draft:
            refuse(key, at, "is true or false, which it was in draft 4", "It is the bound itself.")
    elif not is_number(value):
        refuse(key, at, "is no number")


def _check_type(value: Any, at: str) -> None:
    names = value if isinstance(value, list) and value else [value]
    for name in names:
        if name not in TYPES:
            said = json.dumps(name, ensure_ascii=False)[:60]
            known = f"{', '.join(TYPES[:-1])} and {TYPES[-1]}"
            refuse("type", at, f"is {said}", f"The types are {known}.")


def _check_multiple(value: Any, at: str) -> None:
    if not is_number(value) or value <= 0:
        refuse("multipleOf", at, "is no number above 0")
    number = Decimal(str(value)).normalize()
    digits = int("".join(map(str, number.as_tuple().digits)))
    if digits > _MOST_MULTIPLE or not -9 <= number.adjusted() <= 15:
        refuse("multipleOf", at, f"is {value}, too odd a step to hold an answer to")


def _is_count(value: Any) -> bool:
    return is_number(value) and value >= 0 and value == int(value)


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value)
