"""Calls of tools in an answer: every one has an id, and it is the same wherever it is read."""

from chatapp.answer import AnswerState, apply
from chatapp.engine.protocol import Choice, Delta, Finished, Timings, Usage
from chatapp.parts import Parts, Text, ToolCall


def _delta(part: int, text: str, call_id: str = "", name: str = "f", at: int = 0) -> Delta:
    return Delta(
        request_id="r", part=part, kind="tool_call", call_id=call_id, name=name, text=text, at=at
    )


def _finished(parts: Parts) -> Finished:
    choice = Choice(parts=parts, finish_reason="tool_calls")
    return Finished(request_id="r", choices=[choice], usage=Usage(), timings=Timings())


def test_a_call_without_an_id_gets_one_and_keeps_it() -> None:
    state = AnswerState(salt="a")
    for delta in (_delta(0, "{"), _delta(0, "}", at=1), _delta(1, "{}"), _delta(1, "{}")):
        state = apply(state, delta)
    told = state.calls
    assert [call.arguments for call in told] == ["{}", "{}"]
    assert all(len(call.id) == 9 and call.id.isalnum() for call in told)
    assert told[0].id != told[1].id
    bare = (ToolCall("", "f", "{}"), ToolCall("", "f", "{}"))
    assert apply(state, _finished(bare)).parts == told
    assert apply(apply(state, _finished(bare)), _finished(told)).parts == told  # once more
    assert apply(AnswerState(salt="b"), _finished(bare)).calls[0].id != told[0].id


def test_an_id_of_the_models_own_stays_and_is_there_once() -> None:
    parts = (Text("x"), ToolCall("c", "f", "{}"), ToolCall("c", "g", "{}"), ToolCall("d", "h", ""))
    state = AnswerState()
    for place, part in enumerate(parts[1:], 1):
        assert isinstance(part, ToolCall)
        if place == 1:
            state = apply(state, Delta(request_id="r", text="x"))
        state = apply(state, _delta(place, part.arguments, part.id, part.name))
    ids = [call.id for call in state.calls]
    assert (ids[0], ids[2]) == ("c", "d")
    assert ids[1] not in ("c", "")
    assert apply(state, _finished(parts)).parts == state.parts
