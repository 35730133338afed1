"""What OpenAI-compatible servers are sent: JSON bodies, in the manner that a server takes."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields, replace
from typing import Any

import msgspec

from chatapp.engine.assemble import trim_broken
from chatapp.engine.content import as_openai
from chatapp.engine.protocol import Generate
from chatapp.parts import text_of
from chatapp.sampling import BAN, SamplingParams
from chatapp.structured.reading import read_schema
from chatapp.thinking import BUDGETS, Thinking

_OPENAI = {"temperature", "top_p", "frequency_penalty", "presence_penalty", "seed", "stop"}
_NOT_SENT = {"max_tokens", "json_schema", "logit_bias", "no_repeat_ngram_size", "seed"}
"""Sent under another name or in another shape, or not known to any server."""
_LEAST_BIAS = -100.0  # what OpenAI's API bans a token with; it refuses less
_NOT_RUN = "This call was not run."
_FLAGS = {
    "tools": "--tools",
    "response_format": "--schema",
    "logprobs": "--logprobs",
    "top_logprobs": "--logprobs",
    "max_completion_tokens": "--max-tokens",
    "reasoning_effort": "--think",
    "chat_template_kwargs": "--think",
    "thinking_budget_tokens": "--think",
}
_OF_EVERY_REQUEST = {"model", "stream", "messages", "prompt"}
_ROLES = re.compile(
    r"\bsystem\b|developer instruction|roles? must alternate|only user|alternat", re.IGNORECASE
)
"""How servers say that a template has no place for a system text, or for two messages of one role
in a row."""

Body = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Manner:
    """How a server wants to be asked, as far as its refusals have shown."""

    plain: bool = False
    """Without parameters that OpenAI does not have."""
    merges_roles: bool = False
    """The system text is put before the first message, and roles alternate."""
    says_completion_tokens: bool = False
    """The limit is called `max_completion_tokens`."""


def make_body(
    request: Generate, model: str, manner: Manner, seed: int | None = None
) -> tuple[str, Body]:
    """Path and JSON body of a request."""
    body: Body = {"model": model, "stream": True, **_sampling(request.params, manner)}
    if seed is not None:
        body["seed"] = seed
    if not manner.plain:
        body["stream_options"] = {"include_usage": True}
    if request.params.json_schema:
        schema = read_schema(request.params.json_schema).value
        body["response_format"] = {
            "type": "json_schema",
            "json_schema": {"name": "answer", "schema": schema},
        }
    if request.logprobs:
        in_chat = {"logprobs": True, "top_logprobs": request.logprobs}
        body |= in_chat if request.prompt is None else {"logprobs": request.logprobs}
    body |= _thinking(Thinking.parse(request.think), plain=manner.plain)
    begun = text_of(trim_broken(request.prefix))
    if request.prompt is not None:
        return "/completions", body | {"prompt": request.prompt + begun}
    if request.tools:
        body["tools"] = request.tools
    messages = _messages(request)
    if manner.merges_roles:
        messages = _merge(messages)
    if begun:
        messages.append({"role": "assistant", "content": begun})
        if not manner.plain:  # vLLM and SGLang; llama-server goes on by itself
            body |= {"continue_final_message": True, "add_generation_prompt": False}
    return "/chat/completions", body | {"messages": messages}


def chosen(params: SamplingParams) -> dict[str, Any]:
    """The parameters that somebody has set. The others are the server's own matter."""
    values = ((entry.name, getattr(params, entry.name)) for entry in fields(SamplingParams))
    return {name: value for name, value in values if _is_given(name, value)}


def _is_given(name: str, value: Any) -> bool:
    """Whether there is something to send: an empty text asks for nothing, and -1 leaves it open."""
    if value is None or value in ("", ()):
        return False
    return name not in ("temperature", "max_tokens", "seed") or value >= 0


def _thinking(thinking: Thinking, *, plain: bool) -> dict[str, Any]:
    """How much to think, for OpenAI (effort), for templates (vLLM, SGLang, llama-server) and in
    tokens (llama-server)."""
    effort = thinking.effort or ("none" if thinking.enabled is False else "")
    body: dict[str, Any] = {"reasoning_effort": effort} if effort else {}
    if plain or thinking.enabled is None:
        return body
    budget = {"thinking_budget_tokens": int(thinking.asked)} if thinking.asked.isdigit() else {}
    return body | {"chat_template_kwargs": {"enable_thinking": thinking.enabled}} | budget


def next_manner(manner: Manner, request: Generate, words: str) -> Manner | None:
    """Another way to ask a server that refused with these words, in which nothing that was asked
    for is lost. None: there is none."""
    if not manner.merges_roles and _ROLES.search(words) and request.prompt is None:
        messages = _messages(request)
        if _merge(messages) != messages:
            return replace(manner, merges_roles=True)
    if not manner.says_completion_tokens and "max_completion_tokens" in words:
        return replace(manner, says_completion_tokens=True)
    needs_more = chosen(request.params).keys() - _OPENAI - _NOT_SENT
    asks_tokens = Thinking.parse(request.think).asked not in ("", "off", *BUDGETS)
    if not manner.plain and not needs_more and not request.prefix and not asks_tokens:
        return replace(manner, plain=True)
    return None


def find_refused(body: Body, words: str, parameter: str) -> tuple[str, str]:
    """The parameter of a body that a refusal names, and the flag it comes from; empty: none.

    `parameter`: what the refusal itself calls it, if it does.
    """
    sent = sorted(body.keys() - _OF_EVERY_REQUEST, key=len, reverse=True)
    named = re.split(r"[.\[]", parameter)[0]
    name = named if named in sent else next((one for one in sent if _names(one, words)), "")
    return name, _FLAGS.get(name, f"--{name.replace('_', '-')}" if name in _OF_SAMPLING else "")


_OF_SAMPLING = {entry.name for entry in fields(SamplingParams)}


def _names(name: str, words: str) -> bool:
    if name == "stop":  # a word of every day
        return bool(re.search(r"[`'\"]stop[`'\"]|\bstop (parameter|argument|sequence)", words))
    return bool(re.search(rf"\b{name}\b", words))


def _sampling(params: SamplingParams, manner: Manner) -> Body:
    values = chosen(params)
    body: Body = {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in values.items()
        if name not in _NOT_SENT and (name in _OPENAI or not manner.plain)
    }
    if values.get("max_tokens", -1) >= 0:
        limit = "max_completion_tokens" if manner.says_completion_tokens else "max_tokens"
        body[limit] = values["max_tokens"]
    if "logit_bias" in values:
        body["logit_bias"] = {
            str(token): _LEAST_BIAS if bias <= BAN else bias for token, bias in values["logit_bias"]
        }
    return body


def _messages(request: Generate) -> list[Body]:
    """The conversation. A call that nothing answers is answered, as servers want it; one that is
    no JSON, which they refuse too, is told as text."""
    sent = [_tell_broken(body) for message in request.messages for body in as_openai(message)]
    answered = {body["tool_call_id"] for body in sent if body["role"] == "tool"}
    messages: list[Body] = []
    for body in sent:
        messages.append(body)
        messages += [
            {"role": "tool", "tool_call_id": call["id"], "content": _NOT_RUN}
            for call in body.get("tool_calls", [])
            if call["id"] not in answered
        ]
    return messages


def _tell_broken(body: Body) -> Body:
    calls = body.get("tool_calls")
    if not calls:
        return body
    whole = [call for call in calls if _is_object(call["function"]["arguments"])]
    told = [
        f"{call['function']['name']} {call['function']['arguments']}".strip()
        for call in calls
        if call not in whole
    ]
    body = {key: value for key, value in body.items() if key != "tool_calls"}
    if told:
        body["content"] = _join_content(body["content"], "\n".join(told))
    return body | {"tool_calls": whole} if whole else body


def _is_object(arguments: str) -> bool:
    try:
        return isinstance(msgspec.json.decode(arguments), dict)
    except (msgspec.MsgspecError, RecursionError):
        return False


def _merge(messages: list[Body]) -> list[Body]:
    """The same with the system's text at the head of the first message of the user, and with one
    message where two of one role stand in a row."""
    merged: list[Body] = []
    for message in messages:
        role = "user" if message["role"] == "system" else message["role"]
        last = merged[-1] if merged else None
        if last is None or last["role"] != role or role == "tool" or "tool_calls" in last:
            merged.append(message | {"role": role})
            continue
        content = _join_content(last["content"], message["content"])
        merged[-1] = last | message | {"role": role, "content": content}
    return merged


def _join_content(first: Any, second: Any) -> Any:
    """Two contents as one: text, or blocks where one of them has blocks."""
    if not first or not second:
        return first or second
    if isinstance(first, str) and isinstance(second, str):
        return f"{first}\n\n{second}"
    return [
        block
        for content in (first, second)
        for block in ([{"type": "text", "text": content}] if isinstance(content, str) else content)
    ]
