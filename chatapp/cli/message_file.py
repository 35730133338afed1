"""The file that `chatapp models check --messages` reads: a chat as OpenAI's wire has it.

Taken are a list of messages, or an object (a whole request) with the list under `messages`.
"""

from pathlib import Path
from typing import Any

from chatapp.errors import UsageError
from chatapp.input_file import read_json

_TEXTS = ("reasoning_content", "tool_call_id", "name")


def read_messages(path: Path) -> list[dict[str, Any]]:
    """Every message in the file. `UsageError` names the place of what is wrong."""
    value, place = read_json(path), ""
    if isinstance(value, dict):
        value, place = value.get("messages"), "messages"
    if not isinstance(value, list) or not all(
        isinstance(one, dict) and isinstance(one.get("role"), str) for one in value
    ):
        raise UsageError(f"{path} holds no list of messages, each with a role.")
    for number, message in enumerate(value):
        if wrong := _find_wrong(message):
            raise UsageError(f"{path}: {place}[{number}]{wrong}.")
    return value


def _find_wrong(message: dict[str, Any]) -> str:
    """What is wrong with a message, and where in it; empty if nothing is."""
    content = message.get("content")
    if isinstance(content, list):
        for number, part in enumerate(content):
            if not isinstance(part, dict) or not isinstance(part.get("text", ""), str):
                return f'.content[{number}] must be a part, as in {{"type": "text", "text": "…"}}'
    elif not isinstance(content, str | None):
        return ".content must be a text, or a list of parts"
    for name in _TEXTS:
        if not isinstance(message.get(name), str | None):
            return f".{name} must be a text"
    calls = message.get("tool_calls")
    if not isinstance(calls, list | None):
        return ".tool_calls must be a list"
    for number, call in enumerate(calls or ()):
        if not _is_call(call):
            return (
                f".tool_calls[{number}] must be a call, as in "
                '{"function": {"name": "…", "arguments": "{}"}}'
            )
    return ""


def _is_call(call: Any) -> bool:
    function = call.get("function") if isinstance(call, dict) else None
    return (
        isinstance(function, dict)
        and isinstance(call.get("id"), str | None)
        and isinstance(function.get("name"), str)
        and isinstance(function.get("arguments", ""), str | dict)
    )
