"""A real model through the engine: its name, a system prompt, many turns, a continuation."""

import itertools
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from chatapp.engine.client import EngineClient
from chatapp.engine.protocol import ChatMessage, Choice, Finished, Generate, LoadOptions
from chatapp.sampling import SamplingParams

_ids = itertools.count()


@pytest.fixture
async def engine(smollm2: Path) -> AsyncIterator[EngineClient]:
    client = EngineClient()
    await client.load(LoadOptions(path=str(smollm2), n_ctx=2048))
    yield client
    await client.stop()


def _request(messages: list[ChatMessage], max_tokens: int = 24, **more: object) -> Generate:
    params = SamplingParams(temperature=0, max_tokens=max_tokens)
    return Generate(request_id=f"s{next(_ids)}", messages=messages, params=params, **more)  # type: ignore[arg-type]


async def _answer(engine: EngineClient, request: Generate) -> Choice:
    async for event in engine.generate(request):
        if isinstance(event, Finished):
            return event.choices[0]
    raise AssertionError("it never ended")


async def test_it_is_called_by_its_file(engine: EngineClient) -> None:
    """Its `general.name` is that of a moment of its training."""
    assert engine.model is not None
    assert engine.model.name == "SmolLM2-135M-Instruct.Q4_1"
    assert engine.model.chat_template


async def test_twenty_turns_then_cut_and_continued(engine: EngineClient) -> None:
    messages = [ChatMessage.of("system", "You answer in one short sentence.")]
    for turn in range(20):
        messages.append(ChatMessage.of("user", f"Say something about the number {turn}."))
        choice = await _answer(engine, _request(messages))
        assert choice.text.strip()
        assert "<|im_" not in choice.text
        messages.append(ChatMessage.of("assistant", choice.text, choice.tokens))
    messages.append(ChatMessage.of("user", "Tell me a story about a fox."))
    part = await _answer(engine, _request(messages, 10))
    assert part.finish_reason == "length"
    rest = _request(messages, 30, prefix=part.parts, prefix_tokens=part.tokens)
    # not compared with the answer in one piece: a near tie may go the other way in another batch
    whole = await _answer(engine, rest)
    assert list(whole.tokens[: len(part.tokens)]) == list(part.tokens)
    assert len(whole.tokens) > len(part.tokens)
    assert whole.text.startswith(part.text)
