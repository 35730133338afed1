"""Messages as a chat template takes them: OpenAI's wire, and past thoughts.

Each is a dictionary with `role` and `content`; where there is something to say, also
`reasoning_content`, `tool_calls` (`arguments` as JSON text), `tool_call_id` and `name`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from chatapp.engine.content import as_openai
from chatapp.engine.protocol import ChatMessage
from chatapp.parts import reasoning_of

Wire = dict[str, Any]


def as_wire(message: ChatMessage) -> list[Wire]:
    """The message as templates have it: one, or one for every result of a tool."""
    bodies = as_openai(message)
    reasoning = reasoning_of(message.parts)
    if reasoning and message.role == "assistant":
        bodies[0]["reasoning_content"] = reasoning
    return bodies


def name_results(messages: Iterable[Mapping[str, Any]]) -> list[Wire]:
    """The messages, each result of a tool with the name of the tool that was called."""
    names: dict[str, str] = {}
    named = []
    for message in messages:
        for call in message.get("tool_calls") or ():
            names[call.get("id", "")] = call["function"]["name"]
        known = names.get(message.get("tool_call_id", ""))
        adds = message["role"] == "tool" and known and not message.get("name")
        named.append({**message, "name": known} if adds else {**message})
    return named


def with_thoughts(message: Mapping[str, Any]) -> Wire:
    """The message with its thoughts under each name that templates read."""
    reasoning = message.get("reasoning_content")
    return {"thinking": reasoning, **message} if reasoning is not None else {**message}


def with_mappings(message: Mapping[str, Any]) -> Wire:
    """The message with the arguments of its calls as mappings, where they are JSON objects."""
    calls = message.get("tool_calls")
    return (
        {**message, "tool_calls": [_with_mapping(call) for call in calls]} if calls else {**message}
    )


def _with_mapping(call: Mapping[str, Any]) -> Wire:
    function = call["function"]
    try:
        arguments = json.loads(function["arguments"])
    except (ValueError, TypeError, RecursionError):
        return {**call}
    if not isinstance(arguments, dict):
        return {**call}
    return {**call, "function": {**function, "arguments": arguments}}


def with_system_moved(messages: Sequence[Mapping[str, Any]]) -> list[Wire]:
    """The messages with the system text at the head of the first user message."""
    if len(messages) < 2 or messages[0]["role"] != "system":
        return [{**message} for message in messages]
    first = f"{messages[0]['content']}\n\n{messages[1]['content']}"
    return [{**messages[1], "content": first}, *({**message} for message in messages[2:])]
