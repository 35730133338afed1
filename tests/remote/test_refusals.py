"""What a server refuses: asked for in another manner where nothing is lost, else named."""

import json
from typing import Any

import pytest

from chatapp.engine.protocol import ChatMessage, Generate
from chatapp.errors import UsageError
from chatapp.parts import File, Image, Text
from chatapp.sampling import SamplingParams
from tests.remote.answers import END, Asking, delta, says, streams
from tests.remote.conftest import Script

YES = streams(delta("Yes."), END)


def _request(*messages: ChatMessage, n: int = 1, **params: Any) -> Generate:
    given = list(messages) or [ChatMessage.of("user", "Hi")]
    return Generate(messages=given, params=SamplingParams(**params), n=n)


def _bodies(script: Script) -> list[dict[str, Any]]:
    return [json.loads(body) for path, _, body in script.requests if path.endswith("completions")]


def test_only_what_was_set_is_sent(lab: Asking, script: Script) -> None:
    script.answers = [YES]
    state = lab.ask(_request())
    [body] = _bodies(script)
    assert body.keys() == {"model", "stream", "stream_options", "messages"}
    assert state.seed == -1


def test_what_was_set_is_sent(lab: Asking, script: Script) -> None:
    script.answers = [YES, YES]
    params = {"temperature": 0, "top_k": 7, "min_p": 0.0, "seed": 0, "stop": ("x",)}
    lab.ask(_request(max_tokens=0, logit_bias=((5, float("-inf")),), n=2, **params))
    first, second = _bodies(script)
    sent = {key: first[key] for key in params}
    assert sent == {"temperature": 0, "top_k": 7, "min_p": 0.0, "seed": 0, "stop": ["x"]}
    assert (first["max_tokens"], first["logit_bias"]) == (0, {"5": -100.0})
    assert (first["seed"], second["seed"]) == (0, 1)
    assert [choice["seed"] for choice in (first, second)] == [0, 1]


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (400, '{"error": {"message": "System role not supported"}}'),
        (422, '{"detail": "only user and assistant roles are taken, not system"}'),
        (400, '{"error": {"message": "Developer instruction is not enabled for this model"}}'),
        (400, '{"message": "Conversation roles must alternate user/assistant/user/assistant/..."}'),
        (500, '{"error": {"code": 500, "message": "chat template: system prompts, no"}}'),
    ],
)
def test_a_system_text_that_is_refused_goes_to_the_first_message(
    lab: Asking, script: Script, status: int, words: str
) -> None:
    script.answers = [says(status, words), YES, YES]
    chat = (
        ChatMessage.of("system", "Be kind."),
        ChatMessage.of("user", "Hi"),
        ChatMessage.of("assistant", "Hello."),
        ChatMessage.of("user", "Well?"),
    )
    state = lab.ask(_request(*chat))
    assert state.text == "Yes."
    assert "takes no system text" in state.note
    refused, merged = _bodies(script)
    assert refused["messages"][0] == {"role": "system", "content": "Be kind."}
    assert merged["messages"] == [
        {"role": "user", "content": "Be kind.\n\nHi"},
        {"role": "assistant", "content": "Hello."},
        {"role": "user", "content": "Well?"},
    ]
    assert lab.ask(_request(*chat)).note == ""  # it is known now, and was said
    assert _bodies(script)[-1]["messages"] == merged["messages"]


def test_pictures_stay_where_a_system_text_comes_before_them(lab: Asking, script: Script) -> None:
    script.answers = [says(400, "no system role"), YES]
    picture = (Text("What is it?"), Image(b"\x89PNG"))
    lab.ask(_request(ChatMessage.of("system", "Be kind."), ChatMessage("user", picture)))
    first, *others = _bodies(script)[-1]["messages"][0]["content"]
    assert first == {"type": "text", "text": "Be kind."}
    assert [block["type"] for block in others] == ["text", "image_url"]


def test_questions_in_a_row_are_one_where_roles_must_alternate(lab: Asking, script: Script) -> None:
    script.answers = [says(400, "roles must alternate"), YES]
    file = File("a.txt", "b")
    lab.ask(_request(ChatMessage("user", (file,)), ChatMessage.of("user", "Well?")))
    [message] = _bodies(script)[-1]["messages"]
    assert message["role"] == "user"
    assert message["content"].endswith("\n\nWell?")


def test_what_speaks_of_the_system_without_one_is_a_refusal(lab: Asking, script: Script) -> None:
    script.answers = [says(400, "the system is tired")] * 2
    with pytest.raises(UsageError, match="refused the request: the system is tired"):
        lab.ask(_request())


def test_a_limit_by_its_new_name(lab: Asking, script: Script) -> None:
    refusal = "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."
    script.answers = [says(400, refusal), YES, YES]
    assert lab.ask(_request(max_tokens=9)).text == "Yes."
    lab.ask(_request(max_tokens=9))
    for body in _bodies(script)[1:]:
        assert body["max_completion_tokens"] == 9
        assert "max_tokens" not in body


@pytest.mark.parametrize(
    ("params", "refusal", "parameter", "flag"),
    [
        ({"top_k": 7}, "Unrecognized request argument: top_k", "top_k", "--top-k"),
        ({"seed": 7}, "Extra inputs are not permitted: seed", "seed", "--seed"),
        ({"temperature": 0}, "'temperature' does not support 0", "temperature", "--temperature"),
        ({"stop": ("x",)}, "Unknown argument 'stop'", "stop", "--stop"),
        ({"max_tokens": 9}, "max_tokens is too small", "max_tokens", "--max-tokens"),
        (
            {"json_schema": '{"type": "object"}', "stop": ("x",)},
            "stop this: response_format is unknown",
            "response_format",
            "--schema",
        ),
        (
            {"min_p": 0.3, "repeat_penalty": 1.3},
            '{"error": {"message": "Unsupported value", "param": "repeat_penalty"}}',
            "repeat_penalty",
            "--repeat-penalty",
        ),
    ],
)
def test_a_parameter_that_is_refused_is_named_with_its_flag(
    lab: Asking, script: Script, params: dict[str, Any], refusal: str, parameter: str, flag: str
) -> None:
    script.answers = [says(422, refusal)] * 2
    with pytest.raises(UsageError, match=f"does not take {parameter}: ") as raised:
        lab.ask(_request(**params))
    assert f"Leave out {flag}," in raised.value.hint


def test_a_refusal_is_asked_again_once_at_most(lab: Asking, script: Script) -> None:
    script.answers = [says(400, "no system role, use max_completion_tokens, alternate")] * 9
    with pytest.raises(UsageError):
        lab.ask(_request(ChatMessage.of("system", "Be kind."), ChatMessage.of("user", "Hi")))
    assert len(_bodies(script)) <= 4  # each manner once
