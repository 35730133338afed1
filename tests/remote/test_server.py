"""The same conversation here and through llama.cpp's own server; a server that goes away."""

from pathlib import Path

import pytest

from chatapp.engine.client import EngineClient
from chatapp.engine.protocol import ChatMessage, Delta, Finished, Generate, LoadOptions
from chatapp.errors import ConnectionLostError
from chatapp.guide.wording import NAME, NOTHING
from chatapp.paths import BUILTIN_MODEL
from chatapp.sampling import SamplingParams
from tests.remote.conftest import Name
from tests.remote.peer import Server

QUESTIONS = [
    f"{NAME}\n```\n{NOTHING['en']}\n```\n\n{asked}"
    for asked in ("Thank you very much!", "Tell me a joke.", "Who painted the Mona Lisa?")
]
"""As the built-in model is asked: of each answer it is sure, so that no rounding decides."""


async def _ask(client: EngineClient, request: Generate) -> Finished:
    events = [event async for event in client.generate(request)]
    assert isinstance(events[-1], Finished)
    return events[-1]


async def _converse(client: EngineClient, path: str, temperature: float, seed: int) -> list[str]:
    await client.load(LoadOptions(path=path, n_ctx=1024, n_threads=1))
    params = SamplingParams(temperature=temperature, top_k=60, top_p=0.97, seed=seed, max_tokens=40)
    messages: list[ChatMessage] = []
    for number, question in enumerate(QUESTIONS):
        messages.append(ChatMessage.of("user", question))
        request = Generate(request_id=f"{path} {number}", messages=messages, params=params)
        answer = (await _ask(client, request)).choices[0].text
        messages.append(ChatMessage.of("assistant", answer))
    return [message.content for message in messages if message.role == "assistant"]


async def test_the_same_text_here_and_there(
    client: EngineClient, server: Server, name: Name
) -> None:
    """Greedily: what is drawn differs where the rounding of two ways to read a prompt decides."""
    name("lab", server.url)
    here = await _converse(client, str(BUILTIN_MODEL), 0, seed=1)
    there = await _converse(client, "remote:lab", 0, seed=1)
    assert there == here
    assert all(here)
    assert client.model is not None
    assert client.model.host == f"127.0.0.1:{server.port}"


async def test_a_seed_draws_the_same_there_again(
    client: EngineClient, server: Server, name: Name
) -> None:
    name("lab", server.url)
    said = [await _converse(client, "remote:lab", 1.2, seed) for seed in (1, 1, 2)]
    assert said[0] == said[1] != said[2]


async def test_alternatives_and_length(client: EngineClient, server: Server, name: Name) -> None:
    name("lab", server.url)
    await client.load(LoadOptions(path="remote:lab"))
    params = SamplingParams(temperature=0, max_tokens=3, stop=("zzz",), seed=5)
    request = Generate(
        request_id="a", messages=[ChatMessage.of("user", "Hello")], params=params, n=2
    )
    done = await _ask(client, request)
    assert [choice.finish_reason for choice in done.choices] == ["length", "length"]
    assert [choice.seed for choice in done.choices] == [5, 6]
    assert done.usage.completion_tokens == 6
    assert done.choices[0].text == done.choices[1].text != ""


async def test_log_probabilities_are_the_same(
    client: EngineClient, tiny_model: Path, name: Name
) -> None:
    server = Server(tiny_model, "--n_ctx", "1024", "--logits_all", "true")
    try:
        name("lab", server.url)
        found = []
        for path in (str(tiny_model), "remote:lab"):
            await client.load(LoadOptions(path=path, n_ctx=1024, n_threads=1))
            request = Generate(
                request_id=path,
                prompt="Once upon a time",
                logprobs=4,
                params=SamplingParams(temperature=0, max_tokens=5, repeat_penalty=1.0),
            )
            found.append((await _ask(client, request)).choices[0])
        here, there = found
        assert here.text == there.text
        assert len(here.logprobs) == len(there.logprobs) == 5
        for ours, theirs in zip(here.logprobs, there.logprobs, strict=True):
            assert ours.logprob == pytest.approx(theirs.logprob, abs=1e-2)
            told = [one.logprob for one in theirs.top][:4]
            assert [one.logprob for one in ours.top] == pytest.approx(told, abs=1e-2)
    finally:
        server.kill()


async def test_killed_in_the_middle_and_there_again(
    client: EngineClient, tiny_model: Path, name: Name
) -> None:
    server = Server(tiny_model, "--n_ctx", "16384")
    try:
        name("lab", server.url)
        await client.load(LoadOptions(path="remote:lab"))
        endless = "root ::= [a-z] root"
        params = SamplingParams(max_tokens=16_000, seed=1, grammar=endless)
        request = Generate(request_id="a", messages=[ChatMessage.of("user", "Hi")], params=params)
        said = ""
        with pytest.raises(ConnectionLostError, match=r"lost|middle"):
            async for event in client.generate(request):
                if isinstance(event, Delta):
                    said += event.text
                    if len(said) > 50:
                        server.kill()
        assert len(said) > 50
        again = Generate(
            request_id="b",
            messages=[ChatMessage.of("user", "Hi")],
            params=SamplingParams(max_tokens=8, seed=1),
        )
        with pytest.raises(ConnectionLostError, match="cannot be reached"):
            await _ask(client, again)
        server.start()
        assert (await _ask(client, again)).usage.completion_tokens > 0
    finally:
        server.kill()
