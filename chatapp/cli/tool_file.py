"""The file that `chatapp ask --tools` reads: what the model may call, as OpenAI's wire has it.

Taken are a list, one tool, or an object with the list under `tools`; each tool as OpenAI has it, as
the bare function, or as Anthropic and MCP have it (`input_schema`, `inputSchema`).
"""

import json
from pathlib import Path
from typing import Any

from chatapp.errors import UsageError
from chatapp.input_file import read_json

_SCHEMAS = ("parameters", "input_schema", "inputSchema")
_KINDS = {
    dict: "an object",
    list: "a list",
    str: "a text",
    bool: "true or false",
    int: "a number",
    float: "a number",
    type(None): "null",
}
_MOST_NAME = 128  # OpenAI takes 64 characters, MCP 128


def read_tools(path: Path) -> list[dict[str, Any]]:
    """Every tool in the file. `UsageError` names the place of what is wrong."""
    return check_tools(read_json(path), str(path))


def check_tools(value: Any, source: str) -> list[dict[str, Any]]:
    """Tools from JSON, each as OpenAI's wire has it. `source`: what an error calls the whole."""
    place = ""
    if isinstance(value, dict) and "tools" in value:
        value, place = value["tools"], "tools"
    elif isinstance(value, dict):
        value = [value]
    if not isinstance(value, list):
        raise _wrong(source, place, f"is {_kind(value)}, it must be a list of tools")
    if not value:
        raise _wrong(source, place, "is empty: there is no tool to call")
    tools = [_read_tool(tool, source, f"{place}[{n}]") for n, tool in enumerate(value)]
    places: dict[str, int] = {}
    for number, tool in enumerate(tools):
        name = tool["function"]["name"]
        if (first := places.setdefault(name, number)) != number:
            raise _wrong(source, f"{place}[{number}]", f"has the name of {place}[{first}]: {name}")
    return tools


def _read_tool(value: Any, source: str, place: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _wrong(source, place, f"is {_kind(value)}, it must be an object")
    if "function" in value:
        kind = value.get("type", "function")
        if kind != "function":
            raise _wrong(source, f"{place}.type", f'is {json.dumps(kind)}, it must be "function"')
        return value | {
            "type": "function",
            "function": _read_function(value["function"], source, f"{place}.function"),
        }
    if "name" not in value and "type" in value:
        kind = json.dumps(value["type"])
        raise _wrong(source, place, f"is a tool of the type {kind}; functions alone can be given")
    bare = {key: fact for key, fact in value.items() if key != "type"}
    return {"type": "function", "function": _read_function(bare, source, place)}


def _read_function(value: Any, source: str, place: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _wrong(source, place, f"is {_kind(value)}, it must be an object")
    if "name" not in value:
        raise _wrong(source, place, "has no name")
    name = value["name"]
    if not isinstance(name, str) or not name:
        raise _wrong(source, f"{place}.name", f"is {_kind(name) if name != '' else 'empty'}")
    if len(name) > _MOST_NAME or not all(one.isprintable() and one != " " for one in name):
        raise _wrong(
            source, f"{place}.name", f"must be at most {_MOST_NAME} characters without a space"
        )
    if not isinstance(value.get("description", ""), str):
        raise _wrong(
            source, f"{place}.description", f"is {_kind(value['description'])}, it must be a text"
        )
    key = next((key for key in _SCHEMAS if key in value), "parameters")
    schema = value.get(key, {"type": "object", "properties": {}})
    if not isinstance(schema, dict):
        raise _wrong(source, f"{place}.{key}", f"is {_kind(schema)}, it must be a JSON schema")
    if schema.get("type", "object") != "object":
        kind = json.dumps(schema["type"])
        raise _wrong(source, f"{place}.{key}.type", f'is {kind}, it must be "object"')
    others = {name: fact for name, fact in value.items() if name not in _SCHEMAS}
    return others | {"parameters": schema}


def _kind(value: Any) -> str:
    return _KINDS[type(value)]


def _wrong(source: str, place: str, what: str) -> UsageError:
    return UsageError(
        f"{source}: {f'{place} ' if place else 'it '}{what}.",
        'A tool looks like {"name": "…", "description": "…", "parameters": {"type": "object", …}}.',
    )
