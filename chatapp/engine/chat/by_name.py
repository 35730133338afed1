"""Formats that the differences between renderings cannot tell: known by what templates contain."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from chatapp.engine.chat.format import ArgumentMarks, Calls, Format, Headers, JsonKeys, Thoughts
from chatapp.engine.chat.headers import HARMONY


def know_by_name(source: str, form: Format) -> Format:
    """The format with what is known of templates of that kind."""
    for belongs, change in _KNOWN:
        if belongs(source):
            return change(form)
    return form


def _contains(*texts: str) -> Callable[[str], bool]:
    return lambda source: all(text in source for text in texts)


def _harmony(form: Format) -> Format:
    return Format(name="harmony", thoughts=form.thoughts, headers=HARMONY)


def _muse(_: Format) -> Format:
    headers = Headers("<|start|>", "<|message|>", ("<|eom|>", "<|eot|>"), ("<|eot|>",))
    calls = Calls(
        "tagged",
        section_open=("<atem:function_calls>",),
        section_close=("</atem:function_calls>",),
        open=("<atem:invoke", 'name="'),
        close=("</atem:invoke>",),
        after_name=('">',),
        argument=ArgumentMarks('<atem:parameter name="', '">', "", False, "</atem:parameter>"),
    )
    return Format(name="messages with headers", headers=headers, calls=calls)


def _kimi(form: Format) -> Format:
    calls = Calls(
        "named",
        section_open=("<|tool_calls_section_begin|>",),
        section_close=("<|tool_calls_section_end|>",),
        open=("<|tool_call_begin|>",),
        close=("<|tool_call_end|>",),
        after_name=("<|tool_call_argument_begin|>",),
        name_has_id=True,
    )
    return replace(form, calls=calls)


def _kimi_k3(_: Format) -> Format:
    calls = Calls(
        "tagged",
        section_open=("<|open|>tools<|sep|>",),
        section_close=("<|close|>tools<|sep|>",),
        open=("<|open|>call", 'tool="'),
        close=("<|close|>call<|sep|>",),
        after_name=("<|sep|>",),
        argument=ArgumentMarks(
            '<|open|>argument key="', '"', "<|sep|>", True, "<|close|>argument<|sep|>"
        ),
    )
    return Format(
        name="Kimi K3",
        thoughts=Thoughts("<|open|>think<|sep|>", "<|close|>think<|sep|>"),
        say_open=("<|open|>response<|sep|>",),
        say_close=("<|close|>response<|sep|>",),
        calls=calls,
        ends=("<|close|>message<|sep|>", "<|end_of_msg|>"),
        drops=("<|sep|>",),
    )


def _minimax_m3(form: Format) -> Format:
    mark = "]<]minimax[>["
    calls = Calls(
        "tagged",
        section_open=(f"{mark}<tool_call>",),
        section_close=(f"{mark}</tool_call>",),
        open=(f"{mark}<invoke", 'name="'),
        close=(f"{mark}</invoke>",),
        after_name=('">',),
        argument=ArgumentMarks(f"{mark}<", ">", "", False, f"{mark}</{{key}}>"),
    )
    return replace(form, calls=calls)


def _command_r_plus(form: Format) -> Format:
    calls = Calls(
        "json",
        section_open=("Action:", "```json"),
        section_close=("```",),
        keys=JsonKeys("tool_name", "parameters"),
    )
    drops = (*form.drops, "<|CHATBOT_TOKEN|>")
    return replace(form, calls=calls, say_open=(), say_close=(), drops=drops)


def _gemma4(form: Format) -> Format:
    return replace(form, ends=(*form.ends, "<|tool_response>"))


def _llama3(form: Format) -> Format:
    return replace(form, drops=(*form.drops, "<|python_tag|>"))


def _python_calls(form: Format) -> Format:
    calls = Calls("python", open=("<|tool_call_start|>",), close=("<|tool_call_end|>",))
    return replace(form, name="calls as python", calls=calls)


def _functionary(form: Format) -> Format:
    headers = Headers(">>>", "\n", (">>>",), is_recipient=True)
    return Format(name="functionary 3.2", headers=headers, ends=form.ends)


def _firefunction(form: Format) -> Format:
    return replace(form, name="functools", calls=Calls("json", section_open=("functools",)))


def _deepseek_r1(form: Format) -> Format:
    calls = Calls(
        "named",
        section_open=("<｜tool▁calls▁begin｜>",),
        section_close=("<｜tool▁calls▁end｜>",),
        open=("<｜tool▁call▁begin｜>function<｜tool▁sep｜>",),
        close=("```<｜tool▁call▁end｜>",),
        after_name=("```json",),
    )
    return replace(form, calls=calls)


def _granite(form: Format) -> Format:
    mark = "<|tool_call|>"
    if form.calls and mark in (*form.calls.section_open, *form.calls.open):
        return form
    return replace(form, calls=Calls("json", section_open=(mark,)))


_KNOWN: tuple[tuple[Callable[[str], bool], Callable[[Format], Format]], ...] = (
    (_contains("<|channel|>", "<|message|>", "<|start|>"), _harmony),
    (_contains("to=self<|message|>"), _muse),
    (_contains("<|tool_list_start|>"), _python_calls),
    (_contains('"List of tools: ["'), _python_calls),
    (_contains(">>>all"), _functionary),
    (_contains("functools["), _firefunction),
    (lambda s: "<｜tool▁calls▁begin｜>" in s and "```json" in s, _deepseek_r1),
    (_contains("<|tool_call|>"), _granite),
    (_contains("<|tool_calls_section_begin|>"), _kimi),
    (_contains("<|open|>", "<|close|>", "<|sep|>"), _kimi_k3),
    (_contains("]<]minimax[>["), _minimax_m3),
    (_contains("json-formatted list of actions"), _command_r_plus),
    (_contains("<|tool_response>"), _gemma4),
    (_contains("<|python_tag|>"), _llama3),
)
