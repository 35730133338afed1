"""Log-probabilities: of the model's own distribution, whatever the samplers do to it."""

import math
from collections.abc import AsyncIterator
from pathlib import Path

import llama_cpp.llama_cpp as C  # noqa: N812  (a C library)
import numpy as np
import pytest

from chatapp.engine.client import EngineClient
from chatapp.engine.llama import native
from chatapp.engine.llama.logprobs import describe_token
from chatapp.engine.llama.vocab import Vocab
from chatapp.engine.protocol import Choice, Finished, Generate, LoadOptions
from chatapp.errors import UsageError
from chatapp.sampling import SamplingParams


@pytest.fixture
async def engine(tiny_model: Path) -> AsyncIterator[EngineClient]:
    client = EngineClient()
    await client.load(LoadOptions(path=str(tiny_model)))
    yield client
    await client.stop()


async def complete(engine: EngineClient, logprobs: int, **params: object) -> list[Choice]:
    n = int(params.pop("n", 1))  # type: ignore[call-overload]
    request = Generate(
        request_id="a",
        prompt="Once upon a time",
        n=n,
        logprobs=logprobs,
        params=SamplingParams(max_tokens=6, **params),  # type: ignore[arg-type]
    )
    events = [event async for event in engine.generate(request)]
    assert isinstance(events[-1], Finished)
    return events[-1].choices


def reference(path: Path, tokens: list[int]) -> np.ndarray:
    """Log-softmax behind every token, by llama.cpp alone. Shape (len(tokens), n_vocab)."""
    native.start()
    model = C.llama_model_load_from_file(bytes(path), native.model_params())
    params = C.llama_context_default_params()
    params.n_ctx = params.n_batch = params.n_outputs_max = 64
    context = C.llama_init_from_model(model, params)
    n_vocab = C.llama_vocab_n_tokens(C.llama_model_get_vocab(model))
    batch = C.llama_batch_init(64, 0, 1)
    batch.n_tokens = len(tokens)
    for row, token in enumerate(tokens):
        batch.token[row], batch.pos[row], batch.logits[row] = token, row, True
        batch.n_seq_id[row], batch.seq_id[row][0] = 1, 0
    assert C.llama_decode(context, batch) == 0
    flat = np.ctypeslib.as_array(C.llama_get_logits(context), shape=(len(tokens), n_vocab))
    logits = flat.astype(np.float64)
    C.llama_batch_free(batch)
    C.llama_free(context)
    C.llama_model_free(model)
    return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))


async def test_they_are_the_models_own(engine: EngineClient, tiny_model: Path) -> None:
    hot = {"temperature": 2.0, "top_k": 5, "repeat_penalty": 1.5, "no_repeat_ngram_size": 2}
    (choice,) = await complete(engine, 20, seed=1, **hot)
    n = len(choice.logprobs)
    assert n == len(choice.tokens) + (choice.finish_reason == "stop")  # the end is a token too
    ids = token_ids(tiny_model, "Once upon a time")
    rows = reference(tiny_model, ids + choice.tokens)[len(ids) - 1 :][:n]
    for row, token, said in zip(rows, choice.tokens, choice.logprobs, strict=False):
        assert said.logprob == pytest.approx(row[token], abs=2e-3)
    for row, said in zip(rows, choice.logprobs, strict=True):
        likeliest = np.sort(row)[::-1][:20]
        assert [one.logprob for one in said.top] == pytest.approx(list(likeliest), abs=2e-3)
        assert sum(math.exp(one.logprob) for one in said.top) < 1


def token_ids(path: Path, text: str) -> list[int]:
    native.start()
    params = native.model_params()
    params.vocab_only = True
    model = C.llama_model_load_from_file(bytes(path), params)
    ids = Vocab(model).tokenize(text, special=False)
    C.llama_model_free(model)
    return ids


async def test_the_greedy_token_is_the_likeliest(engine: EngineClient) -> None:
    choices = await complete(engine, 3, temperature=0.0, n=2)
    for choice in choices:
        assert [len(one.top) for one in choice.logprobs] == [3] * 6
        assert all(one.token == one.top[0].token for one in choice.logprobs)
    (silent,) = await complete(engine, 0, temperature=0.0)
    assert silent.logprobs == []
    assert silent.tokens == choices[0].tokens


async def test_no_more_than_twenty(engine: EngineClient) -> None:
    with pytest.raises(UsageError, match="at most 20"):
        await complete(engine, 21)


def test_a_probability_of_zero_is_a_number(tiny_model: Path) -> None:
    native.start()
    params = native.model_params()
    params.vocab_only = True
    model = C.llama_model_load_from_file(bytes(tiny_model), params)
    logits = np.array([0.0, -np.inf, -np.inf], dtype=np.float32)
    said = describe_token(logits, 0, 3, Vocab(model))
    C.llama_model_free(model)
    assert said.logprob == 0
    assert [one.logprob for one in said.top] == [0, -9999, -9999]
