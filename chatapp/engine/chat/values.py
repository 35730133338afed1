"""Arguments that are not written as JSON, turned into JSON."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

_NUMBER = re.compile(r"-?\d+(\.\d+)?([eE][+-]?\d+)?$")
_WORDS = {"true": "true", "false": "false", "null": "null", "True": "true", "False": "false"}
_CONSTANTS = {"true": True, "false": False, "null": None, "none": None}
_MOST_DEPTH = 60
"""Values within values of a Python literal or a dict; deeper ones stay text."""


def parameters_of(tools: Sequence[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """For every tool on OpenAI's wire, the schemas of its parameters by their names."""
    found: dict[str, Mapping[str, Any]] = {}
    for tool in tools:
        function = tool.get("function", tool)
        if not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
            continue
        schema = function.get("parameters")
        properties = schema.get("properties") if isinstance(schema, Mapping) else None
        found[function["name"]] = properties if isinstance(properties, Mapping) else {}
    return found


def as_json(value: str) -> str:
    """A text as a JSON string."""
    return json.dumps(value, ensure_ascii=False)


def text_to_json(text: str, schema: Any) -> str:
    """What stood between an argument's marks, as JSON of the type that its schema asks for.

    A text is taken for JSON where the schema allows more than strings and it is valid JSON.
    """
    if wants_text(schema):
        return as_json(text)
    stripped = text.strip()
    try:
        value = json.loads(stripped)
    except (ValueError, RecursionError):
        return _python_value(stripped, schema) or as_json(text)
    if isinstance(value, str) and not _allows(schema, "string"):
        return stripped
    return as_json(text) if isinstance(value, str) else stripped


def _python_value(text: str, schema: Any) -> str:
    """A value that a template wrote as Python does (True, {'a': None}); empty if it is none."""
    may_be = text in ("True", "False", "None") or (text[:1] in ("{", "[") and _has_type(schema))
    found = python_to_json(text) if may_be else '"'
    return "" if found.startswith('"') else found


def _has_type(schema: Any) -> bool:
    return isinstance(schema, Mapping) and "type" in schema and not _allows(schema, "string")


def wants_text(schema: Any) -> bool:
    """Whether an argument of that schema is a string and nothing else."""
    if not isinstance(schema, Mapping):
        return False
    if isinstance(schema.get("enum"), list) and schema["enum"]:
        return all(isinstance(one, str) for one in schema["enum"])
    kind = schema.get("type")
    return kind == "string" or (isinstance(kind, list) and kind == ["string"])


def _allows(schema: Any, kind: str) -> bool:
    if not isinstance(schema, Mapping) or "type" not in schema:
        return True
    said = schema["type"]
    return kind in said if isinstance(said, list) else kind == said


def python_to_json(source: str) -> str:
    """A Python literal, or one with JSON's true, false and null, as JSON; else its text."""
    try:
        tree = ast.parse(source.strip(), mode="eval")
        return json.dumps(_literal(tree.body, 0), ensure_ascii=False)
    except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
        text = source.strip()
        quoted = len(text) > 1 and text[0] == text[-1] and text[0] in "'\""
        return as_json(text[1:-1] if quoted else text)


def _literal(node: ast.expr, depth: int) -> Any:
    if depth > _MOST_DEPTH:
        raise ValueError
    match node:
        case ast.Constant(value=value) if value is None or isinstance(value, str | int | float):
            return value
        case ast.Name(id=name) if name.lower() in _CONSTANTS:
            return _CONSTANTS[name.lower()]
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=value)) if isinstance(
            value, int | float
        ):
            return -value
        case ast.List(elts=elements) | ast.Tuple(elts=elements):
            return [_literal(element, depth + 1) for element in elements]
        case ast.Dict(keys=keys, values=values):
            return {
                str(_literal(key, depth + 1)): _literal(value, depth + 1)
                for key, value in zip(keys, values, strict=True)
                if key is not None
            }
    raise ValueError


def dict_to_json(source: str, quote: str) -> str:
    """A value as Gemma writes it (`{name:<|"|>text<|"|>,n:1}`, strings between `quote`), as JSON.

    A part that cannot be read is a string.
    """
    if source.lstrip()[:1] in ("{", "["):
        try:
            json.loads(source)
        except (ValueError, RecursionError):
            pass
        else:
            return source.strip()  # the template wrote it as JSON
    value, _ = _read_value(source, 0, quote, 0)
    return value


def _read_value(text: str, at: int, quote: str, depth: int) -> tuple[str, int]:
    while at < len(text) and text[at].isspace():
        at += 1
    if text.startswith(quote, at):
        begin = at + len(quote)
        end = text.find(quote, begin)
        end = len(text) if end < 0 else end
        return as_json(text[begin:end]), end + len(quote)
    if depth < _MOST_DEPTH and text[at : at + 1] in ("{", "["):
        return _read_group(text, at, quote, depth)
    end = at
    while end < len(text) and text[end] not in ",]}":
        end += 1
    word = text[at:end].strip()
    if _NUMBER.match(word):
        return word, end
    return _WORDS.get(word, "null" if word in ("None", "none") else as_json(word)), end


def _read_group(text: str, at: int, quote: str, depth: int) -> tuple[str, int]:
    is_dict, parts = text[at] == "{", []
    closer = "}" if is_dict else "]"
    at += 1
    while at < len(text) and text[at] != closer:
        if text[at] in ", \n\t":
            at += 1
            continue
        lead = ""
        if is_dict:
            key, at = _read_key(text, at, quote)
            lead = f"{as_json(key)}: "
        before = at
        value, at = _read_value(text, at, quote, depth + 1)
        parts.append(lead + value)
        if at == before and text[at : at + 1] not in (",", closer):
            at += 1
    inside = ", ".join(parts)
    return (f"{{{inside}}}" if is_dict else f"[{inside}]"), at + 1


def _read_key(text: str, at: int, quote: str) -> tuple[str, int]:
    if text.startswith(quote, at):
        begin = at + len(quote)
        end = text.find(quote, begin)
        end = len(text) if end < 0 else end
        colon = text.find(":", end)
        return text[begin:end], (len(text) if colon < 0 else colon + 1)
    colon = text.find(":", at)
    colon = len(text) if colon < 0 else colon
    return text[at:colon].strip().strip("\"'"), colon + 1
