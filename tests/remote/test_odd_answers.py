"""Servers that answer, but not as OpenAI's does: what is there is taken, what is said is said."""

import json
from collections.abc import Sequence

import pytest

from chatapp.engine.protocol import ChatMessage, Generate
from chatapp.errors import ChatAppError, ContextOverflowError, EngineError, ModelError
from chatapp.parts import Reasoning, Text
from chatapp.sampling import SamplingParams
from tests.remote.answers import END, Answer, Asking, adds, delta, says, says_in_pieces, streams
from tests.remote.conftest import Name, Script

A, B = delta("Grüß "), delta("dich 👋")
WHOLE = "Grüß dich 👋"
USAGE = {"prompt_tokens": 11, "completion_tokens": 3}


def _events(*chunks: object, line_end: str = "\n", before: str = "data: ") -> str:
    texts = [json.dumps(chunk, ensure_ascii=False) for chunk in chunks]
    return "".join(f"{before}{text}{line_end}{line_end}" for text in [*texts, "[DONE]"])


def _request(*messages: ChatMessage, **params: object) -> Generate:
    return Generate(
        messages=list(messages) or [ChatMessage.of("user", "Hi")],
        params=SamplingParams(**params),  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(says(200, _events(A, B, END, line_end="\r\n")), id="crlf"),
        pytest.param(says(200, _events(A, B, END, line_end="\r")), id="cr"),
        pytest.param(says(200, _events(A, B, END, before="data:")), id="no space"),
        pytest.param(says(200, "\ufeff" + _events(A, B, END)), id="byte order mark"),
        pytest.param(says(200, "\n\n" + _events(A, B, END)), id="empty lines first"),
        pytest.param(
            says(200, _events(A, B, END), Content_Type="application/json"), id="called JSON"
        ),
        pytest.param(
            says(200, _events(A, B, END), Content_Type="text/event-stream; charset=latin-1"),
            id="called Latin-1",
        ),
        pytest.param(
            says(
                200, ": queued\n\n:\n" + _events(A, B, END, before="event: message\nid: 7\ndata: ")
            ),
            id="comments and other fields",
        ),
        pytest.param(streams(A, "", " ", B, END), id="empty data"),
        pytest.param(streams(": PROVIDER AT WORK", A, "keepalive", B, "null", END), id="words"),
        pytest.param(
            says(200, f"data: {json.dumps(A)}\ndata: {json.dumps(B)}\ndata: [DONE]\n"),
            id="no empty lines",
        ),
        pytest.param(
            says(200, _events(A, B, END).replace(', "delta"', ',\ndata: "delta"')),
            id="an object in two lines",
        ),
        pytest.param(
            says(200, _events(A, B, END).removesuffix("data: [DONE]\n\n").rstrip()),
            id="nothing behind the last event",
        ),
        pytest.param(
            says(200, "event: ping\ndata: {}\n\nevent: ping\n\nretry: 5\n\n" + _events(A, B, END)),
            id="pings",
        ),
        pytest.param(
            says_in_pieces([bytes([byte]) for byte in ("\ufeff" + _events(A, B, END)).encode()]),
            id="a byte at a time",
        ),
        pytest.param(
            says(200, json.dumps({"choices": [{"message": {"content": WHOLE}}], "usage": USAGE})),
            id="no stream",
        ),
        pytest.param(
            says(200, "\ufeff\n" + json.dumps({"choices": [{"text": WHOLE}]}, indent=2) + "\n"),
            id="no stream, in lines",
        ),
        pytest.param(
            streams({"choices": [{"message": {"content": WHOLE}, "finish_reason": "stop"}]}),
            id="a message in place of a delta",
        ),
        pytest.param(
            streams(A, B, {"choices": [{"delta": {}, "message": {"content": WHOLE}}]}),
            id="the whole message once more",
        ),
        pytest.param(streams({"choices": None}, A, {"choices": []}, B, END), id="choices null"),
        pytest.param(streams(A, {"choices": [{"delta": None}]}, B, END), id="delta null"),
        pytest.param(
            streams(A | {"usage": None, "error": None}, B | {"error": {}}, END), id="nulls"
        ),
        pytest.param(
            streams(adds(content=["Grüß ", {"type": "text", "text": "dich 👋"}]), END), id="blocks"
        ),
        pytest.param(
            streams(adds(content={"type": "output_text", "text": WHOLE}), END), id="one block"
        ),
        pytest.param(streams(adds(content=None, refusal=WHOLE), END), id="refusal"),
        pytest.param(
            streams(
                {"choices": [{"index": 1, "delta": {"content": "no"}}, *A["choices"]]},  # type: ignore[misc]
                B,
                END,
            ),
            id="another alternative first",
        ),
        pytest.param(
            says(200, 'data: {"choices": [{"delta": {"content": "Grüß dich \\ud83d"}}]}\n\n'
                 'data: {"choices": [{"delta": {"content": "\\udc4b"}}], "x": NaN}\n\n'
                 "data: [DONE]\n\n"),
            id="half a surrogate pair",
        ),
    ],
)  # fmt: skip
def test_what_is_there_is_taken(lab: Asking, script: Script, answer: Answer) -> None:
    script.answers = [answer]
    state = lab.ask(_request())
    assert state.parts == (Text(WHOLE),)
    assert (state.status, state.finish_reason) == ("complete", "stop")


THOUGHT = (Reasoning("Well, well."), Text("Yes."))


@pytest.mark.parametrize(
    "chunks",
    [
        pytest.param([adds(reasoning_content="Well, "), adds(reasoning_content="well.")], id="1"),
        pytest.param([adds(reasoning="Well, ", content=""), adds(reasoning="well.")], id="2"),
        pytest.param([adds(thinking="Well, "), adds(thinking="well.", content=None)], id="3"),
        pytest.param([adds(reasoning={"content": "Well, well."})], id="an object"),
        pytest.param(
            [adds(reasoning_details=[{"type": "reasoning.text", "text": "Well, well."}])], id="4"
        ),
        pytest.param(
            [
                adds(reasoning_details=[{"type": "reasoning.summary", "summary": "Well, well."}]),
                adds(reasoning_details=[{"type": "reasoning.encrypted", "data": "Zm9v"}]),
            ],
            id="a summary and something encrypted",
        ),
        pytest.param(
            [
                adds(
                    reasoning="Well, well.",
                    reasoning_content="Well, well.",
                    reasoning_details=[{"type": "reasoning.text", "text": "Well, well."}],
                )
            ],
            id="under three names",
        ),
        pytest.param(
            [adds(content=[{"type": "thinking", "thinking": [{"type": "text", "text": "Well, "}]}]),
             adds(content=[{"type": "thinking", "thinking": "well."}])],
            id="blocks",
        ),
        pytest.param([delta("<thi"), delta("nk>\nWell, "), delta("well.</thi"), delta("nk>\n\n")],
                     id="marks"),
    ],
)  # fmt: skip
def test_thoughts_are_kept_apart(lab: Asking, script: Script, chunks: Sequence[object]) -> None:
    script.answers = [streams(*chunks, delta("Yes."), END)]
    assert (lab.ask(_request())).parts == THOUGHT


def test_counts_in_odd_shapes(lab: Asking, script: Script) -> None:
    odd = {"prompt_tokens": "12", "completion_tokens": 4.0, "prompt_tokens_details": None}
    script.answers = [
        streams(A, END, {"choices": None, "usage": odd}),
        streams(A, END, {"choices": [], "usage": {"prompt_tokens": None, "completion_tokens": []}}),
        streams(A, END, {"choices": [], "usage": 5}),
    ]
    first, *others = [lab.ask(_request()) for _ in range(3)]
    assert (first.usage.prompt_tokens, first.usage.completion_tokens) == (12, 4)
    assert {other.usage.prompt_tokens for other in others} == {0}
    assert {other.text for other in others} == {"Grüß "}


@pytest.mark.parametrize(
    ("answer", "said", "sentence"),
    [
        (says(200, '{"error": {"message": "too many guests"}}'), "", "says: too many guests"),
        (says(200, '{"detail": "no such deployment"}'), "", "says: no such deployment"),
        (streams(A, {"error": {"message": "out of credit", "code": 402}}), A, "out of credit"),
        (streams({"error": "BROKEN"}), "", "says: BROKEN"),
        (streams(A, {"object": "error", "message": "worker died"}), A, "worker died"),
        (streams({"type": "error", "error": {"message": "busy"}}), "", "says: busy"),
        (
            streams(A, adds("error") | {"choices": [{"error": {"message": "cut off"}}]}),
            A,
            "says: cut off",
        ),
        (streams(A, adds("error")), A, "broke the answer off"),
        (says(200, "event: error\ndata: the cable is loose\n\n"), "", "the cable is loose"),
        (says(200, 'event: error\ndata: {"message": "no"}\n\n'), "", "says: no"),
        (says(200, "data: Internal Server Error\n\n"), "", "says: Internal Server Error"),
        (streams(A, "upstream has left", done=False), A, "says: upstream has left"),
        (streams(A, "{half", B), A, "does not answer as"),
        (says(200, f"data: {json.dumps(A)}\n\ndata: {json.dumps(B)[:30]}"), A, "in the middle"),
        (says(200, "<html>Please log in.</html>"), "", "does not answer as"),
        (says(200, '{"id": 1}'), "", "does not answer as"),
        (says(200), "", "does not answer as"),
        (streams(adds(content="<thi"), {"error": "x"}), adds(content="<thi"), "says: x"),
        (streams(adds("content_filter")), "", "filter kept the answer back"),
        (says(200, b"data: " + b"[" * 100_000 + b"\n\n"), "", "says: ["),
        (streams('{"choices":' + '{"choices":' * 50_000), "", "does not answer as"),
        (streams(adds(content=json.loads("[" * 900 + "]" * 900))), "", "does not answer as"),
        (
            says(422, '{"error": null, "detail": [{"loc": ["body", "stop"], "msg": "bad"}]}'),
            "",
            "body.stop: bad",
        ),
        (
            says(502, '{"error": {"message": "Provider returned error", "metadata": '
                      '{"raw": "{\\"error\\": \\"model on fire\\"}"}}}'),
            "",
            "Provider returned error: model on fire",
        ),
    ],
)  # fmt: skip
def test_what_the_server_says_is_said_and_the_rest_is_kept(
    lab: Asking,
    script: Script,
    answer: Answer,
    said: dict[str, list[dict[str, dict[str, str]]]] | str,
    sentence: str,
) -> None:
    script.answers = [answer, answer]  # what is refused is tried once more
    with pytest.raises(ChatAppError) as raised:
        lab.ask(_request())
    assert lab.state.text == (
        said if isinstance(said, str) else said["choices"][0]["delta"]["content"]
    )
    assert sentence in str(raised.value)
    script.answers = [streams(B, END)]
    assert (lab.ask(_request())).text == "dich 👋"


def test_an_overflow_said_with_status_200_is_one(lab: Asking, script: Script) -> None:
    script.answers = [streams({"object": "error", "message": "The context is too long: 9 of 8."})]
    with pytest.raises(ContextOverflowError, match="9 of 8"):
        lab.ask(_request())


def test_a_filter_is_said(lab: Asking, script: Script) -> None:
    script.answers = [
        streams(A, adds("content_filter")),
        streams(adds(refusal="No."), adds("SAFETY")),
    ]
    state = lab.ask(_request())
    assert (state.text, state.note) == ("Grüß ", "The server's content filter ended the answer.")
    state = lab.ask(_request())
    assert (state.text, state.finish_reason) == ("No.", "stop")
    assert "content filter" in state.note


def test_what_cannot_be_shown_is_named(lab: Asking, script: Script) -> None:
    picture = {"type": "image_url", "image_url": {"url": "data:,"}}
    script.answers = [streams(adds(content=["Look: ", picture]), END)]
    state = lab.ask(_request())
    assert state.text == "Look: "
    assert "image_url" in state.note


@pytest.mark.parametrize("reason", ["length", "max_tokens", "MAX_TOKENS", "model_length"])
def test_limits_by_other_names(lab: Asking, script: Script, reason: str) -> None:
    script.answers = [streams(A, adds(reason))]
    assert (lab.ask(_request())).finish_reason == "length"


@pytest.mark.parametrize(
    ("models", "sentence"),
    [
        (b'{"data": []}', "says of no model"),
        (b'{"data": null}', "says of no model"),
        (b'{"object": "list", "models": null}', "says of no model"),
        (b"[]", "says of no model"),
        (b'{"data": [{}]}', "says of no model"),
        (b'{"data": 5}', "does not answer as"),
        (b'{"hello": "world"}', "does not answer as"),
    ],
)
def test_lists_without_a_model(script: Script, name: Name, models: bytes, sentence: str) -> None:
    script.models = models
    name("lab", script.url)
    with pytest.raises((ModelError, EngineError), match=sentence) as raised:
        Asking().load()
    if "no model" in sentence:
        assert "--model NAME" in raised.value.hint
        name("lab", script.url, model="mine")  # whoever knows better is believed
        assert (Asking().load()).name == "lab: mine"


@pytest.mark.parametrize(
    ("models", "n_ctx"),
    [
        (b'[{"id": "m"}]', 0),
        (b'{"data": [{"name": "m", "id": null}, {"id": 7}, null]}', 0),
        (b'{"models": [{"model": "m", "context_length": "2048"}]}', 2048),
        (b'{"data": [{"id": "m", "max_model_len": null, "meta": {"n_ctx": 512}}]}', 512),
    ],
)
def test_lists_in_odd_shapes(script: Script, name: Name, models: bytes, n_ctx: int) -> None:
    script.models = models
    name("lab", script.url)
    model = Asking().load()
    assert (model.name, model.n_ctx) == ("lab: m", n_ctx)


def test_a_hint_begins_a_sentence_of_its_own(lab: Asking, script: Script) -> None:
    script.answers = [says(429, '{"error": "slow down"}'), streams({"error": "Too much!"})]
    with pytest.raises(EngineError, match=r"slow down\. Try again"):
        lab.ask(_request())
    with pytest.raises(EngineError, match=r"says: Too much!$"):
        lab.ask(_request())
