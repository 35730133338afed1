"""What a prompt takes of the context, counted without computing it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from chatapp.engine.client import EngineClient
from chatapp.engine.protocol import ChatMessage, Finished, Generate, LoadOptions, Measure
from chatapp.parts import File, Reasoning, Text
from chatapp.paths import BUILTIN_MODEL
from chatapp.sampling import SamplingParams

ONE = SamplingParams(temperature=0, max_tokens=1)


@pytest.fixture(params=["builtin", "tiny"])
async def client(request: pytest.FixtureRequest, tiny_model: Path) -> AsyncIterator[EngineClient]:
    client = EngineClient()
    path = BUILTIN_MODEL if request.param == "builtin" else tiny_model
    await client.load(LoadOptions(path=str(path)))
    yield client
    await client.stop()


async def ask(client: EngineClient, messages: list[ChatMessage]) -> Finished:
    last = [event async for event in client.generate(Generate(messages=messages, params=ONE))][-1]
    assert isinstance(last, Finished)
    return last


async def test_the_count_is_that_of_the_prompt_that_is_read_then(client: EngineClient) -> None:
    messages = [
        ChatMessage.of("system", "Answer in one word."),
        ChatMessage("user", (File("a.txt", "one two three " * 9), Text("What is in the file?"))),
        ChatMessage.of("assistant", "Numbers <|im_end|> ."),
        ChatMessage.of("user", "Größer, 北京, 🎉?"),
    ]
    counted = await client.measure(Measure(messages=messages))
    finished = await ask(client, messages)
    assert counted.total == finished.usage.prompt_tokens
    assert [len(parts) for parts in counted.parts] == [1, 2, 1, 1]
    assert sum(map(sum, counted.parts)) <= counted.total
    assert not counted.is_estimate
    assert counted.parts[1][0] > counted.parts[1][1] > 0


async def test_thoughts_count_only_where_the_template_writes_them(client: EngineClient) -> None:
    def chat(*thought: Reasoning) -> list[ChatMessage]:
        return [
            ChatMessage.of("user", "hello"),
            ChatMessage("assistant", (*thought, Text("hi"))),
            ChatMessage.of("user", "and now?"),
        ]

    with_thought = await client.measure(Measure(messages=chat(Reasoning("long thought " * 50))))
    without = await client.measure(Measure(messages=chat()))
    assert with_thought.thoughts == with_thought.total - without.total
    assert with_thought.parts[1][0] == 0


async def test_a_count_waits_for_the_answer_that_is_written(client: EngineClient) -> None:
    messages = [ChatMessage.of("user", "Tell me a story.")]
    long = Generate(messages=messages, params=SamplingParams(temperature=0, max_tokens=30))
    events = client.generate(long)
    await anext(events)
    counted = await client.measure(Measure(messages=messages))
    rest = [event async for event in events]
    assert isinstance(rest[-1], Finished)
    assert rest[-1].usage.prompt_tokens == counted.total


async def test_the_scripted_engine_counts_what_it_reads_and_ends_where_its_context_does() -> None:
    client = EngineClient(backend="echo")
    await client.load(LoadOptions(path="echo", n_ctx=60))
    try:
        messages = [ChatMessage.of("user", "/delay 0\n/words 40")]
        counted = await client.measure(Measure(messages=messages))
        last = [event async for event in client.generate(Generate(messages=messages))][-1]
        assert isinstance(last, Finished)
        assert last.usage.prompt_tokens == counted.total
        assert last.choices[0].finish_reason == "length"
        assert last.n_past == 60
    finally:
        await client.stop()
