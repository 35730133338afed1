"""What a template writes of an answer is what the parser reads out of it, for many models' ways."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatapp.engine.assemble import Assembler
from chatapp.engine.chat.detect import Understood, opens_thought, understand
from chatapp.engine.chat.template import ChatTemplate
from chatapp.gguf.sandbox import TemplateProcess
from chatapp.parts import Parts, ToolCall, reasoning_of, text_of
from tests.engine.spellings import SPELLINGS

ASKED = {"role": "user", "content": "What now?"}
PROPERTIES = {
    "city": {"type": "string"},
    "code": {"type": "string"},
    "n": {"type": "integer"},
    "on": {"type": "boolean"},
    "tags": {"type": "array", "items": {"type": "string"}},
    "opts": {"type": "object"},
}
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": name,
            "description": "It does a thing.",
            "parameters": {"type": "object", "properties": PROPERTIES},
        },
    }
    for name in ("get_weather", "run.code", "no_args")
]
Call = tuple[str, dict[str, Any]]
TURNS: dict[str, tuple[str, str, list[Call]]] = {
    "words": ("", "Hello.\nHow are you?", []),
    "a thought": ("Let me see.\nTwo lines.", "The answer: 42", []),
    "a call": ("", "", [("get_weather", {"city": 'Köln "x"', "n": 3})]),
    "two calls": (
        "",
        "",
        [
            ("get_weather", {"city": "Paris"}),
            ("run.code", {"code": "def f():\n    return '<b>'\n", "on": True}),
        ],
    ),
    "a thought and a call": (
        "I call.",
        "",
        [
            (
                "get_weather",
                {"opts": {"a": {"b": [1, 2.5, None]}, "c": "d e"}, "tags": ["x", "y, z"]},
            )
        ],
    ),
    "words and a call": ("", "Let me look.", [("get_weather", {"city": "Oslo"})]),
    "a call without arguments": ("", "", [("no_args", {})]),
}


@pytest.fixture(scope="module")
def process() -> Iterator[TemplateProcess]:
    with TemplateProcess() as made:
        PROCESS.append(made)
        yield made
        PROCESS.pop()


PROCESS: list[TemplateProcess] = []


@cache
def known(name: str) -> tuple[ChatTemplate, Understood]:
    template = ChatTemplate(SPELLINGS[name].template, "<BOS>", "<EOS>", PROCESS[-1])
    return template, understand(template)


def wire(calls: Sequence[Call]) -> list[dict[str, Any]]:
    return [
        {
            "id": f"abcdefgh{index}",
            "type": "function",
            "function": {"name": name, "arguments": json.dumps(arguments, ensure_ascii=False)},
        }
        for index, (name, arguments) in enumerate(calls)
    ]


def written(name: str, thought: str, said: str, calls: Sequence[Call]) -> tuple[str, bool]:
    """What the template writes of that turn behind its prompt, and if that began a thought."""
    spelling, (template, understood) = SPELLINGS[name], known(name)
    message: dict[str, Any] = {"role": "assistant", "content": said}
    if thought:
        message["reasoning_content"] = thought
    if calls:
        message["tool_calls"] = wire(calls)
    tools = TOOLS if calls else ()
    whole = template.render([ASKED, message], tools=tools, add_generation_prompt=False)
    prompt = template.render([ASKED], tools=tools)
    if not whole.startswith(prompt):
        prompt = prompt.removesuffix(spelling.prompt)
    assert whole.startswith(prompt)
    return whole[len(prompt) :], opens_thought(understood.form, prompt)


def parsed(name: str, pieces: Sequence[bytes], *, in_thought: bool, tools: Any = TOOLS) -> Parts:
    assembler = Assembler(known(name)[1].form, in_thought=in_thought, tools=tools)
    for piece in pieces:
        assembler.feed(piece)
    assembler.finish()
    return assembler.parts


def calls_of(parts: Parts) -> list[tuple[str, Any]]:
    return [(p.name, json.loads(p.arguments)) for p in parts if isinstance(p, ToolCall)]


def turns(name: str) -> list[str]:
    spelling = SPELLINGS[name]
    return [
        turn
        for turn, (thought, _, calls) in TURNS.items()
        if (spelling.calls or not calls) and (spelling.thought[1] or not thought)
    ]


CASES = [(name, turn) for name in SPELLINGS for turn in turns(name)]


@pytest.mark.usefixtures("process")
@pytest.mark.parametrize(("name", "turn"), CASES)
def test_a_turn_comes_back_however_it_is_cut(name: str, turn: str) -> None:
    thought, said, calls = TURNS[turn]
    text, in_thought = written(name, thought, said, calls)
    data = text.encode()
    tools = TOOLS if calls else ()
    parts = parsed(name, [data], in_thought=in_thought, tools=tools)
    assert (reasoning_of(parts), text_of(parts).strip()) == (thought, said)
    assert calls_of(parts) == calls
    if SPELLINGS[name].names_id:
        assert all(part.id for part in parts if isinstance(part, ToolCall))
    for at in range(1, len(data)):
        pieces = [data[:at], data[at:]]
        assert parsed(name, pieces, in_thought=in_thought, tools=tools) == parts
    single = [bytes([byte]) for byte in data]
    assert parsed(name, single, in_thought=in_thought, tools=tools) == parts


@pytest.mark.usefixtures("process")
@pytest.mark.parametrize(("name", "turn"), CASES)
def test_a_turn_that_a_limit_cuts_shows_no_mark(name: str, turn: str) -> None:
    """Wherever it ends: no more than was meant, calls' names whole, arguments a beginning."""
    thought, said, calls = TURNS[turn]
    text, in_thought = written(name, thought, said, calls)
    data = text.encode()
    for at in range(len(data)):
        parts = parsed(name, [data[:at]], in_thought=in_thought)
        told = [part.name for part in parts if isinstance(part, ToolCall)]
        assert told == [call[0] for call in calls[: len(told)]]
        if told:
            assert reasoning_of(parts) == thought


TEXT = st.text(alphabet=st.sampled_from("ab 1\n\"'\\{}[],:<>/|=`é京🎉"), max_size=12)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-999, 999) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
ARGUMENTS = st.fixed_dictionaries(
    {},
    optional={
        "city": TEXT,
        "code": TEXT,
        "n": st.integers(-999, 999),
        "on": st.booleans(),
        "tags": st.lists(TEXT, max_size=3),
        "opts": st.dictionaries(TEXT, VALUES, max_size=3),
    },
)
CALLS = st.lists(
    st.tuples(st.sampled_from(["get_weather", "run.code"]), ARGUMENTS), min_size=1, max_size=3
)
IN_JSON = [
    name
    for name, spelling in SPELLINGS.items()
    if "tojson" in spelling.calls and ".items()" not in spelling.calls
]
IN_PAIRS = [name for name, spelling in SPELLINGS.items() if ".items()" in spelling.calls]


@pytest.mark.usefixtures("process")
@pytest.mark.parametrize("name", IN_JSON)
@settings(max_examples=8, deadline=None)
@given(calls=CALLS)
def test_any_call_comes_back_from_json(name: str, calls: list[Call]) -> None:
    text, in_thought = written(name, "", "", calls)
    assert calls_of(parsed(name, [text.encode()], in_thought=in_thought)) == calls


@pytest.mark.usefixtures("process")
@pytest.mark.parametrize("name", IN_PAIRS)
@settings(max_examples=8, deadline=None)
@given(calls=CALLS)
def test_any_call_comes_back_from_pairs(name: str, calls: list[Call]) -> None:
    """But for texts that begin or end with white space, or hold a mark of a value's end."""
    meant = [(called, {k: tidy(v) for k, v in given_.items()}) for called, given_ in calls]
    text, in_thought = written(name, "", "", meant)
    assert calls_of(parsed(name, [text.encode()], in_thought=in_thought)) == meant


def tidy(value: Any) -> Any:
    if isinstance(value, str):
        return value.strip() or "x"
    if isinstance(value, list):
        return [tidy(one) for one in value]
    if isinstance(value, Mapping):
        return {key.strip() or "k": tidy(one) for key, one in value.items()}
    return value
