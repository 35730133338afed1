"""What OpenAI-compatible servers are sent and what they send: JSON bodies and server-sent events.

Everything read is bounded in size and checked in shape.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import fields
from typing import Any

import msgspec

from chatapp.engine.assemble import trim_broken
from chatapp.engine.content import as_openai
from chatapp.engine.protocol import Generate, LikelyToken, TokenLogprob
from chatapp.errors import EngineError
from chatapp.parts import text_of
from chatapp.sampling import BAN, SamplingParams

_MAX_LINE = 4 << 20
_MAX_BODY = 4 << 20
_MAX_COUNT = (1 << 31) - 1  # tokens; no context holds as many
_OPENAI = {"temperature", "top_p", "frequency_penalty", "presence_penalty", "seed", "stop"}
_LEAST_BIAS = -100.0  # what OpenAI's API bans a token with; it refuses less
_NOT_SENT = {"max_tokens", "json_schema", "logit_bias", "no_repeat_ngram_size", "temperature"}


class Said(msgspec.Struct):
    """What a chunk adds to a message."""

    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None


class ChatLogprob(msgspec.Struct):
    """One token, as chat completions have it."""

    token: str = ""
    logprob: float | None = None
    top_logprobs: list[LikelyToken] | None = None


class Logprobs(msgspec.Struct):
    """Of the tokens of a chunk: `content` in chat completions, the others in completions."""

    content: list[ChatLogprob] | None = None
    tokens: list[str] | None = None
    token_logprobs: list[float | None] | None = None
    top_logprobs: list[dict[str, float] | None] | None = None

    def read(self) -> list[TokenLogprob]:
        """In either shape; tokens without a number are left out."""
        if self.content is not None:
            rows = [(one.token, one.logprob, one.top_logprobs or []) for one in self.content]
        else:
            tops = [_likeliest(top or {}) for top in self.top_logprobs or []]
            numbers, tokens = self.token_logprobs or [], self.tokens or []
            rows = list(zip(tokens, numbers, tops or [[]] * len(tokens), strict=False))
        return [
            TokenLogprob(token=token, logprob=logprob, top=top)
            for token, logprob, top in rows
            if logprob is not None
        ]


def _likeliest(top: dict[str, float]) -> list[LikelyToken]:
    return [LikelyToken(token, top[token]) for token in sorted(top, key=lambda t: -top[t])]


def read_logprobs(value: Any) -> list[TokenLogprob]:
    """What a server says of its tokens; nothing where that has another shape."""
    try:
        return msgspec.convert(value, Logprobs).read()
    except msgspec.ValidationError:
        return []


class ChunkChoice(msgspec.Struct):
    """What a chunk says of one alternative."""

    delta: Said | None = None
    text: str | None = None
    finish_reason: str | None = None
    logprobs: Any = None
    """Looked into when it was asked for: servers send it in odd shapes unasked."""


class Details(msgspec.Struct):
    """Of the prompt."""

    cached_tokens: int | None = None

    def __post_init__(self) -> None:
        self.cached_tokens = _checked(self.cached_tokens or 0)


class Counts(msgspec.Struct):
    """Token counts, as the server has them; what can be no count is 0."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    prompt_tokens_details: Details | None = None

    def __post_init__(self) -> None:
        self.prompt_tokens = _checked(self.prompt_tokens)
        self.completion_tokens = _checked(self.completion_tokens)


class Chunk(msgspec.Struct):
    """One server-sent event."""

    choices: list[ChunkChoice] = []
    usage: Counts | None = None
    error: Any = None


class Served(msgspec.Struct):
    """One model of a server."""

    id: str
    max_model_len: int | None = None
    meta: dict[str, Any] | None = None


class Models(msgspec.Struct):
    """Every model of a server."""

    data: list[Served] = []


def _checked(count: int) -> int:
    return count if 0 <= count <= _MAX_COUNT else 0


def make_body(
    request: Generate, model: str, seed: int, *, plain: bool
) -> tuple[str, dict[str, Any]]:
    """Path and JSON body of a request; with `plain` only what OpenAI itself knows."""
    params = request.params
    body: dict[str, Any] = {"model": model, "stream": True, "seed": seed}
    if not plain:
        body["stream_options"] = {"include_usage": True}
    for name in ("max_tokens", "temperature"):
        value = getattr(params, name)
        if value is not None and value >= 0:
            body[name] = value
    if params.logit_bias:
        body["logit_bias"] = {
            str(token): _LEAST_BIAS if bias <= BAN else bias for token, bias in params.logit_bias
        }
    if params.json_schema:
        schema = msgspec.json.decode(params.json_schema)
        body["response_format"] = {
            "type": "json_schema",
            "json_schema": {"name": "answer", "schema": schema},
        }
    for entry in fields(SamplingParams):
        value = getattr(params, entry.name)
        known = entry.name in _OPENAI
        wanted = known or not plain
        if entry.name not in _NOT_SENT | body.keys() and wanted and _is_given(value):
            body[entry.name] = list(value) if isinstance(value, tuple) else value
    if request.logprobs:
        in_chat = {"logprobs": True, "top_logprobs": request.logprobs}
        body |= in_chat if request.prompt is None else {"logprobs": request.logprobs}
    begun = text_of(trim_broken(request.prefix))
    if request.prompt is not None:
        return "/completions", body | {"prompt": request.prompt + begun}
    messages = [body for message in request.messages for body in as_openai(message)]
    if begun:
        messages.append({"role": "assistant", "content": begun})
        if not plain:  # vLLM and SGLang; llama-server goes on by itself
            body |= {"continue_final_message": True, "add_generation_prompt": False}
    return "/chat/completions", body | {"messages": messages}


def can_do_without(request: Generate) -> bool:
    """Whether nothing is lost that was asked for, when only what OpenAI knows is sent."""
    return not request.prefix and not any(
        _is_given(getattr(request.params, entry.name))
        for entry in fields(SamplingParams)
        if entry.name not in _OPENAI | _NOT_SENT
    )


def _is_given(value: object) -> bool:
    """Whether there is something to send: an empty text or list asks for nothing."""
    return value is not None and value not in ("", ())


def split_events(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The data of server-sent events."""
    rest = b""
    for piece in pieces:
        *lines, rest = (rest + piece).split(b"\n")
        if len(rest) > _MAX_LINE:
            raise EngineError(f"The server sent a line of more than {_MAX_LINE >> 20} MB.")
        for line in lines:
            if line.startswith(b"data:"):
                yield line[5:].strip()
    if rest.startswith(b"data:"):
        yield rest[5:].strip()


def read_body(pieces: Iterable[bytes]) -> bytes:
    """All of them."""
    body = b""
    for piece in pieces:
        body += piece
        if len(body) > _MAX_BODY:
            raise EngineError(f"The server sent more than {_MAX_BODY >> 20} MB.")
    return body


def message_of(body: bytes) -> str:
    """What an error's body says."""
    try:
        return message_in(msgspec.json.decode(body))
    except msgspec.MsgspecError:
        return body[:300].decode("utf-8", "replace")


def message_in(value: Any) -> str:
    """The sentence in an error object, however deep."""
    for key in ("error", "message", "detail"):
        if isinstance(value, dict) and key in value:
            return message_in(value[key])
    return str(value)
