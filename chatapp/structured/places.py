"""Where in a schema the cause of a complaint lies, when whoever complains does not say.

A part of the schema that is complained about alone is nearer to the cause than the whole. Of the
innermost one, the keyword without which it is taken is the cause.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

from chatapp.errors import UsageError
from chatapp.structured.reading import JsonSchema, step
from chatapp.structured.walking import Node, walk

_MOST_S = 1.0
"""A try costs from a millisecond to half a second; then the place is as near as it was found."""
_ROOT = "x-root"
_UNSATISFIABLE = "Unsatisfiable schema:"

Complain = Callable[[str], str]
"""What is wrong with a schema's text; empty if nothing is."""


def find_cause(given: JsonSchema, prepared: str, reason: str, complain: Complain) -> UsageError:
    """The error that names keyword and place in `given`.

    `prepared` is what was complained about, and `reason` the complaint.
    """
    schema, place = JsonSchema(json.loads(prepared), given.place), given.place
    assert isinstance(schema.value, dict), "true and false are never complained about"
    deadline = time.monotonic() + _MOST_S
    at, innermost, said = place, schema.value, reason
    for inner, node in walk(schema):
        if time.monotonic() > deadline:
            break
        if inner.startswith(f"{at}/") or node is innermost or _is_apart(inner, place):
            found = complain(_alone(schema.value, node))
            if found and found.startswith(_UNSATISFIABLE) == reason.startswith(_UNSATISFIABLE):
                at, innermost, said = inner, node, found
    keys = list(dict(walk(given)).get(at, innermost))  # others were put in by us
    keys.sort(key=lambda key: key != "type")
    for key in reversed(keys):
        rest = {name: value for name, value in innermost.items() if name != key}
        if time.monotonic() < deadline and complain(_alone(schema.value, rest)) != said:
            return _error(key, step(at, key), said)
    key = keys[-1] if keys else "schema"
    return _error(key, step(at, key), said)


def _is_apart(inner: str, place: str) -> bool:
    """Whether it stands where only references lead."""
    return any(inner.startswith(f"{place}/{name}/") for name in ("$defs", "definitions"))


def _alone(root: Node, node: Node) -> str:
    """The schema `node`, with all that its references lead to."""
    inner, rest = (
        {key: value for key, value in one.items() if key not in ("$schema", "$id")}
        for one in (node, root)
    )
    return json.dumps({**_moved(inner), _ROOT: _moved(rest)})


def _moved(value: Any) -> Any:
    """References to the root lead to where it stands now."""
    if isinstance(value, list):
        return [_moved(child) for child in value]
    if not isinstance(value, dict):
        return value
    found = {key: _moved(child) for key, child in value.items()}
    reference = value.get("$ref")
    if isinstance(reference, str) and (reference == "#" or reference.startswith("#/")):
        found["$ref"] = f"#/{_ROOT}{reference[1:]}"
    return found


def _error(keyword: str, place: str, reason: str) -> UsageError:
    return UsageError(
        f'The JSON schema cannot be used: "{keyword}" at {place}: {_in_words(reason)}.',
        "Leave it out and check the answer afterwards, or write it in another way.",
    )


_WORDS = (
    ("oneOf constraints", "a value could fit two of these schemas, which cannot be ruled out"),
    ("look-around", "it looks ahead or behind, which no answer can be held to"),
    ("lookarounds", "it has an anchor or an edge of a word where none can stand"),
    ("are not disjoint", "a name could fit two of these patterns, which cannot be ruled out"),
    ("min/maxProperties only", "it counts names that may be left out"),
    ("circular references", "it refers to itself and says more beside that"),
    ("too large", "it is too large"),
    ("too big", "it is too large"),
    ("fuel exhausted", "it is too large"),
)


def _in_words(reason: str) -> str:
    for part, words in _WORDS:
        if part in reason:
            return words
    lines = [line.strip() for line in reason.splitlines() if line.strip()]
    told = next((line for line in lines if line.startswith("error:")), lines[0] if lines else "?")
    told = told.removeprefix("error:").removeprefix(_UNSATISFIABLE).strip()
    if reason.startswith(_UNSATISFIABLE):
        told = f"no value fits it ({told})"
    return told[:200].rstrip(".")
