"""What a chat template takes, found out by rendering probes and looking for their words.

A template that lets a text fall says nothing of it; only what it writes can tell. The probes hold
words that no template has, in each role. An ordinary template costs two renderings, about a
millisecond each; calls of tools are asked about when the first one is to be rendered.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from chatapp.engine.chat.messages import (
    Messages,
    Wire,
    with_json_arguments,
    with_mappings,
    with_parts,
    with_system_moved,
)
from chatapp.errors import TemplateError

Render = Callable[[Messages, Mapping[str, Any]], str]
"""Renders what it is given as it is. Raises `TemplateError`."""
Null = Literal["absent", "empty", "none"]

ROLES = ("system", "user", "assistant", "tool")
_S, _U, _A, _V, _R = "qxsysq", "qxaskq", "qxansq", "qxlstq", "qxresq"
_TALK: list[Wire] = [
    {"role": "system", "content": _S},
    {"role": "user", "content": _U},
    {"role": "assistant", "content": _A},
    {"role": "user", "content": _V},
]
_FORMS: tuple[tuple[str, ...], ...] = (
    (),
    ROLES,
    ("user",),
    ("system", "user"),
    ("user", "assistant"),
)
"""Roles whose contents are lists of parts, in the order in which they are tried."""
_NAME, _FIELD, _KEY, _VALUE = "qxnameq", "qxfieldq", "qxkeyq", "qxvalueq"
_PROBE_TOOL: Wire = {
    "type": "function",
    "function": {
        "name": _NAME,
        "description": "It does a thing.",
        "parameters": {
            "type": "object",
            "properties": {_FIELD: {"type": "string", "description": "A value."}},
            "required": [_FIELD],
        },
    },
}
_NOTHING: tuple[Mapping[str, Any], ...] = ({}, {"tools": None, "documents": None})
_CALLS: list[Wire] = [
    {"role": "user", "content": _U},
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {
                "id": "qx0000001",
                "type": "function",
                "function": {"name": _NAME, "arguments": f'{{"{_KEY}": "{_VALUE}"}}'},
            }
        ],
    },
    {"role": "tool", "tool_call_id": "qx0000001", "name": _NAME, "content": _R},
]


@dataclass(frozen=True, slots=True)
class Traits:
    """What a template does with messages."""

    wants_parts: frozenset[str] = frozenset()
    """Roles whose content it reads as a list of parts."""
    drops_system: bool = False
    """It has no place for a system text, which goes to the head of the first user message."""
    drops_answers: bool = False
    """Earlier answers are not in the prompt, in whatever form they come."""
    empty_is_none: bool = False
    """What is not given (tools, documents) is none for it; else undefined."""


@dataclass(frozen=True, slots=True)
class CallTraits:
    """What a template does with tools, calls of them, and their results."""

    knows_tools: bool = False
    """It writes the list of tools."""
    knows_calls: bool = False
    """It writes calls; else a call has to stand in the text of its message."""
    knows_results: bool = False
    """It writes results; else a result has to be the user's words."""
    arguments_as_mapping: bool = True
    """It takes a call's arguments as a mapping; else as JSON text."""
    null_content: Null = "absent"
    """What it takes as the content of a message that only calls."""


def find_traits(render: Render, *, for_tools: bool = False) -> Traits:
    """What the template does, a tool being given if it is one `for_tools`.

    Raises `TemplateError` where nothing that the user says gets into the prompt.
    """
    given = [{"tools": [_PROBE_TOOL]}] if for_tools else _NOTHING
    best: tuple[int, Traits] | None = None
    reason: TemplateError | None = None
    for drops_system in (False, True):
        talk = with_system_moved(_TALK) if drops_system else _TALK
        for roles in _FORMS:
            try:
                text, values = _render_least(render, with_parts(talk, roles), given)
            except TemplateError as error:
                reason = reason or error
                continue
            traits = Traits(frozenset(roles), drops_system, _A not in text, values is _NOTHING[1])
            count = sum(word in text for word in (_S, _U, _A, _V))
            if count == 4:
                return traits
            if _V in text and (best is None or count > best[0]):
                best = (count, traits)
    if best is not None:
        return best[1]
    if single := _find_single(render, given):
        return single
    raise reason or TemplateError("The chat template leaves out what the user says.")


def _find_single(render: Render, given: Sequence[Mapping[str, Any]]) -> Traits | None:
    """The traits of a template that takes one question and no more."""
    for roles in _FORMS[:2]:
        try:
            text, values = _render_least(render, with_parts([_TALK[1]], roles), given)
        except TemplateError:
            continue
        if _U in text:
            return Traits(frozenset(roles), True, True, values is _NOTHING[1])
    return None


def _render_least(
    render: Render, messages: Messages, given: Sequence[Mapping[str, Any]]
) -> tuple[str, Mapping[str, Any]]:
    """The shortest text, in lower case, and the values that made it.

    transformers gives none in place of tools that are not there, llama.cpp nothing. Where that
    makes a difference, one of them fails, or the text speaks of tools.
    """
    texts = []
    failure = TemplateError("")
    for values in given:
        try:
            texts.append((render(messages, values).lower(), values))
        except TemplateError as error:
            failure = error
    if not texts:
        raise failure
    return min(texts, key=lambda found: len(found[0]))


def keeps_system(render: Render, traits: Traits, tools: Iterable[Mapping[str, Any]]) -> bool:
    """Whether a system text is in the prompt beside tools, too."""
    talk = with_parts(_TALK, traits.wants_parts)
    try:
        return _S in render(talk, {"tools": list(tools)}).lower()
    except TemplateError:
        return False


def find_call_traits(render: Render, traits: Traits) -> CallTraits:
    """How calls are to be given: the first way that writes most of call and result."""
    nulls: tuple[Null, ...] = ("absent", "none", "empty")
    without = _try(render, with_parts([{"role": "user", "content": _U}], traits.wants_parts))
    knows_tools = _NAME in without
    best, most = CallTraits(knows_tools), 0
    for as_mapping in (True, False):
        for null in nulls:
            messages = with_parts(with_null(_CALLS, null), traits.wants_parts)
            dressed = with_mappings(messages) if as_mapping else with_json_arguments(messages)
            text = _try(render, dressed)
            knows_calls, knows_results = _writes_call(text), _R in text
            says_none = null == "none" and text.count("None") > without.count("None")
            count = 0 if says_none else knows_calls + knows_results
            if count > most:
                best = CallTraits(knows_tools, knows_calls, knows_results, as_mapping, null)
                most = count
            if count == 2:
                return best
    return best


def _try(render: Render, messages: Messages) -> str:
    """The text beside a tool; empty where there is none."""
    try:
        return render(messages, {"tools": [_PROBE_TOOL]})
    except TemplateError:
        return ""


def with_null(messages: Messages, null: Null) -> list[Wire]:
    """The messages with what stands for a content that is null."""
    made = []
    for message in messages:
        changed = {**message}
        if message.get("content") is None:
            changed.pop("content", None)
            if null != "absent":
                changed["content"] = "" if null == "empty" else None
        made.append(changed)
    return made


def _writes_call(text: str) -> bool:
    """Whether a call is there, its arguments neither as Python has them nor as JSON in JSON."""
    is_python = re.search(rf"'{_KEY}'\s*:", text)
    is_twice = f'\\"{_KEY}\\"' in text
    return _KEY in text and _VALUE in text and not is_python and not is_twice
