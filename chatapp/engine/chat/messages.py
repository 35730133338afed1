"""Messages as chat templates take them: OpenAI's wire, and the shapes that some templates need.

A message is a dictionary with `role` and `content`; where there is something to say, also
`reasoning_content`, `tool_calls` (`arguments` as JSON text), `tool_call_id` and `name`. Nothing
here changes what it is given, and no text is ever left out.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from chatapp.engine.content import as_openai
from chatapp.engine.protocol import ChatMessage
from chatapp.parts import reasoning_of

Wire = dict[str, Any]
Messages = Sequence[Mapping[str, Any]]

_BETWEEN = "\n\n"
"""Between texts that become one message."""


def as_wire(message: ChatMessage) -> list[Wire]:
    """The message as templates have it: one, or one for every result of a tool."""
    bodies = as_openai(message)
    if calls_of(bodies[0]) and not bodies[0]["content"]:
        bodies[0]["content"] = None
    reasoning = reasoning_of(message.parts)
    if reasoning and message.role == "assistant":
        bodies[0]["reasoning_content"] = reasoning
    return bodies


def text_in(content: Any) -> str:
    """What a content says: text, or the texts of its parts."""
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    return "".join(str(part.get("text", "")) for part in parts if isinstance(part, Mapping))


def calls_of(message: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """The calls of tools in a message."""
    return message.get("tool_calls") or ()


def name_results(messages: Messages) -> list[Wire]:
    """Each result of a tool with the name of the tool that was called."""
    names: dict[str, str] = {}
    named = []
    for message in messages:
        names |= {call.get("id", ""): call["function"]["name"] for call in calls_of(message)}
        known = names.get(message.get("tool_call_id", ""))
        adds = message["role"] == "tool" and known and not message.get("name")
        named.append({**message, "name": known} if adds else {**message})
    return named


def with_thoughts(messages: Messages) -> list[Wire]:
    """Past thoughts under each name that templates read them by."""
    return [_with_thoughts(message) for message in messages]


def _with_thoughts(message: Mapping[str, Any]) -> Wire:
    reasoning = message.get("reasoning_content")
    if reasoning is None:
        return {**message}
    names = ["thinking", "reasoning", "thought", *(["tool_plan"] if calls_of(message) else [])]
    return {**dict.fromkeys(names, reasoning), **message}


def with_mappings(messages: Messages) -> list[Wire]:
    """The arguments of calls as mappings, where they are JSON objects."""
    return [
        {**message, "tool_calls": [_with_mapping(call) for call in calls]}
        if (calls := calls_of(message))
        else {**message}
        for message in messages
    ]


def _with_mapping(call: Mapping[str, Any]) -> Wire:
    function = call["function"]
    arguments = function.get("arguments")
    if isinstance(arguments, str):
        try:
            arguments = json.loads(arguments or "{}")
        except (ValueError, RecursionError):  # a model may write anything
            arguments = {"input": arguments}
    if not isinstance(arguments, Mapping):
        arguments = {"input": arguments}
    return {**call, "function": {**function, "arguments": arguments}}


def with_json_arguments(messages: Messages) -> list[Wire]:
    """The arguments of calls as JSON text."""
    return [
        {**message, "tool_calls": [_with_json(call) for call in calls]}
        if (calls := calls_of(message))
        else {**message}
        for message in messages
    ]


def _with_json(call: Mapping[str, Any]) -> Wire:
    function = call["function"]
    arguments = function.get("arguments", "{}")
    if not isinstance(arguments, str):
        arguments = json.dumps(arguments, ensure_ascii=False)
    return {**call, "function": {**function, "arguments": arguments}}


def with_parts(messages: Messages, roles: Iterable[str]) -> list[Wire]:
    """The contents of these roles as lists of parts."""
    wanted = set(roles)
    return [
        {**message, "content": [{"type": "text", "text": content}]}
        if message["role"] in wanted and isinstance(content := message.get("content"), str)
        else {**message}
        for message in messages
    ]


def with_system_moved(messages: Messages) -> list[Wire]:
    """The system text at the head of the first user message, which is made where there is none."""
    if not messages or messages[0]["role"] != "system":
        return [{**message} for message in messages]
    system, *rest = messages
    at = next((i for i, message in enumerate(rest) if message["role"] == "user"), None)
    if at is None or any(message["role"] == "assistant" for message in rest[:at]):
        return [{"role": "user", "content": system.get("content", "")}, *map(dict, rest)]
    joined = {**rest[at], "content": _join(system.get("content"), rest[at].get("content"))}
    return [{**message} for message in (*rest[:at], joined, *rest[at + 1 :])]


def with_late_systems_as_user(messages: Messages) -> list[Wire]:
    """System texts behind the first message as the user's, where they stand."""
    return [
        {**message, "role": "user"} if index and message["role"] == "system" else {**message}
        for index, message in enumerate(messages)
    ]


def with_turns_merged(messages: Messages) -> list[Wire]:
    """Neighbours of one role as one message, and a user's turn, empty, before a first answer."""
    merged: list[Wire] = []
    for message in messages:
        last = merged[-1] if merged else None
        if last is not None and last["role"] == message["role"] and message["role"] != "tool":
            merged[-1] = _merge(last, message)
            continue
        if message["role"] == "assistant" and (last is None or last["role"] == "system"):
            merged.append({"role": "user", "content": ""})
        merged.append({**message})
    return merged


def _merge(first: Mapping[str, Any], second: Mapping[str, Any]) -> Wire:
    made = {**first, **second, "content": _join(first.get("content"), second.get("content"))}
    for key in ("reasoning_content",):
        if first.get(key) and second.get(key):
            made[key] = first[key] + _BETWEEN + second[key]
    if calls_of(first) and calls_of(second):
        made["tool_calls"] = [*calls_of(first), *calls_of(second)]
    return made


def _join(first: Any, second: Any) -> Any:
    if isinstance(first, list) or isinstance(second, list):
        return [*_parts_of(first), *_parts_of(second)]
    return _BETWEEN.join(text for text in (first, second) if text)


def _parts_of(content: Any) -> list[Any]:
    if isinstance(content, list):
        return content
    return [{"type": "text", "text": content}] if content else []


def with_single_calls(messages: Messages) -> list[Wire]:
    """Calls that were made together, one after the other, each before its result."""
    made: list[Wire] = []
    waiting: list[Wire] = []
    for message in messages:
        if message["role"] == "tool":
            wanted = message.get("tool_call_id")
            at = next((i for i, m in enumerate(waiting) if _calls(m, wanted)), 0)
            made += [*waiting[at : at + 1], {**message}]
            del waiting[at : at + 1]
            continue
        made += waiting
        calls = calls_of(message)
        if len(calls) < 2:
            waiting = []
            made.append({**message})
            continue
        rest = {"role": message["role"], "content": ""}
        waiting = [
            {**(rest if index else message), "tool_calls": [call]}
            for index, call in enumerate(calls)
        ]
    return [*made, *waiting]


def _calls(message: Mapping[str, Any], call_id: Any) -> bool:
    return any(call.get("id") == call_id for call in calls_of(message))


def with_short_ids(messages: Messages) -> list[Wire]:
    """Ids of calls as nine letters and digits, which Mistral's templates insist on."""
    made = []
    for message in messages:
        changed = {**message}
        if calls := calls_of(message):
            changed["tool_calls"] = [{**call, "id": _short(call.get("id"))} for call in calls]
        if message["role"] == "tool":
            changed["tool_call_id"] = _short(message.get("tool_call_id"))
        made.append(changed)
    return made


def _short(call_id: Any) -> str:
    text = str(call_id or "")
    if len(text) == 9 and text.isascii() and text.isalnum():
        return text
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:9]


def with_content_thought(messages: Messages) -> list[Wire]:
    """What was said beside a call, at the end of the thoughts before it: some take only those."""
    made = []
    for message in messages:
        said, thought = text_in(message.get("content")), message.get("reasoning_content")
        if calls_of(message) and said and thought:
            message = {**message, "reasoning_content": f"{thought}{_BETWEEN}{said}", "content": ""}
        made.append({**message})
    return made


def with_calls_told(messages: Messages, tell: Callable[[Sequence[Wire]], str]) -> list[Wire]:
    """Calls in the text of their messages, as `tell` writes them: for templates without calls."""
    made = []
    for message in with_mappings(messages):
        calls = message.pop("tool_calls", None)
        if calls:
            message["content"] = _join(message.get("content"), tell(calls))
        made.append(message)
    return made


def tell_calls(calls: Sequence[Mapping[str, Any]]) -> str:
    """Calls as most models that have no form of their own were taught to write them."""
    told = []
    for call in calls:
        function = call["function"]
        body = {"name": function["name"], "arguments": function.get("arguments", {})}
        told.append(f"<tool_call>\n{json.dumps(body, ensure_ascii=False)}\n</tool_call>")
    return "\n".join(told)


def with_results_as_user(messages: Messages) -> list[Wire]:
    """Results of tools as the user's words: for templates without the role."""
    return [
        {"role": "user", "content": message.get("content", "")}
        if message["role"] == "tool"
        else {**message}
        for message in messages
    ]
