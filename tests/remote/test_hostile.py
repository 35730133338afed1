"""Servers that refuse, lie, hang or send rubbish."""

import asyncio
import json
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import msgspec
import pytest
from keyring.backend import KeyringBackend

from chatapp.engine.client import EngineClient
from chatapp.engine.protocol import (
    ChatMessage,
    Delta,
    Finished,
    Generate,
    LikelyToken,
    LoadOptions,
)
from chatapp.errors import (
    ChatAppError,
    ConnectionLostError,
    ContextOverflowError,
    EngineError,
    ModelError,
)
from chatapp.parts import parts_of
from chatapp.sampling import SamplingParams, parameters
from tests.remote.conftest import Name, Script

Answer = Callable[[BaseHTTPRequestHandler], None]
KEY = "sk-secret-0123456789"


def _says(status: int, body: bytes = b"", **headers: str) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def _streams(*lines: object, done: bool = True) -> Answer:
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    texts += ["[DONE]"] if done else []
    return _says(200, "".join(f"data: {text}\n\n" for text in texts).encode())


def _delta(text: str, **more: object) -> dict[str, object]:
    return {"choices": [{"delta": {"content": text}, **more}]}


def _request(**params: object) -> Generate:
    return Generate(
        request_id="a",
        messages=[ChatMessage.of("user", "Hi")],
        params=SamplingParams(**params),  # type: ignore[arg-type]
    )


async def _ask(client: EngineClient, request: Generate | None = None) -> Finished:
    events = [event async for event in client.generate(request or _request())]
    assert isinstance(events[-1], Finished)
    return events[-1]


@pytest.fixture
async def loaded(client: EngineClient, script: Script, name: Name) -> EngineClient:
    """An engine with the scripted server as its model."""
    name("lab", script.url)
    await client.load(LoadOptions(path="remote:lab"))
    return client


async def test_text_reasoning_and_usage(loaded: EngineClient, script: Script) -> None:
    usage = {"prompt_tokens": 9, "completion_tokens": 4}
    cached = {"prompt_tokens_details": {"cached_tokens": 5}}
    script.answers = [
        _streams(
            {"choices": [{"delta": {"role": "assistant", "content": ""}}]},
            {"choices": [{"delta": {"reasoning_content": "hm"}}]},
            _delta("你"),
            _delta("好 🙂"),
            _delta("", finish_reason="length"),
            {"choices": [], "usage": usage | cached},
        )
    ]
    done = await _ask(loaded)
    (choice,) = done.choices
    assert (choice.text, choice.reasoning, choice.finish_reason) == ("你好 🙂", "hm", "length")
    counts = done.usage
    assert (counts.prompt_tokens, counts.reused_tokens, counts.completion_tokens) == (9, 5, 4)


@pytest.mark.parametrize("count", [10**30, -1])
async def test_counts_that_are_none_are_not_kept(
    loaded: EngineClient, script: Script, count: int
) -> None:
    """Nor is the answer lost with them: no database takes an integer of a hundred bits."""
    details = {"prompt_tokens_details": {"cached_tokens": count}}
    usage = {"prompt_tokens": count, "completion_tokens": count} | details
    last = {"choices": [], "usage": usage}
    script.answers = [_streams(_delta("all of it", finish_reason="stop"), last)]
    done = await _ask(loaded)
    assert done.choices[0].text == "all of it"
    counts = done.usage
    assert (counts.prompt_tokens, counts.reused_tokens, counts.completion_tokens) == (0, 0, 1)


async def test_completion_of_text(loaded: EngineClient, script: Script) -> None:
    script.answers = [_streams({"choices": [{"text": " upon", "finish_reason": "length"}]})]
    request = Generate(request_id="c", prompt="Once", params=SamplingParams(max_tokens=1))
    assert (await _ask(loaded, request)).choices[0].text == " upon"
    path, _, body = script.requests[-1]
    assert path == "/v1/completions"
    assert json.loads(body)["prompt"] == "Once"


async def test_log_probabilities_of_chats(loaded: EngineClient, script: Script) -> None:
    top = [{"token": "Hi", "logprob": -0.1, "bytes": [72]}, {"token": "Ho", "logprob": -2.5}]
    one = {"token": "Hi", "logprob": -0.1, "top_logprobs": top}
    script.answers = [
        _streams(
            _delta("Hi", logprobs={"content": [one]}),
            _delta("!", logprobs={"content": [{"token": "!", "logprob": None}]}),
            _delta("", logprobs=None),
            _delta("", logprobs=[]),
            _delta("", logprobs={"content": 5}),
        )
    ]
    request = msgspec.structs.replace(_request(), logprobs=2)
    choice = (await _ask(loaded, request)).choices[0]
    assert choice.text == "Hi!"
    assert [said.token for said in choice.logprobs] == ["Hi"]
    assert choice.logprobs[0].top == [LikelyToken("Hi", -0.1), LikelyToken("Ho", -2.5)]
    asked = json.loads(script.requests[-1][2])
    assert (asked["logprobs"], asked["top_logprobs"]) == (True, 2)


async def test_half_a_character_is_not_gone_on_with(loaded: EngineClient, script: Script) -> None:
    script.answers = [_streams(_delta("é!", finish_reason="stop"))]
    messages = [ChatMessage.of("user", "Hi")]
    request = Generate(messages=messages, prefix=parts_of("caf\ufffd"))
    assert (await _ask(loaded, request)).choices[0].text == "café!"
    assert json.loads(script.requests[-1][2])["messages"][-1]["content"] == "caf"


async def test_an_answer_that_is_gone_on_with(loaded: EngineClient, script: Script) -> None:
    script.answers = [_streams(_delta(" world", finish_reason="stop"))]
    messages = [ChatMessage.of("user", "Hi")]
    request = Generate(request_id="d", messages=messages, prefix=parts_of("Hello"))
    assert (await _ask(loaded, request)).choices[0].text == "Hello world"
    sent = json.loads(script.requests[-1][2])
    assert sent["messages"][-1] == {"role": "assistant", "content": "Hello"}
    assert sent["continue_final_message"] is True


async def test_unknown_parameters_are_left_out_when_refused(
    loaded: EngineClient, script: Script
) -> None:
    refusal = _says(400, b'{"error": {"message": "Unrecognized argument: stream_options"}}')
    script.answers = [refusal, _streams(_delta("yes", finish_reason="stop"))]
    assert (await _ask(loaded, _request(temperature=0.5))).choices[0].text == "yes"
    first, second = (json.loads(body) for _, _, body in script.requests[1:])
    assert first["stream_options"] == {"include_usage": True}
    assert "stream_options" not in second
    assert second["temperature"] == 0.5
    script.answers = [_says(400, b"no"), _says(400, b"never")]
    with pytest.raises(ChatAppError, match="refused the request"):
        await _ask(loaded)


async def test_a_server_is_sent_what_was_asked_for_and_nothing_else(
    loaded: EngineClient, script: Script
) -> None:
    script.answers = [_streams(_delta("yes", finish_reason="stop"))] * 2
    await _ask(loaded, _request())
    names = {parameter.name for parameter in parameters()}
    sent = json.loads(script.requests[-1][2])
    assert names & sent.keys() <= {"seed", "max_tokens"}
    await _ask(loaded, _request(top_k=40, min_p=0.0, temperature=-1.0, samplers=("top_k",)))
    sent = json.loads(script.requests[-1][2])
    assert (sent["top_k"], sent["min_p"], sent["samplers"]) == (40, 0.0, ["top_k"])
    assert "temperature" not in sent
    # it was asked for, so it is not left out because a server does not know it
    script.answers = [_says(400, b"Unrecognized request argument: top_k")]
    with pytest.raises(ChatAppError, match="top_k"):
        await _ask(loaded, _request(top_k=40))


@pytest.mark.parametrize(
    ("answer", "error", "sentence"),
    [
        (_streams(_delta("so f"), done=False), ConnectionLostError, "in the middle"),
        (_streams("not json"), EngineError, "says: not json"),
        (_streams({"choices": 7}), EngineError, "does not answer as"),
        (_streams({"choices": [{"delta": {"content": 3}}]}), EngineError, "does not answer as"),
        (_streams({"error": {"message": "out of \x1b[31mmemory"}}), EngineError, "out of"),
        (_says(200, b"data: " + b"x" * (6 << 20)), EngineError, "more than 4 MB"),
        (_says(500, b"x" * (6 << 20)), EngineError, "more than 4 MB"),
        (_says(500, b"<html>"), EngineError, "status 500"),
        (_says(302, Location="http://127.0.0.1:1/"), EngineError, "sends us elsewhere"),
        (_says(404), EngineError, "usually ends in /v1"),
        (_says(401), EngineError, "CHATAPP_KEY_LAB"),
        (_says(429, b'{"detail": "slow down"}'), EngineError, "slow down"),
        (
            _says(400, b'{"error": {"message": "maximum context length is 8 tokens"}}'),
            ContextOverflowError,
            "maximum context length",
        ),
    ],
)
async def test_every_fault_is_one_sentence_and_the_engine_lives(
    loaded: EngineClient,
    script: Script,
    answer: Answer,
    error: type[ChatAppError],
    sentence: str,
) -> None:
    script.answers = [answer, _streams(_delta("still here"))]
    with pytest.raises(error) as raised:
        await _ask(loaded)
    assert sentence in str(raised.value)
    assert "\x1b" not in str(raised.value)
    assert (await _ask(loaded)).choices[0].text == "still here"


async def test_what_was_asked_for_is_never_left_out(loaded: EngineClient, script: Script) -> None:
    for asked in ({"grammar": 'root ::= "yes"'}, {"min_p": 0.2}):
        script.answers = [_says(400, b'{"error": "no such thing"}'), _streams(_delta("free"))]
        with pytest.raises(ChatAppError, match="refused the request: no such thing"):
            await _ask(loaded, _request(**asked))
        assert len(script.answers) == 1  # it was not asked again


async def test_a_schema_that_is_none_is_said(loaded: EngineClient, script: Script) -> None:
    with pytest.raises(ChatAppError, match="JSON schema cannot be used"):
        await asyncio.wait_for(_ask(loaded, _request(json_schema="{oops")), 10)


async def test_what_stays_on_this_machine_passes_no_proxy(
    client: EngineClient, script: Script, name: Name, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    name("near", script.url)
    await client.load(LoadOptions(path="remote:near"))
    script.answers = [_streams(_delta("yes", finish_reason="stop"))]
    assert (await _ask(client)).choices[0].text == "yes"


async def test_stop_cuts_the_connection(loaded: EngineClient, script: Script) -> None:
    def endless(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        for _ in range(2000):
            handler.wfile.write(f"data: {json.dumps(_delta('la '))}\n\n".encode())
            time.sleep(0.01)

    script.answers = [endless]
    texts = []
    request = loaded.request(_request())
    async for event in request.events():
        if isinstance(event, Delta):
            texts.append(event.text)
            request.cancel()
        elif isinstance(event, Finished):
            assert event.choices[0].finish_reason == "cancelled"
    assert 0 < len(texts) < 200
    assert await asyncio.to_thread(script.hung_up.wait, 5)


async def test_stop_while_the_server_is_silent(loaded: EngineClient, script: Script) -> None:
    script.answers = [lambda _handler: time.sleep(20)]
    request = loaded.request(_request())
    asyncio.get_running_loop().call_later(0.5, request.cancel)
    started = time.monotonic()
    [done] = [event async for event in request.events()]
    assert isinstance(done, Finished)
    assert done.choices[0].finish_reason == "cancelled"
    assert time.monotonic() - started < 10


@pytest.mark.parametrize("source", ["variable", "own variable", "keyring"])
async def test_the_key_is_sent_and_nowhere_else(
    client: EngineClient,
    script: Script,
    name: Name,
    home: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    source: str,
) -> None:
    if source == "keyring":
        monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "tests.remote.test_hostile.Keyring")
        monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    else:
        variable = "CHATAPP_KEY_LAB" if source == "variable" else "MY_KEY"
        monkeypatch.setenv(variable, KEY)
    name("lab", script.url, key_env="MY_KEY" if source == "own variable" else "")
    await client.load(LoadOptions(path="remote:lab"))
    script.answers = [_says(400, f"bad key {KEY}".encode())] * 2 + [_says(401, KEY.encode())]
    for _ in range(2):
        with pytest.raises(ChatAppError) as raised:
            await _ask(client)
        assert KEY not in str(raised.value)
    assert {headers["Authorization"] for _, headers, _ in script.requests} == {f"Bearer {KEY}"}
    await client.stop()
    written = [path for folder in (home, tmp_path) for path in folder.rglob("*") if path.is_file()]
    assert written
    assert not [path for path in written if KEY.encode() in path.read_bytes()]


class Keyring(KeyringBackend):
    """A keyring in memory: the machine that tests run on has none."""

    priority = 1.0  # type: ignore[assignment]

    name = "memory"

    def get_password(self, service: str, username: str) -> str | None:
        return KEY if (service, username) == ("chatapp", "lab") else None

    def set_password(self, service: str, username: str, password: str) -> None:
        raise NotImplementedError

    def delete_password(self, service: str, username: str) -> None:
        raise NotImplementedError


async def test_models_that_are_served(client: EngineClient, script: Script, name: Name) -> None:
    script.models = b'{"data": [{"id": "org/a", "max_model_len": 4096}, {"id": "b"}]}'
    name("lab", script.url)
    with pytest.raises(ModelError, match="It has: org/a, b"):
        await client.load(LoadOptions(path="remote:lab"))
    name("lab", script.url, model="org/a")
    model = await client.load(LoadOptions(path="remote:lab"))
    assert (model.name, model.n_ctx) == ("lab: a", 4096)
    name("lab", script.url, model="c")
    with pytest.raises(ModelError, match="does not serve c"):
        await client.load(LoadOptions(path="remote:lab"))
    script.models = b"<html>hello</html>"
    with pytest.raises(EngineError, match="does not answer as"):
        await client.load(LoadOptions(path="remote:lab"))


async def test_offline_refuses_other_machines_only(
    client: EngineClient, script: Script, name: Name, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHATAPP_OFFLINE", "1")
    name("lab", script.url)
    await client.load(LoadOptions(path="remote:lab"))
    name("far", "http://192.0.2.1/v1")
    with pytest.raises(ModelError, match="--offline"):
        await client.load(LoadOptions(path="remote:far"))


async def test_what_servers_cannot_do_is_refused(loaded: EngineClient) -> None:
    with pytest.raises(ChatAppError, match="no_repeat_ngram_size"):
        await _ask(loaded, _request(no_repeat_ngram_size=3))
