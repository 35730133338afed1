"""What OpenAI-compatible servers say of an answer, in every shape that is met: chunks and errors.

What is there is taken: null where a value is missing, text as a list of blocks, a whole message in
place of a delta, thoughts under four names. A value of a kind that cannot be meant is a
`ValueError`, because text would be lost with it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import msgspec

from chatapp.engine.protocol import LikelyToken, TokenLogprob
from chatapp.engine.server_events import decode_json
from chatapp.parts import Spoken

_MAX_COUNT = (1 << 31) - 1  # tokens; no context holds as many
_REASONING = ("reasoning_content", "reasoning", "thinking", "reasoning_details")
"""Where servers put a thought; some put the same one under two of these names."""
_TEXTS = ("text", "thinking", "content", "summary", "reasoning", "refusal")
"""Keys of a block that may hold its text."""
_WORDS = ("error", "message", "detail", "msg", "error_description", "description", "title")
"""Keys of an error that may hold its sentence."""


@dataclass(slots=True)
class CallPiece:
    """What a chunk adds to a call of a tool."""

    index: int | None
    id: str
    name: str
    arguments: str


@dataclass(slots=True)
class Counts:
    """Token counts, as the server has them; what can be no count is 0."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0


@dataclass(slots=True)
class Chunk:
    """What one value of a server says of the answer."""

    has_choice: bool = False
    """It is about the answer, if only to say that nothing is new."""
    said: list[tuple[Spoken, str]] = field(default_factory=list)
    calls: list[CallPiece] = field(default_factory=list)
    is_whole: bool = False
    """A message, not what is new in it."""
    finish_reason: str = ""
    logprobs: Any = None
    """Looked into when it was asked for: servers send it in odd shapes unasked."""
    counts: Counts | None = None
    odd: list[str] = field(default_factory=list)
    """Kinds of blocks that are no text."""


def read_chunk(value: Any) -> Chunk:
    """The chunk in a JSON value; `ValueError` if it can be none."""
    if not isinstance(value, dict):
        raise ValueError("no object")  # noqa: TRY004 -- of JSON, which has no types of Python
    choices = value.get("choices") or []
    if not isinstance(choices, list) or not all(isinstance(one, dict) for one in choices):
        raise ValueError("choices are none")
    chunk = Chunk()
    choice = next((one for one in choices if not one.get("index")), None)
    if choice is not None:
        _read_choice(choice, chunk)
    usage = value.get("usage") or (choice or {}).get("usage")
    if isinstance(usage, dict):
        chunk.counts = _read_counts(usage)
    return chunk


def fault_in(value: Any) -> str:
    """What went wrong at the server, if this is an error in place of a chunk; else nothing."""
    if not isinstance(value, dict):
        return ""
    choices = value.get("choices")
    if value.get("error"):
        return message_in(value["error"])
    if "error" in (value.get("object"), value.get("type")):
        return message_in(value)
    if choices:
        first = choices[0] if isinstance(choices, list) else None
        error = first.get("error") if isinstance(first, dict) else None
        return message_in(error) if error else ""
    plain = value.get("message")
    if value.get("detail") or (isinstance(plain, str) and plain):
        return message_in(value)
    return ""


def message_of(body: bytes) -> str:
    """The message in the body of a server's error."""
    try:
        return message_in(decode_json(body))
    except ValueError:
        return body[:300].decode("utf-8", "replace")


def message_in(value: Any, depth: int = 0) -> str:
    """The sentence in an error object, however deep; with the place that FastAPI gives, and the
    words of the server behind the server that OpenRouter gives."""
    if isinstance(value, list):
        return "; ".join(message_in(one, depth + 1) for one in value[:3])
    if not isinstance(value, dict) or depth > 8:
        return str(value)
    key = next((key for key in _WORDS if value.get(key)), "")
    if not key:
        return msgspec.json.encode(value).decode()
    words = message_in(value[key], depth + 1)
    if isinstance(place := value.get("loc"), list):
        words = f"{'.'.join(map(str, place))}: {words}"
    more = value.get("metadata")
    if isinstance(more, dict) and isinstance(raw := more.get("raw"), str) and raw:
        words = f"{words}: {message_of(raw.encode('utf-8', 'replace'))}"
    return words


def parameter_in(body: bytes) -> str:
    """The parameter that an error's body blames, where it has a field for that."""
    try:
        value = decode_json(body)
    except ValueError:
        return ""
    error = value.get("error") if isinstance(value, dict) else None
    blamed = (error if isinstance(error, dict) else value) if isinstance(value, dict) else {}
    name = blamed.get("param")
    return name if isinstance(name, str) else ""


def count_in(value: Any) -> int:
    """A count of tokens as a number; 0 for what is none."""
    if isinstance(value, str) and value.isdecimal():
        value = int(value[:12])
    if isinstance(value, bool) or not isinstance(value, int | float):
        return 0
    return int(value) if 0 <= value <= _MAX_COUNT else 0


def _read_counts(usage: dict[str, Any]) -> Counts:
    details = usage.get("prompt_tokens_details")
    return Counts(
        count_in(usage.get("prompt_tokens")),
        count_in(usage.get("completion_tokens")),
        count_in(details.get("cached_tokens")) if isinstance(details, dict) else 0,
    )


def _read_choice(choice: dict[str, Any], chunk: Chunk) -> None:
    chunk.has_choice = True
    chunk.finish_reason = _word(choice.get("finish_reason"))
    chunk.logprobs = choice.get("logprobs")
    said = choice.get("delta") or choice.get("message") or {}
    chunk.is_whole = not choice.get("delta") and bool(said)
    if isinstance(said, str):
        said = {"content": said}
    if not isinstance(said, dict):
        raise ValueError("a message that is none")  # noqa: TRY004 -- of JSON
    thoughts = (_blocks(said.get(name), "reasoning", chunk) for name in _REASONING)
    chunk.said += next((found for found in thoughts if found), [])
    chunk.said += _blocks(said.get("content") or choice.get("text"), "text", chunk)
    chunk.said += _blocks(said.get("refusal"), "text", chunk)
    chunk.calls = _read_calls(said)


def _blocks(value: Any, kind: Spoken, chunk: Chunk) -> list[tuple[Spoken, str]]:
    """Text, a block, or a list of them, in their order. Others are named in the chunk."""
    if value is None or value == "":
        return []
    if isinstance(value, str):
        return [(kind, value)]
    if isinstance(value, list):
        return [piece for one in value for piece in _blocks(one, kind, chunk)]
    if not isinstance(value, dict):
        raise ValueError("text that is none")  # noqa: TRY004 -- of JSON
    name = _word(value.get("type"))
    if "think" in name or "reasoning" in name:
        kind = "reasoning"
    key = next((key for key in _TEXTS if key in value), "")
    if key:
        return _blocks(value[key], kind, chunk)
    if name and kind == "text":
        chunk.odd.append(name)
    return []  # a thought that is encrypted, a reference


def _read_calls(said: dict[str, Any]) -> list[CallPiece]:
    values = said.get("tool_calls") or []
    if not isinstance(values, list):
        values = [values]
    pieces = [_read_call(value) for value in values if isinstance(value, dict)]
    if isinstance(legacy := said.get("function_call"), dict):
        pieces.append(_read_call({"function": legacy, "index": 0}))
    return pieces


def _read_call(value: dict[str, Any]) -> CallPiece:
    function = value.get("function")
    facts = function if isinstance(function, dict) else value
    arguments = facts.get("arguments")
    if isinstance(arguments, dict | list):  # Ollama's own, and servers behind it
        arguments = msgspec.json.encode(arguments).decode()
    index = value.get("index")
    return CallPiece(
        index if isinstance(index, int) else None,
        _word(value.get("id")),
        _word(facts.get("name")),
        _word(arguments),
    )


def _word(value: Any) -> str:
    return value if isinstance(value, str) else ""


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
