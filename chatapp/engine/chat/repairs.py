"""Conversations in an order that a chat template takes.

Many templates insist on a user's turn first and on turns that alternate; a chat may hold two
questions in a row, a greeting by the model, or a system text in its middle. What a template does
with an order is seen by rendering it once with words it cannot have; orders that were tried are
remembered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from chatapp.engine.chat.messages import (
    Messages,
    Wire,
    calls_of,
    with_content_thought,
    with_late_systems_as_user,
    with_short_ids,
    with_single_calls,
    with_turns_merged,
)
from chatapp.engine.chat.traits import Render
from chatapp.errors import TemplateError

_MOST_ORDERS = 256
"""Orders that are remembered; every turn of a chat with an odd one is another."""


def _as_it_is(messages: Messages) -> list[Wire]:
    return [{**message} for message in messages]


def _merged(messages: Messages) -> list[Wire]:
    return with_turns_merged(with_late_systems_as_user(messages))


_WAYS: tuple[Callable[[Messages], list[Wire]], ...] = (
    _as_it_is,
    with_late_systems_as_user,
    _merged,
)


class Repairs:
    """Finds the order for one template."""

    def __init__(self, render: Render) -> None:
        """`render` gives the text for messages in OpenAI's shape."""
        self._render = render
        self._found: dict[tuple[object, ...], Callable[[Messages], list[Wire]]] = {}

    def arrange(self, messages: Messages, values: dict[str, Any]) -> list[Wire]:
        """The messages in an order of which the template drops nothing, if there is one."""
        if is_regular(messages):
            return _as_it_is(messages)
        key = (bool(values.get("tools")), *_order_of(messages))
        way = self._found.get(key)
        if way is None:
            way = self._found[key] = self._find(messages, values)
            if len(self._found) > _MOST_ORDERS:
                del self._found[next(iter(self._found))]
        return way(messages)

    def _find(self, messages: Messages, values: dict[str, Any]) -> Callable[[Messages], list[Wire]]:
        marks = [f"qx{_letters(index)}q" for index in range(len(messages))]
        marked = [
            {**message, "content": mark} for message, mark in zip(messages, marks, strict=True)
        ]
        best, most = _WAYS[-1], -1
        for way in _WAYS:
            try:
                text = self._render(way(marked), values).lower()
            except TemplateError:
                continue
            count = sum(mark in text for mark in marks)
            if count > most:
                best, most = way, count
        return best


def is_regular(messages: Messages) -> bool:
    """A system text or none, then user and assistant in turn; results behind their calls."""
    talk = messages[1:] if messages and messages[0]["role"] == "system" else messages
    expected: tuple[str, ...] = ("user",)
    for message in talk:
        role = message["role"]
        if role not in expected:
            return False
        if role == "user":
            expected = ("assistant",)
        else:
            expected = ("tool", "assistant") if role == "tool" or calls_of(message) else ("user",)
    return bool(talk)


def last_resorts(
    messages: Messages, values: Mapping[str, Any]
) -> Iterator[tuple[list[Wire], Mapping[str, Any]]]:
    """Other ways to say the same, for a template that refused it; each goes beyond the last."""
    made = _as_it_is(messages)
    if tools := values.get("tools"):
        values = {**values, "tools": with_descriptions(tools)}
        yield made, values
    if any(calls_of(message) or message["role"] == "tool" for message in messages):
        for change in (with_short_ids, with_single_calls, with_content_thought):
            changed = change(made)
            if changed != made:
                yield changed, values
            made = changed


def with_descriptions(tools: Sequence[Mapping[str, Any]]) -> list[Wire]:
    """The tools, each and each of their parameters with a description and a type, if empty."""
    made = []
    for tool in tools:
        function = {"description": "", "parameters": {}, **tool.get("function", {})}
        parameters = {"type": "object", "properties": {}, **function["parameters"]}
        properties = {
            name: {"type": "string", "description": "", **schema}
            for name, schema in parameters["properties"].items()
            if isinstance(schema, Mapping)
        }
        parameters["properties"] = {**parameters["properties"], **properties}
        made.append({**tool, "function": {**function, "parameters": parameters}})
    return made


def _order_of(messages: Messages) -> Iterator[tuple[str, int]]:
    return ((message["role"], len(calls_of(message))) for message in messages)


def _letters(index: int) -> str:
    """The number in letters, none of which begins another: `qxabq`."""
    return "".join(chr(ord("a") + int(digit)) for digit in str(index))
