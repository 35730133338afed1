"""Calls in an answer to a request that offered no tools: they are calls all the same."""

import pytest

from chatapp.engine.chat.detect import understand
from chatapp.engine.chat.parser import Parser
from chatapp.engine.chat.template import ChatTemplate
from chatapp.parts import Parts, Text, ToolCall
from tests.formats.calling import HERMES

_CALL = '<tool_call>\n{"name": "weather", "arguments": {"place": "Oslo"}}\n</tool_call>'


def read(text: str) -> Parts:
    parser = Parser(understand(ChatTemplate(HERMES.template, "", "")).form)
    for letter in text:
        parser.feed(letter)
    parser.finish()
    return parser.parts


def test_a_call_that_nobody_asked_for_is_a_call() -> None:
    said, call = read(f"Let me look.\n{_CALL}")
    assert said == Text("Let me look.\n")
    assert isinstance(call, ToolCall)
    assert (call.name, call.arguments) == ("weather", '{"place": "Oslo"}')


@pytest.mark.parametrize(
    "text",
    [
        f"Write this:\n```\n{_CALL}\n```\nThat is all.",
        "A call begins with `<tool_call>` and ends with `</tool_call>`.",
        "The mark is <tool_call> in most models.",
        "<tool_call> is no call without a name.",
    ],
)
def test_an_answer_that_speaks_of_calls_is_text(text: str) -> None:
    assert read(text) == (Text(text),)
