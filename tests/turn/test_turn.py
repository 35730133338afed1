"""One answer from beginning to end, with a real store and a real engine process."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from chatapp.conversation import Message
from chatapp.engine.client import EngineClient
from chatapp.engine.protocol import Delta, LoadOptions
from chatapp.errors import ContextOverflowError, EngineDiedError, EngineError
from chatapp.parts import parts_of
from chatapp.sampling import SamplingParams
from chatapp.store import Store
from chatapp.store.rows import MessageRow
from chatapp.turn import Turn, chat_messages
from tests.turn.asking import answer, say

PARAMS = SamplingParams(temperature=0, max_tokens=12)


async def test_an_answer_is_stored_with_how_it_was_made(store: Store, llama: EngineClient) -> None:
    conversation_id, message_id = say(store, "hello")
    turn = Turn(store, llama, params=PARAMS)
    finished = await answer(turn, conversation_id, message_id)
    row = store.get_message(turn.message_id)
    assert row.status == "complete"
    assert row.content == finished.choices[0].text
    assert list(row.tokens) == finished.choices[0].tokens
    assert row.generation
    assert row.generation.finish_reason == finished.choices[0].finish_reason
    assert row.generation.prompt_tokens == finished.usage.prompt_tokens
    assert llama.model
    assert row.generation.fingerprint == llama.model.fingerprint


async def test_the_second_turn_reuses_the_first(store: Store, llama: EngineClient) -> None:
    conversation_id, message_id = say(store, "hello " * 350)
    first = await answer(Turn(store, llama, params=PARAMS), conversation_id, message_id)
    _, message_id = say(store, "more", conversation_id)
    second = await answer(Turn(store, llama, params=PARAMS), conversation_id, message_id)
    n_answer = len(first.choices[0].tokens)
    assert second.usage.reused_tokens == first.usage.prompt_tokens + n_answer - 1
    assert second.usage.prompt_tokens - second.usage.reused_tokens < 40


async def test_resuming_goes_on_from_the_exact_token(store: Store, llama: EngineClient) -> None:
    long = SamplingParams(temperature=0, max_tokens=40)
    conversation_id, message_id = say(store, "go")
    whole = (await answer(Turn(store, llama, params=long), conversation_id, message_id)).choices[0]
    short = Turn(store, llama, params=PARAMS)
    await answer(short, conversation_id, message_id)
    rest = SamplingParams(temperature=0, max_tokens=28)
    turn = Turn(store, llama, params=rest)
    async for _event in turn.resume(short.message_id):
        pass
    row = store.get_message(short.message_id)
    assert list(row.tokens) == whole.tokens
    assert row.content == whole.text
    assert row.status == "complete"


async def test_a_model_that_added_nothing_does_not_cost_the_exact_tokens(
    store: Store, llama: EngineClient, echo: EngineClient
) -> None:
    conversation_id, message_id = say(store, "go")
    begun = Turn(store, llama, params=PARAMS)
    await answer(begun, conversation_id, message_id)
    other = Turn(store, echo, params=SamplingParams())
    other.stop()  # before its first word
    async for _event in other.resume(begun.message_id):
        pass
    assert len(store.get_message(begun.message_id).generations) == 2
    turn = Turn(store, llama, params=PARAMS)
    async for _event in turn.resume(begun.message_id):
        pass
    tokens = store.get_message(begun.message_id).tokens
    n_added = turn.state.usage.completion_tokens
    assert n_added
    assert len(tokens) == len(begun.state.tokens) + n_added
    assert tokens[: len(begun.state.tokens)] == begun.state.tokens


async def test_a_model_that_added_words_ends_the_exact_tokens(
    store: Store, llama: EngineClient, echo: EngineClient
) -> None:
    conversation_id, message_id = say(store, "/words 40")
    begun = Turn(store, llama, params=PARAMS)
    await answer(begun, conversation_id, message_id)
    async for _event in Turn(store, echo, params=SamplingParams()).resume(begun.message_id):
        pass
    before = store.get_message(begun.message_id)
    assert len(before.content) > len(begun.state.text)
    async for _event in Turn(store, llama, params=PARAMS).resume(begun.message_id):
        pass
    after = store.get_message(begun.message_id)
    assert len(after.content) > len(before.content)
    assert after.tokens == begun.state.tokens


async def test_stop_keeps_the_text(store: Store, echo: EngineClient) -> None:
    conversation_id, message_id = say(store, "/words 400\n/delay 2")
    turn = Turn(store, echo, params=SamplingParams())
    async for event in turn.answer(conversation_id, message_id):
        if isinstance(event, Delta) and len(turn.state.text) > 40:
            turn.stop()
    row = store.get_message(turn.message_id)
    assert row.status == "stopped"
    assert row.content == turn.state.text
    assert 40 < len(row.content) < 400


@pytest.mark.parametrize("early", [True, False])
async def test_a_thought_can_be_ended(store: Store, echo: EngineClient, *, early: bool) -> None:
    conversation_id, message_id = say(store, "/think 100000\n/delay 1\n/words 2")
    turn = Turn(store, echo, params=SamplingParams())
    if early:
        turn.answer_now()
    async for event in turn.answer(conversation_id, message_id):
        if isinstance(event, Delta) and event.kind == "reasoning":
            turn.answer_now()
    row = store.get_message(turn.message_id)
    assert (row.status, row.content) == ("complete", "word1 word2")
    assert early or turn.state.reasoning.startswith("thou")
    assert turn.state.usage.reasoning_tokens > 0


async def test_listening_no_longer_stops_and_keeps(store: Store, echo: EngineClient) -> None:
    conversation_id, message_id = say(store, "/words 400\n/delay 2")
    turn = Turn(store, echo, params=SamplingParams())
    events = turn.answer(conversation_id, message_id)
    async for event in events:
        if isinstance(event, Delta) and len(turn.state.text) > 20:
            break
    await events.aclose()
    row = store.get_message(turn.message_id)
    assert (row.status, row.content) == ("stopped", turn.state.text)


async def test_a_dead_engine_leaves_the_answer_interrupted(
    store: Store, echo: EngineClient
) -> None:
    conversation_id, message_id = say(store, "word word word word /die\n/die")
    turn = Turn(store, echo, params=SamplingParams())
    with pytest.raises(EngineDiedError):
        await answer(turn, conversation_id, message_id)
    row = store.get_message(turn.message_id)
    assert row.status == "interrupted"
    assert row.content
    assert row.generation
    assert "ended by itself" in row.generation.error
    _, message_id = say(store, "again", conversation_id)
    again = Turn(store, echo, params=SamplingParams())
    assert (await answer(again, conversation_id, message_id)).choices[0].text == "again"


async def test_a_failed_request_is_marked(store: Store, echo: EngineClient) -> None:
    conversation_id, message_id = say(store, "/fail")
    turn = Turn(store, echo, params=SamplingParams())
    with pytest.raises(EngineError):
        await answer(turn, conversation_id, message_id)
    assert store.get_message(turn.message_id).status == "failed"


async def test_overflow_loses_nothing(store: Store, llama: EngineClient) -> None:
    conversation_id, message_id = say(store, "x" * 9000)
    with pytest.raises(ContextOverflowError):
        await answer(Turn(store, llama, params=PARAMS), conversation_id, message_id)
    assert store.get_message(message_id).content == "x" * 9000


WRITER = """
import asyncio, sys
from pathlib import Path
from chatapp.conversation import Message
from chatapp.engine.client import EngineClient
from chatapp.engine.protocol import Delta, LoadOptions
from chatapp.parts import parts_of
from chatapp.sampling import SamplingParams
from chatapp.store import Store
from chatapp.turn import Turn, chat_messages

async def main():
    store = Store.open(Path(sys.argv[1]))
    client = EngineClient(backend="echo")
    await client.load(LoadOptions(path="echo"))
    conversation = store.create_conversation("x")
    user = store.add_message(conversation, Message.of("user", "/words 4000\\n/delay 5"), None).id
    turn = Turn(store, client, params=SamplingParams())
    async for event in turn.answer(conversation, user):
        if isinstance(event, Delta):
            print(len(turn.state.text), flush=True)

asyncio.run(main())
"""


async def test_killing_the_ui_process_loses_at_most_half_a_second(tmp_path: Path) -> None:
    """The text that was there half a second before the kill must be in the store afterwards; on a
    busy machine, where nothing is on time, of one of several kills."""
    for number in range(6):
        path = tmp_path / f"killed{number}.db"
        due = kill_writer(path)
        with Store.open(path) as store:
            [message_id] = store.recover()
            row = store.get_message(message_id)
            assert row.status == "interrupted"
            assert due > 0
            assert len(row.tokens) == len(row.content)
            await goes_on_with(store, row)
        if len(row.content) >= due:
            return
    raise AssertionError(f"{len(row.content)} of {due} characters are there")


def kill_writer(path: Path) -> int:
    """Kill a process that writes an answer; how long it was half a second before."""
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True
    )
    assert writer.stdout
    seen: list[tuple[float, int]] = []
    while not seen or seen[-1][0] - seen[0][0] < 1.6:
        seen.append((time.monotonic(), int(writer.stdout.readline())))
    killed_at = time.monotonic()
    os.kill(writer.pid, signal.SIGKILL)
    writer.wait()
    return max(length for at, length in seen if killed_at - at >= 0.5)


async def goes_on_with(store: Store, row: MessageRow) -> None:
    client = EngineClient(backend="echo")
    await client.load(LoadOptions(path="echo"))
    turn = Turn(store, client, params=SamplingParams(max_tokens=400))
    async for _event in turn.resume(row.id):
        pass
    await client.stop()
    continued = store.get_message(row.id).content
    expected = " ".join(f"word{i}" for i in range(1, 4001))
    assert continued == expected[: len(row.content) + 400]


async def listen(events: AsyncIterator[object]) -> None:
    async for _event in events:
        pass


@pytest.mark.parametrize("goes_on", [False, True])
async def test_wherever_its_task_is_cancelled_no_answer_stays_streaming(
    store: Store, echo: EngineClient, goes_on: bool
) -> None:
    for turns_of_the_loop in range(0, 60, 2):
        conversation, message = say(store, "/words 40\n/delay 1")
        if goes_on:
            begun = Turn(store, echo, params=SamplingParams(max_tokens=8))
            await answer(begun, conversation, message)
        turn = Turn(store, echo, params=SamplingParams())
        events = turn.resume(begun.message_id) if goes_on else turn.answer(conversation, message)
        task = asyncio.create_task(listen(events))
        for _ in range(turns_of_the_loop):
            await asyncio.sleep(0.0002)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        async with asyncio.timeout(60):  # its end may still be on its way to the disk
            while store.get_path(conversation)[-1].status == "streaming":
                await asyncio.sleep(0.01)


async def test_an_answer_whose_task_is_cancelled_twice_keeps_its_text(
    store: Store, echo: EngineClient
) -> None:
    conversation, message = say(store, "/words 400\n/delay 1")
    turn = Turn(store, echo, params=SamplingParams())
    task = asyncio.create_task(listen(turn.answer(conversation, message)))
    while len(turn.state.text) < 20:
        await asyncio.sleep(0.001)
    task.cancel()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    async with asyncio.timeout(30):
        while store.get_message(turn.message_id).status == "streaming":
            await asyncio.sleep(0.01)
    row = store.get_message(turn.message_id)
    assert (row.status, row.content) == ("stopped", turn.state.text)


async def test_words_written_by_hand_are_text_until_a_model_goes_on_with_them(
    store: Store, llama: EngineClient
) -> None:
    assert llama.model
    fingerprint = llama.model.fingerprint
    conversation_id, message_id = say(store, "go")
    begun = Turn(store, llama, params=PARAMS)
    await answer(begun, conversation_id, message_id)
    edited = store.branches.edit(begun.message_id, parts_of("The answer by hand is"))
    (_, told) = chat_messages(store.get_path(conversation_id), "", fingerprint)
    assert (told.parts, told.tokens) == (edited.parts, [])
    turn = Turn(store, llama, params=PARAMS)
    async for _event in turn.resume(edited.id):
        pass
    row = store.get_message(edited.id)
    assert row.content.startswith("The answer by hand is")
    assert len(row.content) > len("The answer by hand is")
    (_, told) = chat_messages(store.get_path(conversation_id), "", fingerprint)
    assert told.tokens == list(row.tokens)
    assert bytes(row.tokens[:21]).decode() == "The answer by hand is", "its tokens are bytes"
    _, message_id = say(store, "more", conversation_id)
    await answer(Turn(store, llama, params=PARAMS), conversation_id, message_id)


async def test_a_forked_branch_is_answered_with_its_tokens(
    store: Store, llama: EngineClient
) -> None:
    assert llama.model
    conversation_id, message_id = say(store, "go")
    turn = Turn(store, llama, params=PARAMS)
    await answer(turn, conversation_id, message_id)
    head = Message.of("system", "earlier turns in short")
    store.branches.fork(conversation_id, turn.message_id, message_id, head)
    path = store.get_path(conversation_id)
    told = chat_messages(path, "", llama.model.fingerprint)
    assert [message.role for message in told] == ["system", "user", "assistant"]
    assert told[-1].tokens == list(store.get_message(turn.message_id).tokens) != []
