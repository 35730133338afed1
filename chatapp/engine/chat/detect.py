"""Finds a model's output format in its chat template.

The template renders small chats that differ in one thing: with and without a thought, a call, the
beginning of an answer. What differs in the text is how that thing is written. Formats that such
differences cannot tell are known by what their templates contain.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from chatapp.engine.chat.by_name import know_by_name
from chatapp.engine.chat.format import Calls, Format, Thoughts
from chatapp.engine.chat.source import common_start
from chatapp.engine.chat.written import (
    ARGUMENTS,
    FIRST,
    IDS,
    NUMBER_KEY,
    SECOND,
    TEXT_KEY,
    atoms,
    find_calls,
)
from chatapp.errors import TemplateError
from chatapp.thinking import Thinking

ASKED, SAID, THOUGHT, ASKED_AGAIN = "QUESTIONONE", "ANSWERONE", "THOUGHTONE", "QUESTIONTWO"
_SYSTEM = "SYSTEMONE"
_SEGMENT = re.compile(r"<[^<>\s][^<>]*>|\[/?[A-Z][A-Z_ ]*\]|\s+|[^<\[\s]+|.", re.DOTALL)
_MARKER = re.compile(r"<[^<>\s][^<>]*>|\[/?[A-Z][A-Z_ ]*\]")
_KNOWN_THOUGHTS = (
    ("", "[BEGIN FINAL RESPONSE]"),
    ("<|channel>thought", "<channel|>"),
    ("[THINK]", "[/THINK]"),
    ("<seed:think>", "</seed:think>"),
    ("<mm:think>", "</mm:think>"),
    ("<|START_THINKING|>", "<|END_THINKING|>"),
    ("<think>", "</think>"),
    ("<thinking>", "</thinking>"),
    ("<reasoning>", "</reasoning>"),
)
HERMES = Calls("json", open=("<tool_call>",), close=("</tool_call>",))
"""The way of writing calls that most models have seen."""


class Renders(Protocol):
    """A chat template, as the probes use it."""

    @property
    def source(self) -> str:
        """The template's text."""

    def render(
        self,
        messages: Sequence[Mapping[str, Any]],
        *,
        tools: Sequence[Mapping[str, Any]] = (),
        add_generation_prompt: bool = True,
        **switches: Any,
    ) -> str:
        """The text for `messages`. Raises `TemplateError`."""


@dataclass(frozen=True, slots=True)
class Understood:
    """What the probes found in a template."""

    form: Format
    switch: str = ""
    """The variable that turns thinking on and off; empty if none does."""
    efforts: tuple[str, ...] = ()
    """Values of `reasoning_effort` to which the template reacts."""
    takes_tools: bool = False
    keeps_thoughts: bool = False
    """Earlier thoughts stay in the prompt."""
    start: str = ""
    """What an answer's turn begins with."""
    odd: tuple[str, ...] = ()


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


_USER = {"role": "user", "content": ASKED}
_ANSWER = {"role": "assistant", "content": SAID}
_THINKS = {"enable_thinking": True, "thinking": True}
_THINKS_NOT = {"enable_thinking": False, "thinking": False}


def understand(template: Renders) -> Understood:
    """What a template says about the model's output."""
    probe = Probe(template)
    turn = _Turn.of(probe)
    thoughts, extra = _find_thoughts(probe, template.source, turn)
    tools = [tool(FIRST), tool(SECOND)]
    calls = _find_calls(probe, tools, turn, thoughts)
    form = Format(
        name=_name(thoughts, calls),
        thoughts=thoughts,
        say_open=_without(turn.say_open, thoughts),
        say_close=atoms(turn.say_close),
        calls=calls,
        ends=turn.ends,
        drops=tuple(dict.fromkeys((*extra, *_lone(thoughts), *turn.drops))),
    )
    form = know_by_name(template.source, form)
    if form.calls is None and form.headers is None:
        form = replace(form, calls=HERMES)
    switch, efforts = _find_switch(probe)
    return Understood(
        form=form,
        switch=switch,
        efforts=efforts,
        takes_tools=_takes_tools(probe, tools),
        keeps_thoughts=_keeps_thoughts(probe),
        start=turn.start,
    )


@dataclass(frozen=True, slots=True)
class _Turn:
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
    def of(cls, probe: Probe) -> _Turn:
        prompts = tuple(
            behind(probe.render([_USER], add_generation_prompt=True, **switches), ASKED)
            for switches in ({}, _THINKS, _THINKS_NOT)
        )
        plain = probe.render(
            [_USER, _ANSWER, {"role": "user", "content": ASKED_AGAIN}], add_generation_prompt=False
        )
        before, found, after = behind(plain, ASKED).partition(SAID)
        if not found:
            return cls(start=prompts[0], prompts=prompts)
        start = _common_segments([before, *filter(None, prompts)])
        after = after.partition(ASKED_AGAIN)[0]
        say_open = before[len(start) :]
        say_close = _say_close(after, say_open, prompts[0]) if say_open.strip() else ""
        last = probe.render([_USER, _ANSWER], add_generation_prompt=False)
        tail = behind(last, SAID).removeprefix(say_close)
        end = _end_mark(after[len(say_close) :])
        ends = (end,) if end else ()
        drops = tuple(mark for mark in _MARKER.findall(start) if "|" in mark and mark not in ends)
        return cls(start, prompts, say_open, say_close, ends, drops, tail)


def _end_mark(after: str) -> str:
    """The mark behind an answer that ends the turn; empty where only words follow."""
    found = _MARKER.match(after.lstrip())
    first = found[0] if found else next(iter(after.split()), "")
    return first if len(first) > 2 and not re.match(r"[\w#*-]", first) else ""


def _say_close(after: str, say_open: str, prompt: str) -> str:
    """What closes the words of an answer before its turn ends as the question's did."""
    for opens, closes in (("START", "END"), ("open", "close"), ("<", "</"), ("begin", "end")):
        twin = say_open.strip().replace(opens, closes, 1)
        if twin != say_open.strip() and after.startswith(twin):
            return twin
    first = _MARKER.match(prompt.lstrip())
    if not first:
        return ""
    place = after.find(first[0])
    head = after[:place] if place > 0 else ""
    return head if head.strip() and ASKED_AGAIN not in head else ""


def _find_thoughts(
    probe: Probe, source: str, turn: _Turn
) -> tuple[Thoughts | None, tuple[str, ...]]:
    """How thoughts are written, and marks between a thought and what is said that mean nothing."""
    thinks = {"role": "assistant", "content": SAID, "reasoning_content": THOUGHT}
    text = behind(probe.render([_USER, thinks], add_generation_prompt=False, **_THINKS), ASKED)
    before, found, after = text.partition(THOUGHT)
    if found and SAID in after:
        between = after.partition(SAID)[0]
        head = turn.say_open.strip()
        between = between.strip().removesuffix(head) if head else between
        close, extra = _first_atom(between)
        opening = _opening(before, close, turn)
        if close:
            always = not opening and any(len(p) > len(before) for p in turn.prompts)
            if opening or always:
                return Thoughts(opening, close, always), extra
    tools = [tool(FIRST), tool(SECOND)]
    for n in (2, 1):
        text = behind(
            probe.render(
                [_USER, call_message(n, THOUGHT)],
                tools=tools,
                add_generation_prompt=False,
                **_THINKS,
            ),
            ASKED,
        )
        before, found, after = text.partition(THOUGHT)
        mark = _MARKER.match(after.lstrip())
        opening = _opening(before, mark[0], turn) if mark else ""
        if found and opening and mark:
            return Thoughts(opening, mark[0]), ()
    for opening, closing in _KNOWN_THOUGHTS:
        if closing in source or (opening and opening in source):
            return Thoughts(opening, closing), ()
    return None, ()


def _opening(before: str, close: str, turn: _Turn) -> str:
    """What opens a thought: the twin of what closes it, or what no other beginning has."""
    twin = close.replace("/", "", 1)
    if twin != close and twin in before:
        return twin
    starts = (turn.start, *turn.prompts)
    rests = [before[len(_common_segments([before, start])) :].strip() for start in starts if start]
    return min(filter(None, rests), key=len, default="")


def _lone(thoughts: Thoughts | None) -> tuple[str, ...]:
    """The control mark that the beginning of a thought begins with, where more belongs to it."""
    found = _MARKER.match(thoughts.open) if thoughts else None
    alone = found is not None and thoughts is not None and found[0] != thoughts.open
    return (found[0],) if found and alone and "|" in found[0] else ()


def _first_atom(between: str) -> tuple[str, tuple[str, ...]]:
    """The mark that closes a thought, and further marks behind it."""
    whole = between.strip()
    if whole.startswith("[") and _MARKER.fullmatch(whole):
        return whole, ()
    parts = whole.split()
    return (parts[0] if parts else ""), tuple(part for part in parts[1:] if _MARKER.search(part))


def _find_calls(
    probe: Probe, tools: list[dict[str, Any]], turn: _Turn, thoughts: Thoughts | None
) -> Calls | None:
    for n in (2, 1):
        text = behind(
            probe.render(
                [_USER, call_message(n)], tools=tools, add_generation_prompt=False, **_THINKS
            ),
            ASKED,
        )
        if FIRST not in text:
            continue
        text = text[len(_common_segments([text, turn.start])) :]
        text = _cut_end(_cut_thought(text, thoughts), turn)
        found = find_calls(text)
        if found:
            return replace(found, trims=text.startswith("\n\n<｜"))
    return None


def _cut_thought(text: str, thoughts: Thoughts | None) -> str:
    """The text behind an empty thought or words that a template puts before calls."""
    if not thoughts:
        return text
    head = text[: text.find(FIRST)]
    place = head.rfind(thoughts.close)
    return text[place + len(thoughts.close) :] if place >= 0 else text


def _cut_end(text: str, turn: _Turn) -> str:
    if turn.tail.strip() and text.rstrip().endswith(turn.tail.rstrip()):
        return text.rstrip().removesuffix(turn.tail.rstrip())
    for end in turn.ends:
        place = text.rfind(end)
        if place > text.rfind(TEXT_KEY):
            text = text[:place]
    return text


def _find_switch(probe: Probe) -> tuple[str, tuple[str, ...]]:
    """The variable that switches thinking, and the efforts that are known."""
    plain = probe.render([_USER], add_generation_prompt=True)
    switch = ""
    for name in ("enable_thinking", "thinking", "think", "reasoning"):
        on = probe.render([_USER], add_generation_prompt=True, **{name: True})
        off = probe.render([_USER], add_generation_prompt=True, **{name: False})
        if on and off and on != off:
            switch = name
            break
    efforts = {
        effort: probe.render([_USER], add_generation_prompt=True, reasoning_effort=effort)
        for effort in ("low", "medium", "high")
    }
    known = len(set(efforts.values())) > 1
    if not known and plain:
        known = any(text and text != plain for text in efforts.values())
    return switch, tuple(efforts) if known and all(efforts.values()) else ()


def _takes_tools(probe: Probe, tools: list[dict[str, Any]]) -> bool:
    return FIRST in probe.render([_USER], tools=tools, add_generation_prompt=True)


def _keeps_thoughts(probe: Probe) -> bool:
    thinks = {"role": "assistant", "content": SAID, "reasoning_content": THOUGHT}
    again = {"role": "user", "content": ASKED_AGAIN}
    return THOUGHT in probe.render([_USER, thinks, again], add_generation_prompt=True)


def _without(say_open: str, thoughts: Thoughts | None) -> tuple[str, ...]:
    """Marks before what is said, less those of an empty thought; words are none."""
    if thoughts:
        for mark in (thoughts.open, thoughts.close):
            if mark:
                say_open = say_open.replace(mark, " ")
    return tuple(atom for atom in atoms(say_open) if _MARKER.search(atom))


def _name(thoughts: Thoughts | None, calls: Calls | None) -> str:
    found = [f"thoughts in {thoughts.open or 'nothing'}…{thoughts.close}"] if thoughts else []
    if calls:
        found.append(f"calls as {calls.body}")
    return ", ".join(found) or "text"


def switches_of(known: Understood, thinking: Thinking) -> dict[str, Any]:
    """What the template is given for the thinking that was asked for."""
    given: dict[str, Any] = {}
    if known.switch and thinking.enabled is not None:
        given[known.switch] = thinking.enabled
    if known.efforts and thinking.effort:
        given["reasoning_effort"] = thinking.effort
    return given


def opens_thought(form: Format, prompt: str) -> bool:
    """Whether a prompt ends within a thought."""
    thoughts = form.thoughts
    if thoughts is None:
        return prompt.rstrip().endswith("<think>")
    end = prompt.rstrip()
    if thoughts.always_open:
        return not end.endswith(thoughts.close)
    return bool(thoughts.open) and end.endswith(thoughts.open)


def behind(text: str, needle: str) -> str:
    """What stands behind `needle`."""
    return text.partition(needle)[2]


def _common_segments(texts: Sequence[str]) -> str:
    """What all begin with, up to a border between marks, words and white space."""
    divided = [_SEGMENT.findall(text) for text in texts]
    return "".join(divided[0][: common_start(divided)]) if divided else ""
