"""Small chats that a template renders, and where an answer stands in them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from chatapp.engine.chat.source import common_start
from chatapp.engine.chat.traits import CallTraits
from chatapp.engine.chat.written import ARGUMENTS, FIRST, IDS, NUMBER_KEY, SECOND, TEXT_KEY
from chatapp.errors import TemplateError

ASKED, SAID, THOUGHT, ASKED_AGAIN = "QUESTIONONE", "ANSWERONE", "THOUGHTONE", "QUESTIONTWO"
_SEGMENT = re.compile(r"<[^<>\s][^<>]*>|\[/?[A-Z][A-Z_ ]*\]|\s+|[^<\[\s]+|.", re.DOTALL)
MARKER = re.compile(r"<[^<>\s][^<>]*>|\[/?[A-Z][A-Z_ ]*\]")


class Renders(Protocol):
    """A chat template, as the probes use it."""

    @property
    def source(self) -> str:
        """The text of the chat template that is probed."""

    @property
    def call_traits(self) -> CallTraits:
        """What it does with calls of tools."""

    def render(
        self,
        messages: Sequence[Mapping[str, Any]],
        *,
        tools: Sequence[Mapping[str, Any]] = (),
        add_generation_prompt: bool = True,
        **switches: Any,
    ) -> str:
        """The text for `messages`. Raises `TemplateError`."""


def tool(name: str) -> dict[str, Any]:
    """A tool on OpenAI's wire, as the probes offer it."""
    return {
        "type": "function",
        "function": {
            "name": name,
            "description": "A probe.",
            "parameters": {
                "type": "object",
                "properties": {
                    TEXT_KEY: {"type": "string", "description": "A text."},
                    NUMBER_KEY: {"type": "integer", "description": "A number."},
                },
                "required": [TEXT_KEY],
            },
        },
    }


def call_message(n: int, thought: str = "") -> dict[str, Any]:
    """An answer that calls the first `n` probe tools."""
    calls = [
        {
            "id": IDS[index],
            "type": "function",
            "function": {"name": name, "arguments": json.dumps(ARGUMENTS[index])},
        }
        for index, name in enumerate((FIRST, SECOND)[:n])
    ]
    thoughts = {"reasoning_content": thought} if thought else {}
    return {"role": "assistant", "content": "", "tool_calls": calls, **thoughts}


class Probe:
    """Renders the probes of one template, each once."""

    def __init__(self, template: Renders) -> None:
        self._template = template

    def render(self, messages: Sequence[Mapping[str, Any]], **values: Any) -> str:
        """The text, or nothing where the template refuses."""
        try:
            return self._template.render(messages, **values)
        except TemplateError:
            return ""


USER = {"role": "user", "content": ASKED}
ANSWER = {"role": "assistant", "content": SAID}
THINKS = {"enable_thinking": True, "thinking": True}
THINKS_NOT = {"enable_thinking": False, "thinking": False}


@dataclass(frozen=True, slots=True)
class Turn:
    """Where an answer stands between what was asked before and after."""

    start: str = ""
    """From the question's end to the answer's beginning, without what opens thoughts."""
    prompts: tuple[str, ...] = ()
    """What a prompt ends with behind the question, thinking on, off, and unsaid."""
    say_open: str = ""
    say_close: str = ""
    ends: tuple[str, ...] = ()
    drops: tuple[str, ...] = ()
    tail: str = ""
    """What is written behind the last answer of a chat."""

    @classmethod
    def of(cls, probe: Probe) -> Turn:
        """Where it stands in what the probes render."""
        prompts = tuple(
            behind(probe.render([USER], add_generation_prompt=True, **switches), ASKED)
            for switches in ({}, THINKS, THINKS_NOT)
        )
        plain = probe.render(
            [USER, ANSWER, {"role": "user", "content": ASKED_AGAIN}], add_generation_prompt=False
        )
        before, found, after = behind(plain, ASKED).partition(SAID)
        if not found:
            return cls(start=prompts[0], prompts=prompts)
        start = common_segments([before, *filter(None, prompts)])
        after = after.partition(ASKED_AGAIN)[0]
        say_open = before[len(start) :]
        say_close = _say_close(after, say_open, prompts[0]) if say_open.strip() else ""
        last = probe.render([USER, ANSWER], add_generation_prompt=False)
        tail = behind(last, SAID).removeprefix(say_close)
        end = _end_mark(after[len(say_close) :])
        ends = (end,) if end else ()
        drops = tuple(mark for mark in MARKER.findall(start) if "|" in mark and mark not in ends)
        return cls(start, prompts, say_open, say_close, ends, drops, tail)


def _end_mark(after: str) -> str:
    """The mark behind an answer that ends the turn; empty where only words follow."""
    found = MARKER.match(after.lstrip())
    first = found[0] if found else next(iter(after.split()), "")
    return first if len(first) > 2 and not re.match(r"[\w#*-]", first) else ""


def _say_close(after: str, say_open: str, prompt: str) -> str:
    """What closes the words of an answer before its turn ends as the question's did."""
    for opens, closes in (("START", "END"), ("open", "close"), ("<", "</"), ("begin", "end")):
        twin = say_open.strip().replace(opens, closes, 1)
        if twin != say_open.strip() and after.lstrip().startswith(twin):
            return after[: after.find(twin)] + twin
    first = MARKER.match(prompt.lstrip())
    if not first:
        return ""
    place = after.find(first[0])
    head = after[:place] if place > 0 else ""
    return head if head.strip() and ASKED_AGAIN not in head else ""


def behind(text: str, needle: str) -> str:
    """What stands in `text` behind `needle`; "" where that is not in it."""
    return text.partition(needle)[2]


def common_segments(texts: Sequence[str]) -> str:
    """What all begin with, up to a border between marks, words and white space."""
    divided = [_SEGMENT.findall(text) for text in texts]
    return "".join(divided[0][: common_start(divided)]) if divided else ""
