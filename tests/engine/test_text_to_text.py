"""T5 in the engine: its encoder reads the last message, its decoder answers as transformers'."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import sentencepiece
import torch
import transformers as hf
from msgspec import structs

from chatapp.engine.backend import Cancellation
from chatapp.engine.client import EngineClient
from chatapp.engine.protocol import (
    ChatMessage,
    Choice,
    Delta,
    Finished,
    Generate,
    LoadOptions,
    Measure,
)
from chatapp.engine.pytorch.backend import TorchBackend
from chatapp.errors import ContextOverflowError, ModelError, UsageError
from chatapp.sampling import SamplingParams
from convert.pipeline import convert
from tests.convert.test_t5 import N_PIECES, write

ASKED = ["The river had risen in the night.", "old house", "she said nothing of it to anyone"]
GREEDY = SamplingParams(temperature=0, max_tokens=12)
EOS = 1


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("t5") / "t5", "FLAN-T5", vocab_size=N_PIECES)


@pytest.fixture(scope="module")
def path(folder: Path) -> Path:
    convert(folder, folder.parent / "t5.gguf", ftype="F32", parity="off")
    return folder.parent / "t5.gguf"


@pytest.fixture
async def engine(path: Path) -> AsyncIterator[EngineClient]:
    client = EngineClient()
    await client.load(LoadOptions(path=str(path), n_parallel=2))
    yield client
    await client.stop()


def asking(*texts: str, params: SamplingParams = GREEDY, n: int = 1) -> Generate:
    roles = ("user", "assistant")
    messages = [ChatMessage.of(roles[at % 2], text) for at, text in enumerate(texts)]
    return Generate(messages=messages, params=params, n=n)


async def answers(engine: EngineClient, request: Generate) -> list[Choice]:
    events = [event async for event in engine.generate(request)]
    last = events[-1]
    assert isinstance(last, Finished)
    for choice in last.choices:
        told = [e for e in events if isinstance(e, Delta) and e.index == choice.index]
        text = ""
        for delta in told:
            text = text[: delta.at] + delta.text
        assert text == choice.text
    return last.choices


async def test_it_says_what_transformers_says(engine: EngineClient, folder: Path) -> None:
    assert engine.model is not None
    assert "last message alone" in " ".join(engine.model.notices)
    network = hf.T5ForConditionalGeneration.from_pretrained(folder).eval()
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(folder / "spiece.model"))
    for text in (*ASKED, *ASKED[:1]):
        ids = torch.tensor([[*pieces.encode(text), EOS]])
        own = network.generate(ids, max_new_tokens=12, do_sample=False)[0, 1:].tolist()
        own = own[: own.index(EOS)] if EOS in own else own
        # what was said before is not read
        (said,) = await answers(engine, asking("copper is dear", "so it is", text))
        assert said.tokens == own
        assert said.text == pieces.decode(own)
        counted = await engine.measure(Measure(messages=[ChatMessage.of("user", text)]))
        assert counted.total == ids.shape[1]


async def test_pytorch_reads_the_same_text(engine: EngineClient, folder: Path) -> None:
    backend = TorchBackend()
    model = backend.load(LoadOptions(path=str(folder)), lambda _: None)
    assert engine.model is not None
    assert [n for n in model.notices if "last message alone" in n] == model.notices
    chat = asking("copper is dear", "so it is", ASKED[1])
    chat = structs.replace(chat, messages=[ChatMessage.of("system", "Be brief."), *chat.messages])
    raw = Generate(prompt=ASKED[2], params=GREEDY)
    for request in (chat, raw):
        (said,) = await answers(engine, request)
        ours = backend.generate(request, lambda _: None, Cancellation())
        assert ours.choices[0].tokens == said.tokens
    counted = [Measure(messages=chat.messages), Measure(messages=asking(ASKED[1]).messages)]
    assert {backend.measure(one).total for one in counted} == {
        (await engine.measure(counted[0])).total
    }
    with pytest.raises(UsageError, match="no use for a chat template"):
        backend.load(LoadOptions(path=str(folder), chat_template="{{ messages }}"), lambda _: None)


async def test_alternatives_stops_and_limits_are_as_in_any_model(engine: EngineClient) -> None:
    drawn = SamplingParams(temperature=1.5, top_k=0, top_p=1, min_p=0, seed=3, max_tokens=10)
    five = await answers(engine, asking(ASKED[0], params=drawn, n=5))
    assert len({tuple(one.tokens) for one in five}) == 5
    assert await answers(engine, asking(ASKED[0], params=drawn, n=5)) == five
    (fourth,) = await answers(engine, asking(ASKED[0], params=replace(drawn, seed=6)))
    assert fourth.tokens == five[3].tokens
    (whole,) = await answers(engine, asking(ASKED[0]))
    assert whole.finish_reason == "length"
    (first,) = await answers(engine, asking(ASKED[0], params=replace(GREEDY, max_tokens=5)))
    rest = structs.replace(
        asking(ASKED[0], params=replace(GREEDY, max_tokens=7)),
        prefix=first.parts,
        prefix_tokens=first.tokens,
    )
    events = [event async for event in engine.generate(rest)]
    assert isinstance(events[-1], Finished)
    assert events[-1].choices[0].tokens == whole.tokens
    assert events[-1].choices[0].text == whole.text
    once = replace(GREEDY, no_repeat_ngram_size=1)
    (varied,) = await answers(engine, asking(ASKED[0], params=once))
    assert len(set(varied.tokens)) == len(varied.tokens)
    word = whole.text.split()[1]
    (cut,) = await answers(engine, asking(ASKED[0], params=replace(GREEDY, stop=(word,))))
    assert cut.finish_reason == "stop"
    assert word not in cut.text
    bound = replace(GREEDY, grammar='root ::= "y" | "n"')
    (one,) = await answers(engine, asking(ASKED[0], params=bound))
    assert one.text in ("y", "n")


async def test_what_it_cannot_do_is_refused_by_name(engine: EngineClient, path: Path) -> None:
    with pytest.raises(ContextOverflowError, match="holds 512"):
        await answers(engine, asking("risen " * 600))
    shaped = replace(GREEDY, json_schema='{"enum": ["red", "blue"]}')
    with pytest.raises(UsageError, match="cannot be held to a JSON schema"):
        await answers(engine, asking(ASKED[0], params=shaped))
    with pytest.raises(UsageError, match="no use for a chat template"):
        await engine.load(LoadOptions(path=str(path), chat_template="{{ messages }}"))
    with pytest.raises(ModelError, match="makes a text of a text"):
        await engine.load(LoadOptions(path=str(path), embed="mean"))
    model = await engine.load(LoadOptions(path=str(path), kv_type="q8_0"))
    assert "no q8_0" in " ".join(model.notices)
    assert (await answers(engine, asking(ASKED[0])))[0].tokens
