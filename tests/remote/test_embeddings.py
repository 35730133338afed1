"""Embeddings by a server, and what a stranger may answer in their place."""

import json

import pytest

from chatapp.engine.client import EngineClient
from chatapp.engine.embedding import Embed, Embedded
from chatapp.engine.protocol import LoadOptions
from chatapp.errors import ChatAppError, UsageError
from tests.remote.answers import Asking, says
from tests.remote.conftest import Name, Script


def answer(*rows: object, **more: object) -> bytes:
    return json.dumps({"object": "list", "data": rows} | more).encode()


def row(index: int, *numbers: float) -> dict[str, object]:
    return {"object": "embedding", "index": index, "embedding": numbers}


def embed(lab: Asking, *texts: str, normalize: bool = True) -> Embedded:
    return lab.backend.embed(Embed(request_id="e", texts=list(texts), normalize=normalize))


def test_texts_are_sent_a_few_at_a_time_and_vectors_put_in_order(
    lab: Asking, script: Script
) -> None:
    texts = [f"text {number}" for number in range(20)]
    for n in (16, 4):
        rows = [row(index, 3, 4, index) for index in reversed(range(n))]
        script.answers.append(says(200, answer(*rows, usage={"prompt_tokens": n})))
    found = embed(lab, *texts, normalize=False)
    assert [vector[2] for vector in found.vectors] == [*range(16), *range(4)]
    assert (found.total_tokens, found.tokens) == (20, [])
    path, _, body = script.requests[-1]
    assert path == "/v1/embeddings"
    assert json.loads(body) == {"model": "m", "input": texts[16:], "encoding_format": "float"}
    script.answers.append(says(200, answer(row(0, 3, 4))))
    assert embed(lab, "a").vectors == [[0.6, 0.8]]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b'{"data": [{"index": 0, "embedding": [1e999]}]}',
        answer(row(0, 1)),
        answer(row(0, 1), row(0, 2)),
        answer(row(0, 1), row(1, 1, 2)),
        answer(row(0), row(1)),
        answer(row(0, 1), row(1, 2), row(1, 3)),
        answer(row(0, 1), {"index": 1, "embedding": "AAAA"}),
        b"[" * 100_000,
    ],
)
def test_what_is_no_answer_is_refused(lab: Asking, script: Script, body: bytes) -> None:
    script.answers.append(says(200, body))
    with pytest.raises(ChatAppError, match="does not answer as"):
        embed(lab, "a", "b")


async def test_the_engine_s_process_asks_the_server(
    client: EngineClient, script: Script, name: Name
) -> None:
    name("lab", script.url)
    script.answers.append(says(200, answer(row(0, 0, 2))))
    model = await client.load(LoadOptions(path="remote:lab", embed="auto"))
    assert model.pooling == "server"
    assert (await client.embed(Embed(texts=["a"]))).vectors == [[0, 1]]


def test_a_server_s_refusal_is_passed_on_and_pooling_is_its_own_business(
    lab: Asking, script: Script
) -> None:
    script.answers.append(says(400, b'{"error": {"message": "no embeddings here"}}'))
    with pytest.raises(UsageError, match="no embeddings here"):
        embed(lab, "a")
    with pytest.raises(UsageError, match="pools tokens as it likes"):
        lab.backend.load(LoadOptions(path="remote:lab", embed="mean"), lambda _: None)
