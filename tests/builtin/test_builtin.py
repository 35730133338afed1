"""The model that ships: it loads, fits its promises, and answers what a newcomer asks first."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from chatapp.engine.client import EngineClient
from chatapp.engine.protocol import ChatMessage, Finished, Generate, LoadOptions
from chatapp.gguf.model_info import read_model_info
from chatapp.paths import BUILTIN_MODEL
from chatapp.sampling import SamplingParams

GREEDY = SamplingParams(temperature=0)
NEWCOMER = [
    ("Who are you?", ("chatapp",)),
    ("What can you do?", ("chat", "answer")),
    ("How do I quit?", ("Ctrl+Q",)),
    ("How do I use a bigger model?", ("--model", "Ctrl+O")),
    ("Where are my chats saved?", ("history.db", "SQLite")),
    ("Do you need the internet?", ("offline", "No")),
    ("How do I stop an answer?", ("Esc",)),
    ("How do I start a new chat?", ("Ctrl+N",)),
    ("How do I search my old chats?", ("Ctrl+F",)),
    ("Are your answers right?", ("mistakes", "wrong", "small")),
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def engine() -> AsyncIterator[EngineClient]:
    client = EngineClient()
    await client.load(LoadOptions(path=str(BUILTIN_MODEL), n_ctx=5000))
    yield client
    await client.stop()


async def ask(engine: EngineClient, *messages: ChatMessage) -> Finished:
    request = Generate(request_id=messages[-1].content, messages=list(messages), params=GREEDY)
    async for event in engine.generate(request):
        if isinstance(event, Finished):
            return event
    raise AssertionError("the engine did not finish")


def test_it_is_small_and_says_what_it_is() -> None:
    info = read_model_info(BUILTIN_MODEL)
    assert BUILTIN_MODEL.stat().st_size <= 20_000_000
    assert info.arch == "gpt2"
    assert info.chat_template
    assert info.license


@pytest.mark.asyncio(loop_scope="module")
async def test_its_context_is_clamped_and_that_is_said(engine: EngineClient) -> None:
    assert engine.model
    assert engine.model.n_ctx == engine.model.n_ctx_train == 1024
    assert "not 5000" in engine.model.notices[0]
    assert engine.model.chat_template
    assert engine.model.sampling == {"temperature": 0.2}


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(("question", "words"), NEWCOMER, ids=[q for q, _words in NEWCOMER])
async def test_a_newcomers_question(
    engine: EngineClient, question: str, words: tuple[str, ...]
) -> None:
    choice = (await ask(engine, ChatMessage.of("user", question))).choices[0]
    assert any(word in choice.text for word in words), choice.text
    assert choice.finish_reason == "stop"
    assert choice.text.strip()[-1] in ".!?)"


@pytest.mark.asyncio(loop_scope="module")
async def test_a_conversation_fills_the_context_and_is_then_refused_not_aborted(
    engine: EngineClient,
) -> None:
    """Its position table has 1,024 rows; one more would abort llama.cpp."""
    almost = await ask(engine, ChatMessage.of("user", "a " * 1000))
    assert almost.n_past <= 1024
    with pytest.raises(Exception, match="context holds 1024"):
        await ask(engine, ChatMessage.of("user", "a " * 1100))
    assert (await ask(engine, ChatMessage.of("user", "hello"))).choices[0].text
