"""Text into thoughts, words and calls: tags that are not tidy, and any text at all."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatapp.engine.assemble import Assembler
from chatapp.engine.chat.format import ArgumentMarks, Calls, Format, Thoughts
from chatapp.engine.chat.headers import HARMONY
from chatapp.parts import Parts, ToolCall, reasoning_of, text_of

TOOLS = [
    {
        "type": "function",
        "function": {"name": name, "parameters": {"properties": {"a": {"type": "string"}}}},
    }
    for name in ("look", "find")
]
THOUGHTS = Thoughts("<think>", "</think>")
HERMES = Format(
    thoughts=THOUGHTS,
    calls=Calls("json", open=("<tool_call>",), close=("</tool_call>",)),
    ends=("<|im_end|>",),
)
BARE = Format(calls=Calls("json"))
FORMS = {
    "hermes": HERMES,
    "bare": BARE,
    "list": Format(thoughts=THOUGHTS, calls=Calls("json", section_open=("[TOOL_CALLS]",))),
    "named": Format(calls=Calls("named", open=("<tc>",), close=("</tc>",), after_name=("<args>",))),
    "tagged": Format(
        thoughts=THOUGHTS,
        calls=Calls(
            "tagged",
            open=("<tool_call>", "<function="),
            after_name=(">",),
            close=("</function>", "</tool_call>"),
            argument=ArgumentMarks("<parameter=", ">", "", False, "</parameter>", "\n", "\n"),
        ),
    ),
    "python": Format(calls=Calls("python", open=("<code>",), close=("</code>",))),
    "bare python": Format(calls=Calls("python")),
    "dict": Format(calls=Calls("dict", open=("<call>",), close=("</call>",), quote="<escape>")),
    "headers": Format(headers=HARMONY),
    "wrapped": Format(thoughts=THOUGHTS, say_open=("<answer>",), say_close=("</answer>",)),
}
LOOK = '<tool_call>{"name": "look", "arguments": {"a": "b"}}</tool_call>'


def read(form: Format, pieces: Sequence[bytes], *, in_thought: bool = False) -> Parts:
    assembler = Assembler(form, in_thought=in_thought, tools=TOOLS)
    for piece in pieces:
        assembler.feed(piece)
    assembler.finish()
    return assembler.parts


def told(parts: Parts) -> tuple[str, str, str]:
    calls = [f"{part.name}{part.arguments}" for part in parts if isinstance(part, ToolCall)]
    return reasoning_of(parts), text_of(parts), " ".join(calls)


@pytest.mark.parametrize(
    ("output", "thought", "said", "calls"),
    [
        ("<think>on and on", "on and on", "", ""),
        ("hm</think>yes", "hm", "yes", ""),
        ("<think><think>hm</think>yes", "hm", "yes", ""),
        ("<think> \n<think>hm</think>yes", "hm", "yes", ""),
        ("<think>hm</think>\n</think>yes", "hm", "yes", ""),
        ("<think>a <think>b</think> c</think>d", "a b c", "d", ""),
        ("<think>a</think>b<think>c</think>d", "ac", "bd", ""),
        ("<think></think>yes", "", "yes", ""),
        ("yes<|im_end|>and more", "", "yes", ""),
        (f"<think>I call{LOOK}", "I call", "", 'look{"a": "b"}'),
        (f"<think>first {LOOK} then</think>no", f"first {LOOK} then", "no", ""),
        (f"<think>hm</think>so{LOOK}", "hm", "so", 'look{"a": "b"}'),
        ("It ends with `</think>`, always.", "", "It ends with `</think>`, always.", ""),
        ("Say <think> or </think> here.", "", "Say <think> or </think> here.", ""),
        ("So:\n```\n<think>\n```\nthat.", "", "So:\n```\n<think>\n```\nthat.", ""),
        (f"Write `{LOOK}`.", "", f"Write `{LOOK}`.", ""),
        ("The tag <tool_call> begins it.", "", "The tag <tool_call> begins it.", ""),
        ('<tool_call>{"name": "look", "arg', "", "", "look"),
        ('<tool_call>{"name": "look", "arguments": {"a": "b', "", "", 'look{"a": "b'),
        ('so<tool_call>\n{"na', "", "so", ""),
        ("so <tool_ca", "", "so <tool_ca", ""),
    ],
)
def test_tags_that_are_not_tidy(output: str, thought: str, said: str, calls: str) -> None:
    data = output.encode()
    whole = read(HERMES, [data])
    assert told(whole) == (thought, said, calls)
    for at in range(1, len(data)):
        assert read(HERMES, [data[:at], data[at:]]) == whole
    assert read(HERMES, [bytes([byte]) for byte in data]) == whole


@pytest.mark.parametrize(
    ("output", "said", "calls"),
    [
        ('{"name": "look", "arguments": {}}', "", "look{}"),
        ('{"name": "other", "arguments": {}}', '{"name": "other", "arguments": {}}', ""),
        ('{"answer": {"a": [1, {}]}}', '{"answer": {"a": [1, {}]}}', ""),
        ('I look. {"name": "look", "parameters": {"a": 1}}', "I look. ", 'look{"a": 1}'),
        ("A [link](b) and {braces}.", "A [link](b) and {braces}.", ""),
        ("[[1, 2], [3]]", "[[1, 2], [3]]", ""),
        ('Write "{"name": "look"}".', 'Write "{"name": "look"}".', ""),
    ],
)
def test_calls_without_a_mark(output: str, said: str, calls: str) -> None:
    data = output.encode()
    whole = read(BARE, [data])
    assert told(whole) == ("", said, calls)
    for at in range(1, len(data)):
        assert read(BARE, [data[:at], data[at:]]) == whole


def test_a_thought_that_the_prompt_began_ends_at_a_call() -> None:
    assert told(read(HERMES, [LOOK.encode()], in_thought=True)) == ("", "", 'look{"a": "b"}')
    assert told(read(HERMES, [b"hm"], in_thought=True)) == ("hm", "", "")


PIECES = st.lists(
    st.sampled_from(
        [
            "<think>",
            "</think>",
            "<tool_call>",
            "</tool_call>",
            "<function=look>",
            "<parameter=a>",
            "</parameter>",
            "</function>",
            "<tc>look<args>",
            "</tc>",
            "<code>",
            "</code>",
            "<call>",
            "</call>",
            "<escape>",
            "[TOOL_CALLS]",
            "<answer>",
            "</answer>",
            "<|im_end|>",
            "<|channel|>",
            "<|message|>",
            "<|start|>",
            "<|end|>",
            '{"name":',
            '"look"',
            '"arguments":',
            "look(",
            "find{",
            "a=",
            "a:",
            "```",
            "`",
            '"',
            "{",
            "}",
            "[",
            "]",
            "(",
            ")",
            ",",
            ":",
            "\\",
            "é",
            "京",
            "🎉",
            "word",
        ]
    )
    | st.sampled_from([" ", "\n", "\n\n", "final", "analysis", " to=look"])
    | st.text(max_size=3),
    max_size=14,
)


@pytest.mark.parametrize("name", FORMS)
@settings(max_examples=40, deadline=None)
@given(pieces=PIECES, in_thought=st.booleans(), data=st.data())
def test_any_text_gives_the_same_parts_however_it_is_cut(
    name: str, pieces: list[str], in_thought: bool, data: st.DataObject
) -> None:
    whole = "".join(pieces).encode("utf-8", "replace")
    parts = read(FORMS[name], [whole], in_thought=in_thought)
    cuts = data.draw(st.lists(st.integers(0, len(whole)), max_size=4).map(sorted))
    bounds = [0, *cuts, len(whole)]
    cut = [whole[a:b] for a, b in itertools.pairwise(bounds)]
    assert read(FORMS[name], cut, in_thought=in_thought) == parts
    single = [bytes([byte]) for byte in whole]
    assert read(FORMS[name], single, in_thought=in_thought) == parts


@settings(deadline=None)
@given(text=st.text(alphabet="ab <>{}[]|`\"'\n", max_size=60))
def test_text_without_marks_is_said_as_it_is(text: str) -> None:
    assert text_of(read(HERMES, [text.encode()])) == text or not text.strip()


DEEP = 5_000


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize(
    "text",
    [
        "[" * DEEP,
        '<tool_call>{"name": "look", "arguments": ' + '{"a":' * DEEP,
        '<tool_call>{"function":' * 3 + '{"function":' * DEEP,
        "<code>[look(a=" + "[" * DEEP + "]" * DEEP + ")]</code>",
        "<call>look{a:" + "{a:" * DEEP + "}" * DEEP + "}</call>",
        "<tool_call><function=look><parameter=b>" + "[" * DEEP + "</parameter></function>",
    ],
    ids=["brackets", "json", "function", "python", "dict", "tagged"],
)
def test_depth_is_no_error(name: str, text: str) -> None:
    assert isinstance(read(FORMS[name], [text.encode()]), tuple)


UNITS = [
    "<",
    "[",
    "{",
    "`",
    " ",
    '{"name":',
    '<tool_call>{"x":{',
    "<tool_call>",
    "a <tool_call> b ",
    "x</think> y ",
    "<think>a</think>b",
    LOOK,
    "<|channel|>",
]


def count_calls(form: Format, text: str) -> int:
    """How many functions are called while a text is read: steps, whatever the machine."""
    count = 0

    def on_event(_frame: object, event: str, _arg: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    data = text.encode()
    sys.setprofile(on_event)
    try:
        read(form, [data])
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("start", ["", "<think>"])
@pytest.mark.parametrize("name", ["hermes", "bare", "tagged"])
def test_a_long_answer_costs_no_more_for_a_character(name: str, start: str, unit: str) -> None:
    """Sixteen times the text may cost sixteen times as much, not its square: 256."""
    few, many = 500 // len(unit), 8_000 // len(unit)
    short = count_calls(FORMS[name], start + unit * few)
    assert count_calls(FORMS[name], start + unit * many) < 100 * short + 1000
