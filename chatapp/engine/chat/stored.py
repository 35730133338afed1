"""Reads again what older versions kept as it was written: marks in the text of an answer.

They knew `<think>` at the very beginning and no other mark. What is read here is the text of such
an answer; whether a model in a chat wrote it, and when, the caller knows. Only a text that begins
with a mark, and goes on as what the mark opens does, is read again. What speaks about marks is
left alone, and so is everything that is not certain.
"""

from __future__ import annotations

import json
import re
from itertools import islice

from chatapp.engine.chat.format import PLAIN, ArgumentMarks, Calls, Format, JsonKeys, Thoughts
from chatapp.engine.chat.openings import KNOWN
from chatapp.engine.chat.parser import Parser
from chatapp.parts import Parts, Reasoning, Text, ToolCall

_HEADER = re.compile(
    r"\s*(?:<\|start\|>\s*assistant\s*)?(?=<\|channel\|>\s*\w+[^<\n]{0,200}"
    r"(?:<\|constrain\|>\s*\w+\s*)?<\|message\|>(?![\s.…'\"`]|<\|))"
)
_COHERE = Format(
    thoughts=Thoughts("<|START_THINKING|>", "<|END_THINKING|>"),
    say_open=("<|START_RESPONSE|>",),
    say_close=("<|END_RESPONSE|>",),
)
_CALLS = (
    Calls("json", open=("<tool_call>",), close=("</tool_call>",)),
    Calls("json", section_open=("[TOOL_CALLS]",)),
    Calls("named", open=("[TOOL_CALLS]",), after_name=("[ARGS]",)),
    Calls(
        "json",
        section_open=("<|START_ACTION|>",),
        section_close=("<|END_ACTION|>",),
        keys=JsonKeys("tool_name", "parameters", "tool_call_id"),
    ),
    *(
        Calls(
            "tagged",
            open=(f"<{word}>", "<function="),
            close=("</function>", f"</{word}>"),
            after_name=(">",),
            argument=ArgumentMarks("<parameter=", ">", "", False, "</parameter>", "\n", "\n"),
        )
        for word in ("tool_call", "seed:tool_call")
    ),
    Calls("dict", open=("<|tool_call>",), close=("<tool_call|>",), quote='<|"|>'),
    Calls("python", open=("<|tool_call_start|>",), close=("<|tool_call_end|>",)),
)
_ANY_TOOL = ({"type": "function", "function": {"name": ""}},)
"""Older versions gave models no tools; without one no call is looked for."""
_CALL_MARK = re.compile("|".join(re.escape(mark) for calls in _CALLS for mark in calls.triggers))
_GOES_ON = re.compile(r"[.,;:!?)]| +[a-z]")
"""What stands behind a mark that is spoken of: a sentence that goes on."""
_MOST_MARKS = 50
"""Marks of calls that are looked at; who writes of marks writes of more."""
_QUOTES = "`'\"“”‘’«»"


def read_again(parts: Parts, *, was_cut: bool = False, is_served: bool = False) -> Parts:
    """The parts of an answer with thoughts and calls that stand in its text as parts.

    `was_cut`: it did not come to its end, so a thought may be open. `is_served`: a server wrote it,
    which may have opened a thought itself. Reading twice is as good as once.
    """
    found = _read(parts, was_cut=was_cut, is_served=is_served)
    again = _read(found, was_cut=was_cut, is_served=is_served)
    return found if again == found else parts


def _read(parts: Parts, *, was_cut: bool, is_served: bool) -> Parts:
    match parts:
        case (Text(text),):
            if is_served and _is_thought_closed_alone(text):
                return _parse(text, in_thought=True)
            return _read_text(text, was_cut=was_cut)
        case (Reasoning(thought), Text(text)) if text.lstrip().startswith("</think>"):
            return _parse(f"<think>\n{thought}</think>{text}")
        case (Reasoning(), Text(text)):
            return (parts[0], *_read_calls(text))
    return parts


def _read_text(text: str, *, was_cut: bool) -> Parts:
    if header := _HEADER.match(text):
        return _parse(text[header.end() :])
    form, opening, closing = _opening_of(text)
    if not opening:
        return _read_calls(text)
    if not _is_thought(text[len(opening) :], closing, was_cut=was_cut):
        return (Text(text),)
    found = _parse(text, form)
    if found and isinstance(said := found[-1], Text):
        return (*found[:-1], *_read_calls(said.text))
    return found


def _opening_of(text: str) -> tuple[Format, str, str]:
    """What a text begins with, where that opens a thought: its format, the mark, and its twin."""
    if found := KNOWN.match(text):
        if found["bracket"]:
            return PLAIN, found[0], "[/THINK]"
        if found["channel"]:
            return PLAIN, found[0], "<channel|>"
        return PLAIN, found[0], f"</{found['tag']}>"
    assert _COHERE.thoughts
    mark = _COHERE.thoughts.open
    if text.lstrip().startswith(mark):
        space = text[: len(text) - len(text.lstrip())]
        return _COHERE, space + mark, _COHERE.thoughts.close
    return PLAIN, "", ""


def _is_thought(inner: str, closing: str, *, was_cut: bool) -> bool:
    """Whether what stands behind an opening mark is a thought, not a sentence about marks."""
    thought, found, behind = inner.partition(closing)
    if not found:
        return was_cut and not _GOES_ON.match(inner)
    if thought.strip() and not any(character.isalnum() for character in thought):
        return False  # an ellipsis between the two
    if thought[-1:] in _QUOTES and behind[:1] in _QUOTES and thought and behind:
        return False
    return not _GOES_ON.match(behind)


def _is_thought_closed_alone(text: str) -> bool:
    """Whether a thought that nobody opened ends on a line of its own."""
    thought, found, said = text.partition("</think>")
    if not found or "</think>" in said or "<think>" in text or thought.count("```") % 2:
        return False
    is_apart = thought.endswith("\n") and said.startswith("\n\n")
    return is_apart and bool(thought.strip() and said.strip()) and thought.rstrip()[-1] != ":"


def _read_calls(text: str) -> Parts:
    """The text, with the calls that it ends with as parts."""
    for found in islice(_CALL_MARK.finditer(text), _MOST_MARKS):
        before = text[: found.start()].rstrip()
        on_its_own = not text[: found.start()].rpartition("\n")[2].strip()
        if not on_its_own or before.endswith(":") or before.count("```") % 2:
            continue  # one that is shown, or spoken about
        for calls in _CALLS:
            if calls.triggers[0] == found[0] and (
                read := _parse_calls(text[found.start() :], calls)
            ):
                return (*((Text(before),) if before else ()), *read)
    return (Text(text),)


def _parse_calls(text: str, calls: Calls) -> Parts:
    """The calls that a text is made of; none where it holds anything else, or half of one."""
    closing = (*calls.section_close, *calls.close)
    if closing and not text.rstrip().endswith(closing):
        return ()
    parser = Parser(Format(calls=calls), tools=_ANY_TOOL, finds_known=False)
    parser.feed(text)
    parser.finish()
    return parser.parts if all(map(_is_call, parser.parts)) else ()


def _is_call(part: object) -> bool:
    if not isinstance(part, ToolCall) or not part.name:
        return False
    try:
        return isinstance(json.loads(part.arguments), dict)
    except (ValueError, RecursionError):
        return False


def _parse(text: str, form: Format = PLAIN, *, in_thought: bool = False) -> Parts:
    parser = Parser(form, in_thought=in_thought)
    parser.feed(text)
    parser.finish()
    return parser.parts
