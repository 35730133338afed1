"""Embeddings: a tiny BERT through the engine's process, against transformers' own."""

import asyncio
import math
from collections.abc import AsyncIterator
from pathlib import Path

import llama_cpp.llama_cpp as lib
import pytest
import torch
import transformers as hf

from chatapp.cli.embedding import cosine
from chatapp.engine.client import EngineClient
from chatapp.engine.embedding import Embed
from chatapp.engine.llama.embedding import EmbeddingModel
from chatapp.engine.llama.placing import NoRoomError
from chatapp.engine.protocol import ChatMessage, Generate, LoadOptions
from chatapp.errors import ModelError, UsageError
from convert.pipeline import convert
from tests.convert.test_bert import write

TEXTS = ["a cat sleeps", "copper is dear", "x", "the ship " * 128]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("bert") / "bert", "Bert", "Model")


@pytest.fixture(scope="module")
def bert(folder: Path) -> Path:
    convert(folder, folder.parent / "bert.gguf", ftype="F32", parity="off")
    return folder.parent / "bert.gguf"


@pytest.fixture
async def engine() -> AsyncIterator[EngineClient]:
    client = EngineClient()
    yield client
    await client.stop()


async def test_vectors_are_those_of_transformers_one_by_one_and_in_batches(
    engine: EngineClient, bert: Path, folder: Path
) -> None:
    model = await engine.load(LoadOptions(path=str(bert), embed="auto"))
    assert (model.pooling, model.arch, model.notices) == ("mean", "bert", [])
    together = await engine.embed(Embed(texts=TEXTS * 20))
    pairs = zip(together.vectors, together.vectors[len(TEXTS) :], strict=False)
    assert min(cosine(*pair) for pair in pairs) > 0.9999
    network = hf.AutoModel.from_pretrained(folder).eval()
    tokenizer = hf.PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"))
    for text, vector, n_tokens in zip(TEXTS, together.vectors, together.tokens, strict=False):
        ids = tokenizer(text).input_ids
        with torch.inference_mode():
            own = network(torch.tensor([ids])).last_hidden_state[0].mean(dim=0).tolist()
        assert n_tokens == len(ids)
        assert cosine(own, vector) > 0.9999
        assert math.hypot(*vector) == pytest.approx(1)
    raw = await engine.embed(Embed(texts=TEXTS[:1], normalize=False))
    assert math.hypot(*raw.vectors[0]) != pytest.approx(1, abs=0.1)
    assert cosine(raw.vectors[0], together.vectors[0]) > 0.99999


async def test_a_text_that_is_too_long_is_cut_and_keeps_its_end_mark(
    engine: EngineClient, bert: Path
) -> None:
    await engine.load(LoadOptions(path=str(bert), embed="cls", n_ctx=8))
    found = await engine.embed(Embed(texts=["cat " * 3, "cat " * 60]))
    assert found.tokens == [8, 8]
    assert found.cut == [0, 114]
    assert found.vectors[0] == pytest.approx(found.vectors[1], abs=1e-6)
    many = await engine.embed(Embed(texts=["cat " * 60] * 70))
    assert min(cosine(found.vectors[0], vector) for vector in many.vectors) > 0.9999


async def test_each_kind_of_model_is_refused_for_the_other_s_work(
    engine: EngineClient, bert: Path, folder: Path, tiny_model: Path
) -> None:
    for source in (bert, folder):  # a folder is converted first, and is what the user knows
        with pytest.raises(ModelError, match="makes embeddings") as caught:
            await engine.load(LoadOptions(path=str(source)))
        assert caught.value.message.startswith(f"{source} cannot chat")
        assert f"chatapp embed --model {source} " in caught.value.hint
    with pytest.raises(ModelError, match="writes text") as caught:
        await engine.load(LoadOptions(path=str(tiny_model), embed="auto"))
    assert "--pooling last" in caught.value.hint
    model = await engine.load(LoadOptions(path=str(tiny_model), embed="last"))
    assert model.pooling == "last"
    a, b = (await engine.embed(Embed(texts=["once", "twice"]))).vectors
    assert cosine(a, b) < 0.999
    with pytest.raises(Exception, match="No model is loaded"):
        async for _ in engine.generate(Generate(messages=[ChatMessage.of("user", "hi")])):
            pass
    await engine.load(LoadOptions(path=str(tiny_model)))
    with pytest.raises(UsageError, match="not loaded to make embeddings"):
        await engine.embed(Embed(texts=["a"]))


async def test_a_text_of_which_the_model_reads_nothing_is_refused(
    engine: EngineClient, bert: Path
) -> None:
    await engine.load(LoadOptions(path=str(bert), embed="auto"))
    for text in ("", " \n"):
        with pytest.raises(UsageError, match="nothing to embed"):
            await engine.embed(Embed(texts=["a cat", text]))


async def test_several_askers_each_get_theirs(engine: EngineClient, bert: Path) -> None:
    await engine.load(LoadOptions(path=str(bert), embed="auto"))
    both = await asyncio.gather(*(engine.embed(Embed(texts=[text])) for text in TEXTS[:2]))
    alone = await engine.embed(Embed(texts=TEXTS[:2]))
    for one, vector in zip(both, alone.vectors, strict=True):
        assert cosine(one.vectors[0], vector) > 0.9999


def test_texts_are_read_again_after_a_context_that_had_no_room(
    bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = EmbeddingModel(LoadOptions(path=str(bert), embed="auto", n_ctx=600), lambda _: None)
    try:
        expected = model.embed(Embed(texts=TEXTS[:1])).vectors
        with monkeypatch.context() as patch:
            patch.setattr(lib, "llama_init_from_model", lambda *_: 0)
            with pytest.raises(NoRoomError, match="No context"):
                model.embed(Embed(texts=["cat " * 590]))
        assert model.embed(Embed(texts=TEXTS[:1])).vectors[0] == pytest.approx(expected[0])
        many = model.embed(Embed(texts=TEXTS[:2] * 40))
        assert len(many.vectors) == 80
    finally:
        model.close()
