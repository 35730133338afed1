"""Calls of tools on the wire: asked for, answered in pieces of every kind, and sent back."""

import json
from collections.abc import Sequence

import pytest

from chatapp.engine.protocol import ChatMessage, Generate
from chatapp.parts import Reasoning, Text, ToolCall, ToolResult
from tests.remote.answers import END, Asking, adds, delta, says, streams
from tests.remote.conftest import Script

TOOL = {
    "type": "function",
    "function": {"name": "look_up", "parameters": {"type": "object", "properties": {}}},
}
ARGUMENTS = '{"word": "Grüße"}'
LOOK = ("c1", "look_up", ARGUMENTS)
COUNT = ("c2", "count", '{"to": 3}')


def _request(*messages: ChatMessage) -> Generate:
    return Generate(messages=list(messages) or [ChatMessage.of("user", "Hi")], tools=[TOOL])


def _call(
    id: str | None = None,  # noqa: A002
    name: str | None = None,
    arguments: object = None,
    **more: object,
) -> dict[str, object]:
    function = {"name": name, "arguments": arguments}
    given = {key: value for key, value in function.items() if value is not None}
    return more | ({"id": id} if id is not None else {}) | {"function": given}


def _calls(*calls: dict[str, object]) -> dict[str, object]:
    return adds(tool_calls=list(calls))


@pytest.mark.parametrize(
    "chunks",
    [
        pytest.param(
            [
                _calls(_call("c1", "look_up", "", index=0, type="function")),
                *(_calls(_call(arguments=piece, index=0)) for piece in ARGUMENTS),
                _calls(_call("c2", "count", "", index=1)),
                _calls(_call(arguments='{"to"', index=1)),
                _calls(_call(arguments=": 3}", index=1)),
            ],
            id="OpenAI's own",
        ),
        pytest.param([_calls(_call(*LOOK, index=0)), _calls(_call(*COUNT, index=1))], id="whole"),
        pytest.param([_calls(_call(*LOOK, index=0), _call(*COUNT, index=1))], id="both at once"),
        pytest.param([_calls(_call(*LOOK), _call(*COUNT))], id="no index"),
        pytest.param([_calls(_call(*LOOK)), _calls(_call(*COUNT))], id="no index, apart"),
        pytest.param(
            [
                _calls(_call("c1", "look_up", ARGUMENTS[:6])),
                _calls(_call(arguments=ARGUMENTS[6:])),
                _calls(_call("c2", "count", COUNT[2][:2])),
                _calls(_call("c2", arguments=COUNT[2][2:])),
            ],
            id="no index, in pieces",
        ),
        pytest.param(
            [_calls(_call(*LOOK, index=0)), _calls(_call(*COUNT, index=0))], id="one index for all"
        ),
        pytest.param(
            [
                _calls(_call("c1", "look_up", ARGUMENTS[:9], index=0)),
                _calls(_call("c1", "look_up", ARGUMENTS[9:], index=0)),
                _calls(_call("c2", "count", COUNT[2], index=1)),
                _calls(_call("c2", "count", "", index=1)),
            ],
            id="id and name in every piece",
        ),
        pytest.param(
            [
                _calls(_call("c1", "look", "", index=0), _call("c2", "count", "", index=1)),
                _calls(_call(name="_up", arguments=ARGUMENTS, index=0)),
                _calls(_call(arguments=COUNT[2], index=1)),
            ],
            id="a name in pieces, two at once",
        ),
        pytest.param(
            [
                _calls(
                    _call("c1", "look_up", {"word": "Grüße"}, index=0),
                    {"id": "c2", "name": "count", "arguments": {"to": 3}, "index": 1},
                )
            ],
            id="arguments as an object, no function",
        ),
        pytest.param(
            [{"choices": [{"message": {"tool_calls": [_call(*LOOK), _call(*COUNT)]}}]}],
            id="a message",
        ),
        pytest.param(
            [
                _calls(_call("c1", "look_up", ARGUMENTS[:5], index=0)),
                {"choices": [{"message": {"tool_calls": [_call(*LOOK), _call(*COUNT)]}}]},
            ],
            id="a message that repeats it",
        ),
    ],
)  # fmt: skip
@pytest.mark.parametrize("finish", ["tool_calls", "stop", "function_call", "tool_use"])
def test_calls_in_pieces_of_every_kind(
    lab: Asking, script: Script, chunks: Sequence[object], finish: str
) -> None:
    script.answers = [streams(*chunks, adds(finish))]
    state = lab.ask(_request())
    given = [json.loads(call.arguments) for call in state.parts if isinstance(call, ToolCall)]
    assert given == [{"word": "Grüße"}, {"to": 3}]
    assert [(call.id, call.name) for call in state.parts if isinstance(call, ToolCall)] == [
        ("c1", "look_up"),
        ("c2", "count"),
    ]
    assert len(state.parts) == 2
    assert state.finish_reason == "tool_calls"


def test_a_call_of_the_old_kind(lab: Asking, script: Script) -> None:
    script.answers = [
        streams(
            adds(function_call={"name": "look_up", "arguments": ""}),
            adds(function_call={"arguments": ARGUMENTS[:4]}),
            adds(function_call={"arguments": ARGUMENTS[4:]}),
            adds("function_call"),
        )
    ]
    state = lab.ask(_request())
    [call] = state.parts
    assert isinstance(call, ToolCall)
    assert (call.name, call.arguments) == ("look_up", ARGUMENTS)
    assert state.finish_reason == "tool_calls"


def test_calls_without_an_id_stay_apart(lab: Asking, script: Script) -> None:
    script.answers = [
        streams(_calls(_call("", "f", "{}", index=0)), _calls(_call("", "f", '{"a": 1}', index=0)))
    ]
    state = lab.ask(_request())
    assert [part.arguments for part in state.parts if isinstance(part, ToolCall)] == [
        "{}",
        '{"a": 1}',
    ]


def test_text_and_thoughts_around_calls_keep_their_places(lab: Asking, script: Script) -> None:
    script.answers = [
        streams(
            adds(reasoning_content="Hm."),
            delta("One moment. "),
            _calls(_call("c1", "look_up", "{", index=0)),
            delta("And"),
            _calls(_call(arguments="}", index=0)),
            delta(" done."),
            END,
        )
    ]
    assert lab.ask(_request()).parts == (
        Reasoning("Hm."),
        Text("One moment. "),
        ToolCall("c1", "look_up", "{}"),
        Text("And done."),
    )


def test_a_call_that_is_cut_is_kept_as_far_as_it_came(lab: Asking, script: Script) -> None:
    script.answers = [streams(_calls(_call("c1", "look_up", '{"wo', index=0)), adds("length"))]
    state = lab.ask(_request())
    assert state.parts == (ToolCall("c1", "look_up", '{"wo'),)
    assert state.finish_reason == "length"


def test_tools_are_sent_and_calls_are_sent_back(lab: Asking, script: Script) -> None:
    script.answers = [streams(delta("Done."), END)]
    call, half = ToolCall(*LOOK), ToolCall("c3", "count", '{"to')
    lab.ask(
        _request(
            ChatMessage.of("user", "Look it up."),
            ChatMessage("assistant", (Reasoning("Hm."), Text("Yes."), call)),
            ChatMessage("tool", (ToolResult("c1", (Text("found"),)),)),
            ChatMessage("assistant", (call, half, ToolCall(*COUNT))),
            ChatMessage.of("user", "And?"),
        )
    )
    body = json.loads(script.requests[-1][2])
    sent = {"id": "c1", "type": "function", "function": {"name": "look_up", "arguments": ARGUMENTS}}
    other = {"id": "c2", "type": "function", "function": {"name": "count", "arguments": COUNT[2]}}
    assert body["tools"] == [TOOL]
    assert body["messages"] == [
        {"role": "user", "content": "Look it up."},
        {"role": "assistant", "content": "Yes.", "tool_calls": [sent]},
        {"role": "tool", "tool_call_id": "c1", "content": "found"},
        {"role": "assistant", "content": 'count {"to', "tool_calls": [sent, other]},
        {"role": "tool", "tool_call_id": "c2", "content": "This call was not run."},
        {"role": "user", "content": "And?"},
    ]


def test_tools_that_are_refused_are_named(lab: Asking, script: Script) -> None:
    refusal = says(400, '{"error": {"message": "model m does not support tools"}}')
    script.answers = [refusal, refusal]
    with pytest.raises(Exception, match="does not take tools: model m") as raised:
        lab.ask(_request())
    assert "--tools" in str(raised.value)


WRITTEN = f'<tool_call>\n{{"name": "look_up", "arguments": {ARGUMENTS}}}\n</tool_call>'


@pytest.mark.parametrize("size", [1, 3, 7, 1000])
@pytest.mark.parametrize("before", ["", "One moment.\n", "<think>\nA word.\n</think>\n\n"])
def test_a_call_that_a_server_left_in_the_text(
    lab: Asking, script: Script, before: str, size: int
) -> None:
    text = before + WRITTEN
    script.answers = [
        streams(*(delta(text[at : at + size]) for at in range(0, len(text), size)), END)
    ]
    state = lab.ask(_request())
    *rest, call = state.parts
    assert isinstance(call, ToolCall)
    assert (call.name, json.loads(call.arguments)) == ("look_up", json.loads(ARGUMENTS))
    assert len(call.id) == 9
    assert state.finish_reason == "tool_calls"
    assert "tool_call" not in "".join(part.text for part in rest)  # type: ignore[union-attr]


def test_without_tools_it_is_text(lab: Asking, script: Script) -> None:
    script.answers = [streams(delta(WRITTEN), END)]
    state = lab.ask(Generate(messages=[ChatMessage.of("user", "How is one written?")]))
    assert (state.parts, state.finish_reason) == ((Text(WRITTEN),), "stop")


@pytest.mark.parametrize(
    ("chunks", "parts"),
    [
        pytest.param(
            [delta("Hm, "), delta("well.\n</thi"), delta("nk>\n\n"), delta("Yes.")],
            (Reasoning("Hm, well."), Text("Yes.")),
            id="the prompt opened the thought",
        ),
        pytest.param(
            [adds(reasoning_content="Hm."), delta("<think>Well.</think>\n\nYes.")],
            (Reasoning("Hm.Well."), Text("Yes.")),
            id="both ways",
        ),
        pytest.param(
            [adds(reasoning_content="Hm."), delta("\n</think>\n\nYes.")],
            (Reasoning("Hm."), Text("Yes.")),
            id="the end of a thought that was sent apart",
        ),
        pytest.param(
            [delta("Marks:"), adds(reasoning_content="Hm."), delta("<think>a</think>")],
            (Text("Marks:"), Reasoning("Hm."), Text("<think>a</think>")),
            id="behind words nothing begins",
        ),
        pytest.param(
            [delta("Marks:"), adds(reasoning_content="Hm."), delta("[THINK]a[/THINK]")],
            (Text("Marks:"), Reasoning("Hm."), Text("[THINK]a[/THINK]")),
            id="nor in another way",
        ),
    ],
)
def test_thoughts_in_the_text_beside_those_that_are_sent_apart(
    lab: Asking, script: Script, chunks: Sequence[object], parts: object
) -> None:
    script.answers = [streams(*chunks, END)]
    assert lab.ask(Generate(messages=[ChatMessage.of("user", "Hi")])).parts == parts
