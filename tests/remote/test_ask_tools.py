"""`chatapp ask --tools` and a server that calls them: printed, stored, exported, gone on with."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from chatapp.parts import Text, ToolCall
from chatapp.paths import find_paths
from chatapp.store import Store
from tests.remote.answers import END, adds, delta, streams
from tests.remote.conftest import Name, Script

TOOLS = [{"name": "look_up", "parameters": {"type": "object", "properties": {}}}]
PIECES = (
    delta("One moment."),
    adds(tool_calls=[{"index": 0, "function": {"name": "look_up", "arguments": '{"word":'}}]),
    adds(tool_calls=[{"index": 0, "function": {"arguments": '"\\u001b[31mGrüße"}'}}]),
    adds("tool_calls"),
)


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    path = tmp_path / "tools.json"
    path.write_text(json.dumps(TOOLS))
    return path


def _chatapp(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "chatapp", *arguments],
        capture_output=True,
        text=True,
        encoding="utf-8",
        stdin=subprocess.DEVNULL,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
        timeout=120,
        check=False,
    )


def _last_answer() -> Any:
    with Store.open(find_paths().history) as store:
        conversation = store.last_conversation()
        assert conversation is not None
        return store.get_path(conversation.id)[-1]


def test_json_row_and_export_say_the_same_call(
    script: Script, name: Name, home: Path, tools: Path
) -> None:
    name("lab", script.url)
    script.answers = [streams(*PIECES), streams(delta("Done."), END)]
    done = _chatapp("ask", "--model", "remote:lab", "--tools", str(tools), "--json", "Look it up.")
    assert (done.returncode, done.stderr) == (0, "")
    said = json.loads(done.stdout)
    [call] = said["tool_calls"]
    assert (said["text"], said["finish_reason"]) == ("One moment.", "tool_calls")
    arguments = '{"word":"\\u001b[31mGrüße"}'
    assert call == {
        "id": call["id"],
        "type": "function",
        "function": {"name": "look_up", "arguments": arguments},
    }
    row = _last_answer()
    assert row.parts == (Text("One moment."), ToolCall(call["id"], "look_up", arguments))
    assert len(call["id"]) == 9
    assert row.generation.finish_reason == "tool_calls"
    sent = json.loads(script.requests[-1][2])["tools"]
    assert [tool["function"] for tool in sent] == TOOLS
    exported = json.loads(_chatapp("history", "export", "--format", "json").stdout)
    assert call["id"] in json.dumps(exported)
    assert "look_up" in _chatapp("history", "export", "--format", "markdown").stdout
    again = _chatapp("ask", "--model", "remote:lab", "-c", "And?")
    assert (again.returncode, again.stdout) == (0, "Done.\n")
    messages = json.loads(script.requests[-1][2])["messages"]
    assert messages[1]["tool_calls"] == [call]
    assert messages[2]["tool_call_id"] == call["id"]


def test_a_call_is_printed_in_a_line_of_its_own(
    script: Script, name: Name, home: Path, tools: Path
) -> None:
    name("lab", script.url)
    half = adds(tool_calls=[{"index": 1, "id": "c", "function": {"name": "f", "arguments": '{"a'}}])
    script.answers = [streams(*PIECES[:-1], half, adds("length")), streams(*PIECES[1:])]
    done = _chatapp("ask", "--model", "remote:lab", "--tools", str(tools), "Look it up.")
    assert (done.returncode, "not whole" in done.stderr) == (1, True)
    assert done.stdout.splitlines() == [
        "One moment.",
        'look_up {"word": "\\u001b[31mGrüße"}',
        'f {"a',
    ]
    done = _chatapp("ask", "--model", "remote:lab", "--tools", str(tools), "--no-save", "Again.")
    assert done.stdout == 'look_up {"word": "\\u001b[31mGrüße"}\n'


def test_no_call_is_an_empty_list(script: Script, name: Name, home: Path, tools: Path) -> None:
    name("lab", script.url)
    script.answers = [streams(delta("No."), END)] * 3
    ask = ("ask", "--model", "remote:lab", "--json")
    assert json.loads(_chatapp(*ask, "--tools", str(tools), "hi").stdout)["tool_calls"] == []
    said = json.loads(_chatapp(*ask, "hi").stdout)
    assert "tool_calls" not in said
    assert said["seed"] is None
    assert json.loads(_chatapp(*ask, "--seed", "4", "hi").stdout)["seed"] == 4


@pytest.mark.parametrize(
    ("chunks", "sentence"),
    [
        ([delta(""), END], "The model gave an empty answer."),
        ([END], "The model gave an empty answer."),
        ([adds(reasoning_content="Hm."), END], "The model thought and gave no answer."),
        (
            [adds(reasoning_content="Hm."), adds("length")],
            "The model thought until the limit of tokens was reached, and gave no answer.",
        ),
    ],
)
def test_an_answer_that_says_nothing_is_a_failure_that_is_said(
    script: Script, name: Name, home: Path, chunks: list[object], sentence: str
) -> None:
    name("lab", script.url)
    script.answers = [streams(*chunks)]
    done = _chatapp("ask", "--model", "remote:lab", "Hello?")
    assert (done.returncode, done.stdout) == (1, "")
    assert f"chatapp: {sentence}\n" in done.stderr
