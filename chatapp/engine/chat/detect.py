"""Finds a model's output format in its chat template.

The template renders small chats that differ in one thing: with and without a thought, a call, the
beginning of an answer. What differs in the text is how that thing is written. Formats that such
differences cannot tell are known by what their templates contain.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from chatapp.engine.chat.by_name import know_by_name
from chatapp.engine.chat.format import Calls, Format, Thoughts
from chatapp.engine.chat.probes import (
    ASKED,
    ASKED_AGAIN,
    MARKER,
    SAID,
    THINKS,
    THOUGHT,
    USER,
    Probe,
    Renders,
    Turn,
    behind,
    call_message,
    common_segments,
    tool,
)
from chatapp.engine.chat.written import (
    FIRST,
    SECOND,
    TEXT_KEY,
    atoms,
    find_calls,
)
from chatapp.thinking import Thinking

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


def understand(template: Renders) -> Understood:
    """What a template says about the model's output."""
    probe = Probe(template)
    turn = Turn.of(probe)
    thoughts, extra = _find_thoughts(probe, template.source, turn)
    tools = [tool(FIRST), tool(SECOND)]
    known = template.call_traits.knows_calls
    calls = _find_calls(probe, tools, turn, thoughts) if known else None
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
    )


def _find_thoughts(
    probe: Probe, source: str, turn: Turn
) -> tuple[Thoughts | None, tuple[str, ...]]:
    """How thoughts are written, and marks between a thought and what is said that mean nothing."""
    thinks = {"role": "assistant", "content": SAID, "reasoning_content": THOUGHT}
    text = behind(probe.render([USER, thinks], add_generation_prompt=False, **THINKS), ASKED)
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
                [USER, call_message(n, THOUGHT)],
                tools=tools,
                add_generation_prompt=False,
                **THINKS,
            ),
            ASKED,
        )
        before, found, after = text.partition(THOUGHT)
        mark = MARKER.match(after.lstrip())
        opening = _opening(before, mark[0], turn) if mark else ""
        if found and opening and mark:
            return Thoughts(opening, mark[0]), ()
    for opening, closing in _KNOWN_THOUGHTS:
        if closing in source or (opening and opening in source):
            return Thoughts(opening, closing), ()
    return None, ()


def _opening(before: str, close: str, turn: Turn) -> str:
    """What opens a thought: the twin of what closes it, or what no other beginning has."""
    twin = close.replace("/", "", 1)
    if twin != close and twin in before:
        return twin
    starts = (turn.start, *turn.prompts)
    rests = [before[len(common_segments([before, start])) :].strip() for start in starts if start]
    return min(filter(None, rests), key=len, default="")


def _lone(thoughts: Thoughts | None) -> tuple[str, ...]:
    """The control mark that the beginning of a thought begins with, where more belongs to it."""
    found = MARKER.match(thoughts.open) if thoughts else None
    alone = found is not None and thoughts is not None and found[0] != thoughts.open
    return (found[0],) if found and alone and "|" in found[0] else ()


def _first_atom(between: str) -> tuple[str, tuple[str, ...]]:
    """The mark that closes a thought, and further marks behind it."""
    whole = between.strip()
    if whole.startswith("[") and MARKER.fullmatch(whole):
        return whole, ()
    parts = whole.split()
    return (parts[0] if parts else ""), tuple(part for part in parts[1:] if MARKER.search(part))


def _find_calls(
    probe: Probe, tools: list[dict[str, Any]], turn: Turn, thoughts: Thoughts | None
) -> Calls | None:
    for n in (2, 1):
        text = behind(
            probe.render(
                [USER, call_message(n)], tools=tools, add_generation_prompt=False, **THINKS
            ),
            ASKED,
        )
        if FIRST not in text:
            continue
        text = text[len(common_segments([text, turn.start])) :]
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


def _cut_end(text: str, turn: Turn) -> str:
    if turn.tail.strip() and text.rstrip().endswith(turn.tail.rstrip()):
        return text.rstrip().removesuffix(turn.tail.rstrip())
    for end in turn.ends:
        place = text.rfind(end)
        if place > text.rfind(TEXT_KEY):
            text = text[:place]
    return text


def _find_switch(probe: Probe) -> tuple[str, tuple[str, ...]]:
    """The variable that switches thinking, and the efforts that are known."""
    plain = probe.render([USER], add_generation_prompt=True)
    switch = ""
    for name in ("enable_thinking", "thinking", "think", "reasoning"):
        on = probe.render([USER], add_generation_prompt=True, **{name: True})
        off = probe.render([USER], add_generation_prompt=True, **{name: False})
        if on and off and on != off:
            switch = name
            break
    efforts = {
        effort: probe.render([USER], add_generation_prompt=True, reasoning_effort=effort)
        for effort in ("low", "medium", "high")
    }
    known = len(set(efforts.values())) > 1
    if not known and plain:
        known = any(text and text != plain for text in efforts.values())
    return switch, tuple(efforts) if known and all(efforts.values()) else ()


def _takes_tools(probe: Probe, tools: list[dict[str, Any]]) -> bool:
    return FIRST in probe.render([USER], tools=tools, add_generation_prompt=True)


def _keeps_thoughts(probe: Probe) -> bool:
    thinks = {"role": "assistant", "content": SAID, "reasoning_content": THOUGHT}
    again = {"role": "user", "content": ASKED_AGAIN}
    return THOUGHT in probe.render([USER, thinks, again], add_generation_prompt=True)


def _without(say_open: str, thoughts: Thoughts | None) -> tuple[str, ...]:
    """Marks before what is said, less those of an empty thought; words are none."""
    if thoughts:
        for mark in (thoughts.open, thoughts.close):
            if mark:
                say_open = say_open.replace(mark, " ")
    return tuple(atom for atom in atoms(say_open) if MARKER.search(atom))


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
