"""Files of tools: every shape that is met, and what is wrong with one by its place."""

import json
from pathlib import Path
from typing import Any

import pytest

from chatapp.cli.tool_file import check_tools
from chatapp.errors import UsageError
from tests.cli.conftest import Run

SCHEMA = {"type": "object", "properties": {"word": {"type": "string"}}, "required": ["word"]}
BARE = {"name": "look_up", "description": "Finds a word.", "parameters": SCHEMA}
WHOLE = {"type": "function", "function": BARE}


@pytest.mark.parametrize(
    "value",
    [
        [WHOLE],
        [BARE],
        {"tools": [WHOLE]},
        {"tools": [BARE], "model": "x"},
        WHOLE,
        BARE,
        [{"function": BARE}],
        [BARE | {"type": "function"}],
        [{"name": "look_up", "description": "Finds a word.", "input_schema": SCHEMA}],
        [{"name": "look_up", "description": "Finds a word.", "inputSchema": SCHEMA}],
    ],
)
def test_every_shape_is_openais(value: Any) -> None:
    assert check_tools(value, "t.json") == [WHOLE]


def test_what_else_is_said_of_a_tool_stays() -> None:
    [tool] = check_tools([{"type": "function", "function": BARE | {"strict": True}}], "t.json")
    assert tool["function"]["strict"] is True
    [tool] = check_tools([{"name": "now"}], "t.json")
    assert tool["function"]["parameters"] == {"type": "object", "properties": {}}


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        (5, "t.json: it is a number, it must be a list of tools"),
        ([], "it is empty"),
        ({"tools": {}}, "tools is an object"),
        ({"tools": [BARE, None]}, "tools[1] is null"),
        ([BARE, "look_up"], "[1] is a text"),
        ([{"description": "x"}], "[0] has no name"),
        ([{"type": "function", "function": {"name": 7}}], "[0].function.name is a number"),
        ([{"name": ""}], "[0].name is empty"),
        ([{"name": "look up"}], "[0].name must be"),
        ([{"name": "x" * 200}], "[0].name must be"),
        ([{"name": "x\x1b[31m"}], "[0].name must be"),
        ([WHOLE, {"type": "function", "function": []}], "[1].function is a list"),
        ([{"type": "custom", "function": BARE}], '[0].type is "custom"'),
        ([{"type": "web_search"}], '[0] is a tool of the type "web_search"'),
        ([BARE | {"parameters": []}], "[0].parameters is a list"),
        ([BARE | {"parameters": {"type": "string"}}], '[0].parameters.type is "string"'),
        ([{"name": "f", "inputSchema": 3}], "[0].inputSchema is a number"),
        ([BARE | {"description": 3}], "[0].description is a number"),
        ([BARE, WHOLE], "[1] has the name of [0]: look_up"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(value: Any, sentence: str) -> None:
    with pytest.raises(UsageError) as raised:
        check_tools(value, "t.json")
    assert sentence in raised.value.message


def test_very_many_tools_are_read_at_once() -> None:
    tools = [{"name": f"tool{n}"} for n in range(100_000)]
    assert len(check_tools(tools, "t.json")) == 100_000


def test_a_file_that_is_none_is_wrong_use(chatapp: Run, tmp_path: Path) -> None:
    path = tmp_path / "t.json"
    for content, sentence in (
        (b"{oops", "is not valid JSON"),
        (b"\xff\xfe\xfd", "is not UTF-8"),
        (b"[" * 100_000, "is nested too deep"),
        (b"[NaN]", "NaN is no number"),
        (b'[{"name": "f", "description": "\\ud800"}]', "holds half a character"),
        (json.dumps([{"name": "a b"}]).encode(), "[0].name must be"),
    ):
        path.write_bytes(content)
        done = chatapp("ask", "--tools", str(path), "hi")
        assert done.returncode == 2
        assert sentence in " ".join(done.stderr.split())
        assert "Traceback" not in done.stderr
