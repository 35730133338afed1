"""Answers of older versions are read again; what speaks about marks is not."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatapp.engine.chat.format import PLAIN
from chatapp.engine.chat.parser import Parser
from chatapp.engine.chat.stored import read_again
from chatapp.parts import Parts, Reasoning, Text, ToolCall

CALL = ToolCall("", "look_up", '{"word": "Grüße"}')
HERMES = '<tool_call>\n{"name": "look_up", "arguments": {"word": "Grüße"}}\n</tool_call>'
ANALYSIS, FINAL = "<|channel|>analysis<|message|>", "<|channel|>final<|message|>"
START = "<|start|>assistant"


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        # harmony: older versions lost <|end|>, which is a control token, and ended there
        (f"{ANALYSIS}A greeting.{START}{FINAL}Hi!", (Reasoning("A greeting."), Text("Hi!"))),
        (f"{ANALYSIS}A greeting.<|end|>{START}{FINAL}Hi!", (Reasoning("A greeting."), Text("Hi!"))),
        (f"{ANALYSIS}A greeting.", (Reasoning("A greeting."),)),
        (f"{START}{FINAL}Hi!", (Text("Hi!"),)),
        (
            (
                f"{ANALYSIS}Look.{START}<|channel|>commentary to=functions.look_up "
                '<|constrain|>json<|message|>{"word": "Grüße"}'
            ),
            (Reasoning("Look."), CALL),
        ),
        ("[THINK]So, well.[/THINK]Yes.", (Reasoning("So, well."), Text("Yes."))),
        ("[THINK]So:\n- a\n[/THINK]\n\nYes.", (Reasoning("So:\n- a"), Text("Yes."))),
        ("<|channel>thought\nSo.<channel|>Yes.", (Reasoning("So."), Text("Yes."))),
        ("<seed:think>\nSo.\n</seed:think>\nYes.", (Reasoning("So."), Text("Yes."))),
        ("<thinking>\nSo.\n</thinking>\n\nYes.", (Reasoning("So."), Text("Yes."))),
        (
            "<|START_THINKING|>So.<|END_THINKING|><|START_RESPONSE|>Yes.<|END_RESPONSE|>",
            (Reasoning("So."), Text("Yes.")),
        ),
        (HERMES, (CALL,)),
        (f"One moment.\n\n{HERMES}", (Text("One moment."), CALL)),
        (f"[THINK]So.[/THINK]{HERMES}", (Reasoning("So."), CALL)),
        (f"{HERMES}\n{HERMES}", (CALL, CALL)),
        ('[TOOL_CALLS]look_up[ARGS]{"word": "Grüße"}', (CALL,)),
        ('[TOOL_CALLS][{"name": "look_up", "arguments": {"word": "Grüße"}}]', (CALL,)),
        ('<|tool_call>call:look_up{word:<|"|>Grüße<|"|>}<tool_call|>', (CALL,)),
        (
            (
                "<tool_call>\n<function=look_up>\n<parameter=word>\nGrüße\n</parameter>\n</function>\n"
                "</tool_call>"
            ),
            (CALL,),
        ),
        (
            (
                "<seed:think>So.</seed:think>\n<seed:tool_call>\n<function=look_up>"
                "<parameter=word>Grüße</parameter></function>\n</seed:tool_call>"
            ),
            (Reasoning("So."), CALL),
        ),
    ],
)
def test_marks_that_a_text_begins_with(text: str, parts: Parts) -> None:
    assert read_again((Text(text),)) == parts
    assert read_again(parts) == parts


@pytest.mark.parametrize(
    "text",
    [
        "`<think>` opens a thought and `</think>` closes it.",
        "<think> is what Qwen writes.",
        "<think> opens a thought, </think> closes it.",
        "[THINK] and [/THINK] are Mistral's marks.",
        "[THINK]…[/THINK] stands around a thought.",
        "[THINK]your thought[/THINK], then the answer.",
        "[THINK]Nothing closes this, and it was not cut.",
        "Ministral writes [THINK]so[/THINK]Yes.",
        "```\n[THINK]so[/THINK]Yes.\n```",
        "<|channel|>analysis<|message|> begins a thought in harmony.",
        "<|channel|>analysis<|message|>…<|end|> is a thought.",
        "<|channel|> is a token.",
        f"A call looks like this:\n\n{HERMES}",
        f"```\n{HERMES}\n```",
        f"{HERMES}\nis how Hermes calls.",
        "<tool_call>\n{not JSON}\n</tool_call>",
        "I thought a lot\n</think>\n\nHello",
        "a < b and [c]",
    ],
)
def test_what_speaks_about_marks_is_left_alone(text: str) -> None:
    assert read_again((Text(text),)) == (Text(text),)


def test_a_thought_that_was_cut_is_one() -> None:
    cut = (Text("[THINK]So, well"),)
    assert read_again(cut, was_cut=True) == (Reasoning("So, well"),)
    about = (Text("[THINK] opens a thou"),)
    assert read_again(about, was_cut=True) == about


def test_a_thought_that_a_server_opened() -> None:
    kept = (Text("I think\na lot\n</think>\n\nHello"),)
    assert read_again(kept, is_served=True) == (Reasoning("I think\na lot"), Text("Hello"))
    for about in (
        "The mark is:\n</think>\n\nIt closes.",
        "See `</think>`.\n\nYes.",
        "```\n</think>\n\n```\nx",
        "Both <think> and\n</think>\n\nare marks",
    ):
        assert read_again((Text(about),), is_served=True) == (Text(about),)


def test_what_was_read_half() -> None:
    """Older versions knew the first mark of a thought and of its end."""
    assert read_again((Reasoning("<think>\nSo."), Text("</think>\n\nYes."))) == (
        Reasoning("So."),
        Text("Yes."),
    )
    assert read_again((Reasoning("So."), Text(HERMES))) == (Reasoning("So."), CALL)
    assert read_again((Reasoning("So."), Text("Yes."))) == (Reasoning("So."), Text("Yes."))


_PIECES = st.sampled_from(
    [
        *("[THINK]", "[/THINK]", "<think>", "</think>", "<|channel>thought\n", "<channel|>"),
        *(ANALYSIS, START, FINAL, "<seed:think>", "</seed:think>", HERMES, "<tool_call>"),
        *("\n", "\n\n", " ", "`", "```\n", "Yes.", "so", "…", ":", "[TOOL_CALLS]", "[ARGS]", "{}"),
        *("<|START_THINKING|>", "<|END_THINKING|>", "<|START_RESPONSE|>", "f"),
    ]
)
_TEXTS = st.lists(_PIECES, max_size=8).map("".join)


@given(_TEXTS, st.booleans(), st.booleans())
@settings(max_examples=1000, deadline=None)
def test_reading_twice_is_as_good_as_once(text: str, was_cut: bool, is_served: bool) -> None:
    once = read_again((Text(text),), was_cut=was_cut, is_served=is_served)
    assert read_again(once, was_cut=was_cut, is_served=is_served) == once


@given(_TEXTS)
@settings(max_examples=1000, deadline=None)
def test_words_are_never_lost(text: str) -> None:
    """Whoever reads again shows every word, as thought, text or call."""
    read = read_again((Text(text),))
    shown = "".join(
        part.arguments + part.name if isinstance(part, ToolCall) else part.text  # type: ignore[union-attr]
        for part in read
    )
    assert shown.count("Yes.") == text.count("Yes.")


@given(_TEXTS.filter(lambda text: not any(mark in text for mark in ("<tool", "[TOOL"))))
@settings(max_examples=1000, deadline=None)
def test_what_the_present_parser_makes_is_left_alone(text: str) -> None:
    parser = Parser(PLAIN)
    parser.feed(text)
    parser.finish()
    if parser.parts and not _still_begins(parser.parts):
        assert read_again(parser.parts) == parser.parts


def _still_begins(parts: Parts) -> bool:
    """Whether a mark stands at the beginning of what was said: it was written twice, and tells
    nobody which of the two was meant."""
    said = parts[-1]
    return isinstance(said, Text) and said.text.lstrip().startswith(("<", "["))
