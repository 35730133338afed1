"""An answer that says nothing says why."""

import pytest

from chatapp.parts import Parts, Reasoning, Text, ToolCall
from chatapp.thinking import explain_silence


@pytest.mark.parametrize(
    ("parts", "reason", "sentence"),
    [
        ((), "stop", "The model gave an empty answer."),
        ((Text(" \n"),), "stop", "The model gave an empty answer."),
        ((), "length", "The limit of tokens was reached before the model said a word."),
        ((Reasoning("hm"),), "stop", "The model thought and gave no answer."),
        ((Text("0"),), "stop", ""),
        ((ToolCall("1", "look", "{}"),), "tool_calls", ""),
    ],
)
def test_why_an_answer_says_nothing(parts: Parts, reason: str, sentence: str) -> None:
    assert explain_silence(parts, reason) == sentence
