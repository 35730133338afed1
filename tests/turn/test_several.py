"""Several answers written at once: each has what a single one has."""

import os
import signal
from typing import Any

import pytest

from chatapp.engine.client import EngineClient
from chatapp.errors import EngineDiedError, StoreError
from chatapp.sampling import SamplingParams
from chatapp.store import Store
from chatapp.turn import Turn
from tests.turn.asking import answer, say


async def test_alternatives_are_siblings(store: Store, llama: EngineClient) -> None:
    conversation_id, message_id = say(store, "hello")
    turn = Turn(store, llama, params=SamplingParams(seed=1, max_tokens=8), n=3)
    finished = await answer(turn, conversation_id, message_id)
    rows = [store.get_message(i) for i in turn.message_ids]
    assert [row.content for row in rows] == [choice.text for choice in finished.choices]
    assert [(row.sibling_index, row.sibling_count) for row in rows] == [(0, 3), (1, 3), (2, 3)]
    assert store.get_conversation(conversation_id).active_leaf_id == turn.message_id


async def test_what_alternatives_said_before_the_engine_died_is_kept(
    store: Store, echo: EngineClient
) -> None:
    conversation_id, message_id = say(store, "/delay 1\n/words 60")
    turn = Turn(store, echo, params=SamplingParams(), n=2)
    with pytest.raises(EngineDiedError):
        async for _event in turn.answer(conversation_id, message_id):
            if len(turn.states[1].text) > 20 and echo.pid:
                os.kill(echo.pid, signal.SIGKILL)
    row = store.get_message(turn.message_ids[1])
    assert (row.status, row.content) == ("interrupted", turn.states[1].text)
    assert store.get_message(turn.message_id).content == turn.states[0].text
    assert store.get_conversation(conversation_id).active_leaf_id == turn.message_id


async def test_a_stop_keeps_what_each_of_several_has_said(store: Store, echo: EngineClient) -> None:
    conversation_id, message_id = say(store, "/words 4000\n/delay 1")
    turn = Turn(store, echo, params=SamplingParams(), n=3)
    async for _event in turn.answer(conversation_id, message_id):
        if all(len(state.text) > 20 for state in turn.states):
            turn.stop()
    rows = [store.get_message(one) for one in turn.message_ids]
    assert [row.status for row in rows] == ["stopped"] * 3
    assert [row.content for row in rows] == [state.text for state in turn.states]
    assert all(len(row.tokens) == len(row.content) > 20 for row in rows)


async def test_each_of_several_is_journalled_while_it_is_written(
    store: Store, echo: EngineClient
) -> None:
    conversation_id, message_id = say(store, "/words 4000\n/delay 1")
    turn = Turn(store, echo, params=SamplingParams(), n=2)
    in_store = ["", ""]
    async for _event in turn.answer(conversation_id, message_id):
        in_store = [store.get_message(one).content for one in turn.message_ids]
        if all(in_store):
            turn.stop()
    assert all(len(said) > 4 for said in in_store)


async def test_one_of_several_that_never_began_leaves_nothing_behind(
    store: Store, echo: EngineClient
) -> None:
    conversation_id, message_id = say(store, "hello")
    turn = Turn(store, echo, params=SamplingParams(), n=3)
    turn.stop()
    await answer(turn, conversation_id, message_id)
    assert turn.row
    assert turn.message_ids == [turn.row.id, 0, 0]
    assert (turn.row.sibling_index, turn.row.sibling_count) == (0, 1)
    assert turn.row == store.get_message(turn.row.id)
    assert store.siblings(turn.row.id) == [turn.row.id]


async def test_the_one_that_is_shown_stays_though_it_says_nothing(
    store: Store, echo: EngineClient
) -> None:
    conversation_id, message_id = say(store, "/prefill 30000\nhello")
    turn = Turn(store, echo, params=SamplingParams(), n=3)
    async for _event in turn.answer(conversation_id, message_id):
        if turn.kept == 0:
            turn.keep(turn.message_ids[2])
            store.select_leaf(conversation_id, turn.message_id)
            turn.stop()
    [path, shown] = store.get_path(conversation_id)
    assert path.id == message_id
    assert turn.message_ids == [0, 0, shown.id]
    assert turn.row == shown


async def test_the_ends_that_the_store_did_not_take_can_be_written_later(
    store: Store, echo: EngineClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    finish, refused = store.finish_answer, []

    def refuse_once(message_id: int, *args: Any, **kwargs: Any) -> None:
        if message_id not in refused:
            refused.append(message_id)
            raise StoreError("The disk is full.")
        finish(message_id, *args, **kwargs)

    monkeypatch.setattr(store, "finish_answer", refuse_once)
    conversation_id, message_id = say(store, "hello")
    turn = Turn(store, echo, params=SamplingParams(), n=2)
    with pytest.raises(StoreError):
        await answer(turn, conversation_id, message_id)
    assert turn.unsaved
    assert refused == turn.message_ids
    turn.save()
    assert not turn.unsaved
    rows = [store.get_message(one) for one in turn.message_ids]
    assert [(row.status, row.content) for row in rows] == [("complete", "hello")] * 2
