"""Two turns of `chatapp ask` with every family: what was said, and what the model was given."""

import json
from pathlib import Path

import pytest

from chatapp.parts import Parts, Reasoning, Text, ToolCall, reasoning_of, text_of
from chatapp.store import Store
from tests.cli.conftest import Run
from tests.formats.family import AND_THEN, HELLO, Family, Said


@pytest.fixture
def environment(environment: dict[str, str]) -> dict[str, str]:
    return environment | {"CHATAPP_BACKEND": "llama"}


def test_two_turns(chatapp: Run, home: Path, tmp_path: Path, family: Family) -> None:
    words = ("ask", "-m", str(family.write(tmp_path)), "--json")
    turns = zip(((HELLO,), ("-c", AND_THEN)), (family.first, family.second), strict=True)
    for (question, said), prompt in zip(turns, family.prompts(), strict=True):
        done = chatapp(*words, *question)
        assert done.returncode == 0, done.stderr
        answer = json.loads(done.stdout)
        assert answer["text"].strip() == said.text
        assert answer["reasoning"].strip() == said.reasoning
        called = [call["function"]["name"] for call in answer.get("tool_calls", [])]
        assert called == [call.name for call in said.calls]
        assert answer["finish_reason"] == ("tool_calls" if said.calls else "stop")
        # An answer stands where the right prompt ends: whole, it proves the prompt's length too.
        assert answer["usage"]["prompt_tokens"] == len(family.words.tokenize(prompt))
        with Store.open(home / "history.db") as store:
            check_parts(store.get_path(answer["conversation_id"])[-1].parts, said)


def check_parts(parts: Parts, said: Said) -> None:
    """What is kept of one answer: its thoughts, its words and its calls, in this order."""
    assert reasoning_of(parts).strip() == said.reasoning
    assert text_of(parts).strip() == said.text
    kinds = (Reasoning,) * bool(said.reasoning) + (Text,) * bool(said.text)
    assert tuple(map(type, parts)) == kinds + (ToolCall,) * len(said.calls)
    calls = [part for part in parts if isinstance(part, ToolCall)]
    assert [(call.name, json.loads(call.arguments)) for call in calls] == [
        (call.name, call.arguments) for call in said.calls
    ]
    assert all(call.id for call in calls)
    assert len({call.id for call in calls}) == len(calls)


def test_plain_words(chatapp: Run, tmp_path: Path, family: Family) -> None:
    done = chatapp("ask", "-m", str(family.write(tmp_path)), "--no-save", HELLO)
    assert done.returncode == 0, done.stderr
    calls = [f"{call.name} {json.dumps(call.arguments)}" for call in family.first.calls]
    assert [line for line in done.stdout.splitlines() if line] == [
        *[family.first.text] * bool(family.first.text),
        *calls,
    ]
    for mark in family.raw_marks():
        assert mark not in done.stdout + done.stderr
