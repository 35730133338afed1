"""Requests on their way to a real engine process: stopped, lost, deaf, too long, unreadable."""

import asyncio
import os
import shlex
import signal
import sys
from collections.abc import AsyncIterator

import msgspec
import pytest

from chatapp.engine import client as client_module
from chatapp.engine import process as process_module
from chatapp.engine.client import EngineClient, GenerateRequest
from chatapp.engine.process import worker_command
from chatapp.engine.protocol import (
    MAX_LINE_BYTES,
    PROTOCOL_VERSION,
    ChatMessage,
    Delta,
    Failed,
    Finished,
    Generate,
    LoadOptions,
)
from chatapp.errors import EngineDiedError, UsageError

SHORT_S = 0.6


@pytest.fixture
async def engine() -> AsyncIterator[EngineClient]:
    client = EngineClient(backend="echo")
    await client.load(LoadOptions(path="echo"))
    yield client
    await client.stop()


def ask(text: str) -> Generate:
    return Generate(messages=[ChatMessage.of("user", text)])


async def run(request: GenerateRequest, stop_after: int = 10**9) -> Finished:
    """Every event of a request; it is cancelled after so many deltas."""
    seen = 0
    async for event in request.events():
        if isinstance(event, Delta):
            seen += 1
            if seen == stop_after:
                request.cancel()
        if isinstance(event, Finished):
            return event
    raise AssertionError("it never finished")


async def test_no_two_requests_have_one_id(engine: EngineClient) -> None:
    assert len({engine.request(ask("x")).id for _ in range(100)}) == 100


async def test_a_stopped_request_does_not_end_the_next_one(
    engine: EngineClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "_CANCEL_TIMEOUT_S", SHORT_S)
    pid = engine.pid
    stopped = await run(engine.request(ask("/delay 5\n/words 400")), stop_after=3)
    assert stopped.choices[0].finish_reason == "cancelled"
    again = ask("/delay 20\n/words 60")
    done = await run(engine.request(again))  # longer than the deadline of the first
    assert done.choices[0].finish_reason == "stop"
    assert engine.pid == pid


async def test_a_stop_before_the_engine_has_heard_of_it(engine: EngineClient) -> None:
    request = engine.request(ask("/words 400"))
    request.cancel()
    done = await run(request)
    assert (done.choices[0].parts, done.choices[0].finish_reason) == ((), "cancelled")
    assert done.request_id == request.id


async def test_a_stop_while_the_engine_is_started_again(engine: EngineClient) -> None:
    assert engine.pid
    os.kill(engine.pid, signal.SIGKILL)
    while engine.pid:
        await asyncio.sleep(0.01)
    request = engine.request(ask("/words 400"))
    task = asyncio.create_task(run(request))
    await asyncio.sleep(0)
    request.cancel()
    assert (await task).choices[0].parts == ()


async def test_a_stop_of_a_request_that_waits_for_its_turn(engine: EngineClient) -> None:
    first, second = engine.request(ask("/delay 5\n/words 60")), engine.request(ask("/words 9"))
    running = asyncio.create_task(run(first))
    waiting = asyncio.create_task(run(second))
    await asyncio.sleep(0.1)
    second.cancel()
    done = await running
    assert done.choices[0].finish_reason == "stop"
    assert (await waiting).choices[0].finish_reason == "cancelled"
    assert (await waiting).choices[0].parts == ()


async def hurried(request: GenerateRequest) -> Finished:
    """Every event of a request that is told to answer at its first thought."""
    async for event in request.events():
        if isinstance(event, Delta) and event.kind == "reasoning":
            request.answer_now()
            request.answer_now()  # twice is as good as once
        if isinstance(event, Finished):
            return event
    raise AssertionError("it never finished")


async def test_a_thought_is_ended_and_the_answer_comes(engine: EngineClient) -> None:
    request = engine.request(ask("/think 100000\n/delay 1\n/words 3"))
    finished = await asyncio.wait_for(hurried(request), 60)
    (choice,) = finished.choices
    assert choice.text == "word1 word2 word3"
    assert choice.reasoning.startswith("thou")
    assert choice.finish_reason == "stop"
    usage = finished.usage
    assert 0 < usage.reasoning_tokens < usage.completion_tokens
    request.answer_now()  # it has ended: nothing happens, and the next one thinks
    thinking = await run(engine.request(ask("/think 5\n/delay 0\n/words 1")))
    thought = thinking.choices[0].reasoning.strip()
    assert thought == "thought1 thought2 thought3 thought4 thought5"


async def test_a_thought_is_ended_before_the_engine_has_heard_of_it(engine: EngineClient) -> None:
    first = engine.request(ask("/words 40\n/delay 20"))
    second = engine.request(ask("/think 100000\n/delay 1\n/words 2"))
    third = engine.request(ask("/think 100000\n/delay 1\n/words 2"))
    third.answer_now()
    running = asyncio.create_task(run(first))
    waiting = [asyncio.create_task(run(one)) for one in (second, third)]
    await asyncio.sleep(0.1)
    second.answer_now()
    first.cancel()
    await running
    for finished in await asyncio.wait_for(asyncio.gather(*waiting), 60):
        assert finished.choices[0].text == "word1 word2"
        assert len(finished.choices[0].reasoning) < 100


@pytest.mark.parametrize("listens", [True, False])
async def test_a_deaf_engine_is_killed_whether_or_not_anybody_listens(
    engine: EngineClient, monkeypatch: pytest.MonkeyPatch, listens: bool
) -> None:
    monkeypatch.setattr(client_module, "_CANCEL_TIMEOUT_S", SHORT_S)
    pid = engine.pid
    assert pid
    request = engine.request(ask("/delay 20\n/words 400"))
    events = request.events()
    async for event in events:
        if isinstance(event, Delta):
            break
    os.kill(pid, signal.SIGSTOP)
    if listens:
        waiting = asyncio.create_task(anext(events))  # type: ignore[arg-type]
        await asyncio.sleep(0)
        request.cancel()
        with pytest.raises(EngineDiedError, match="did not stop"):
            while True:
                await waiting
                waiting = asyncio.create_task(anext(events))  # type: ignore[arg-type]
    else:
        await events.aclose()
    while engine.pid:
        await asyncio.sleep(0.02)
    assert (await run(engine.request(ask("hello")))).choices[0].text == "hello"


async def test_a_request_that_waits_is_cancelled_at_once_whatever_the_other_does(
    engine: EngineClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "_CANCEL_TIMEOUT_S", 0.3)
    pid = engine.pid
    first, second = engine.request(ask("/delay 900\nslow")), engine.request(ask("/words 9"))
    running = asyncio.create_task(run(first))
    waiting = asyncio.create_task(run(second))
    await asyncio.sleep(0.1)
    second.cancel()
    assert (await waiting).choices[0].finish_reason == "cancelled"
    assert not running.done()
    assert (await running).choices[0].finish_reason == "stop"
    assert engine.pid == pid


async def test_a_message_longer_than_a_line_is_refused_and_costs_nothing(
    engine: EngineClient,
) -> None:
    pid = engine.pid
    with pytest.raises(UsageError, match="64 MiB at most"):
        await run(engine.request(ask("x" * (MAX_LINE_BYTES + 1))))
    assert (await run(engine.request(ask("hello")))).choices[0].text == "hello"
    assert engine.pid == pid
    assert engine.state == "idle"


def talk(*lines: bytes) -> "asyncio.Task[list[Failed]]":
    """What a worker answers to raw lines."""

    async def answers() -> list[Failed]:
        worker = await asyncio.create_subprocess_exec(
            *worker_command("echo"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        assert worker.stdin
        worker.stdin.writelines([*lines, b'{"type":"shutdown"}\n'])
        assert worker.stdout
        said = await worker.stdout.read()
        await worker.wait()
        return [
            msgspec.json.decode(line, type=Failed)
            for line in said.splitlines()
            if b'"type":"failed"' in line
        ]

    return asyncio.create_task(answers())


@pytest.mark.parametrize(
    ("line", "ends"),
    [
        (b'{"type":"generate","request_id":"generate-7","n":"two"}\n', "generate-7"),
        (b'{"type":"generate","request_id":"generate-7","params":{"top_p":nan}}\n', "generate-7"),
        (b'{"type":"dance","request_id":"generate-7"}\n', "generate-7"),
        (b'{"type":"generate","request_id":"generate-7","messages":[{"role"\n', "generate-7"),
        (b"nonsense\n", ""),
        (b"\xff\xfe\n", ""),
    ],
)
async def test_what_cannot_be_read_ends_the_request_it_names(line: bytes, ends: str) -> None:
    failed = await talk(line)
    assert [(one.request_id, one.kind) for one in failed] == [(ends, "usage")]
    assert "cannot read" in failed[0].message


async def test_a_line_that_is_too_long_ends_its_request_and_the_next_is_read() -> None:
    head = b'{"type":"generate","request_id":"generate-1","prompt":"'
    long = head + b"x" * (MAX_LINE_BYTES + 100) + b'"}\n'
    failed = await talk(long, b'{"type":"load","request_id":"load-2"}\n')
    assert [one.request_id for one in failed] == ["generate-1", "load-2"]
    assert "longer than 64 MiB" in failed[0].message


BABBLER = """
import json, os, sys
def say(line): os.write(1, line + b"\\n")
say(json.dumps({"type": "ready", "protocol_version": VERSION, "backend": "x",
                "backend_version": "1", "pid": os.getpid()}).encode())
for line in sys.stdin.buffer:
    command = json.loads(line)
    if command["type"] == "load":
        model = {name: 0 for name in ("size_bytes", "n_params", "n_ctx", "n_ctx_train", "n_vocab",
                                      "n_layers", "gpu_layers")}
        model |= {"path": "x", "name": "x", "arch": "x"}
        say(json.dumps({"type": "loaded", "request_id": command["request_id"],
                        "model": model}).encode())
    elif command["type"] == "generate":
        WHAT
    else:
        break
""".replace("VERSION", str(PROTOCOL_VERSION))


@pytest.mark.parametrize(
    ("what", "told"),
    [
        ("say(b'what is this')", "said what is no event"),
        ("say(b'\\xff\\xfe')", "said what is no event"),
        ('say(b\'{"type": "delta"}\')', "said what is no event"),
        ("say(b' ' * (65 << 20))", "more than 64 MiB"),
        (
            'say(b\'{"type":"failed","request_id":"","kind":"usage","message":"Half a line."}\')',
            "could not read a command: Half a line",
        ),
        ("sys.exit(3)", "exit code 3"),
    ],
)
async def test_an_engine_that_babbles_is_ended_and_everybody_is_told(
    monkeypatch: pytest.MonkeyPatch, what: str, told: str
) -> None:
    """Nobody can tell any more what belongs to which request: none of them may wait for ever."""
    command = [sys.executable, "-c", BABBLER.replace("WHAT", what)]
    monkeypatch.setattr(process_module, "worker_command", lambda *_arguments: command)
    client = EngineClient()
    await client.load(LoadOptions(path="x"))
    with pytest.raises(EngineDiedError, match=told):
        await asyncio.wait_for(run(client.request(ask("hi"))), 60)
    assert client.state == "died"
    await client.stop()


STUBBORN = """import time
        told = {"request_id": command["request_id"], "done": 1, "total": 2, "reused": 0,
                "elapsed_s": 0, "type": "prefill_progress"}
        for _ in range(12):
            say(json.dumps(told).encode())
            time.sleep(0.1)
        say(json.dumps({"type": "finished", "request_id": command["request_id"],
                        "choices": [{"finish_reason": "cancelled"}], "usage": {},
                        "timings": {}}).encode())"""


async def test_an_engine_that_still_speaks_is_not_deaf(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that takes its time with a cancel, and says so, is left alone."""
    monkeypatch.setattr(client_module, "_CANCEL_TIMEOUT_S", 0.5)
    command = [sys.executable, "-c", BABBLER.replace("WHAT", STUBBORN)]
    monkeypatch.setattr(process_module, "worker_command", lambda *_arguments: command)
    client = EngineClient()
    await client.load(LoadOptions(path="x"))
    request = client.request(ask("hi"))
    async for event in request.events():
        request.cancel()
        if isinstance(event, Finished):
            assert event.choices[0].finish_reason == "cancelled"
    assert client.state == "idle"
    await client.stop()


async def test_a_stop_while_the_process_is_made_leaves_none() -> None:
    for turns_of_the_loop in range(1, 6):
        client = EngineClient(backend="echo")
        loading = asyncio.create_task(client.load(LoadOptions(path="echo")))
        for _ in range(turns_of_the_loop):
            await asyncio.sleep(0)
        await client.unload()
        with pytest.raises(EngineDiedError):
            await loading
        assert (client.pid, client.model, client.options) == (None, None, None)


async def test_the_late_end_of_a_former_engine_is_not_that_of_the_present_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A process that gives much memory back ends slowly; meanwhile the user changes his mind."""
    slow = shlex.join(worker_command("echo"))
    client = EngineClient(backend="echo")
    with monkeypatch.context() as patched:
        patched.setattr(
            process_module, "worker_command", lambda _: ["sh", "-c", f"{slow}; sleep 0.4"]
        )
        await client.load(LoadOptions(path="first"))
    second = asyncio.create_task(client.load(LoadOptions(path="second")))
    await asyncio.sleep(0.03)
    second.cancel()
    model = await client.load(LoadOptions(path="third"))
    done = await run(client.request(ask("/delay 20\n/words 40")))
    assert (model.path, done.choices[0].finish_reason) == ("third", "stop")
    assert client.model == model
    await client.stop()
