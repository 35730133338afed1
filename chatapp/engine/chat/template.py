"""Chat templates: a model's own Jinja program, rendered where it can do no harm.

What a template may take of the machine is for `chatapp.gguf.sandbox` to say. Here is what it is
given: messages in OpenAI's shape, made into the shape that this template reads (`traits`). The
text is the one that transformers' `apply_chat_template` makes, wherever that makes one.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from typing import Any

import chatapp.gguf.errors as gguf_errors
from chatapp.engine.chat.messages import (
    Messages,
    Wire,
    calls_of,
    name_results,
    tell_calls,
    text_in,
    with_calls_told,
    with_json_arguments,
    with_mappings,
    with_parts,
    with_results_as_user,
    with_system_moved,
    with_thoughts,
)
from chatapp.engine.chat.repairs import Repairs, last_resorts
from chatapp.engine.chat.traits import (
    CallTraits,
    Traits,
    find_call_traits,
    find_traits,
    keeps_system,
    with_null,
)
from chatapp.errors import TemplateError
from chatapp.gguf.sandbox import TemplateProcess

HINT = "--chat-template FILE gives another; `chatapp ask --raw` completes text without one."
_SYSTEM_MOVED = (
    "This model's chat template has no place for a system prompt: it is put at the head of the "
    "first message."
)
_ANSWERS_DROPPED = "This model's chat template leaves out earlier answers: it sees questions only."


class ChatTemplate:
    """One template. Raises `TemplateError` when it cannot be compiled."""

    def __init__(
        self,
        source: str,
        bos_text: str,
        eos_text: str,
        process: TemplateProcess | None = None,
        *,
        for_tools: str = "",
    ) -> None:
        """`process` is where it is rendered; without one it gets its own.

        `for_tools` is the template to use when tools are given, where a model has two.
        """
        self.source = source
        self.tell_calls: Callable[[Sequence[Mapping[str, Any]]], str] = tell_calls
        """How calls are written where the template has no place for them: as the model does it."""
        self.hash = hashlib.sha256(source.encode("utf-8", "replace")).hexdigest()[:16]
        self._tokens = {"bos_token": bos_text, "eos_token": eos_text}
        self._process = process or TemplateProcess()
        self._keeps_system_beside_tools: bool | None = None
        self._repairs = Repairs(self._render_adapted)
        self._tools_source = for_tools if for_tools != source else ""
        self._is_for_tools = False
        try:
            self._process.check(source)
            mentions = any(name in source for name in _OLD_NAMES)
            read = self._process.find_names(source) if mentions else frozenset[str]()
            self._old_names = _OLD_NAMES.keys() & read
        except gguf_errors.TemplateError as error:
            raise TemplateError(error.message, HINT) from error

    @cached_property
    def _for_tools(self) -> ChatTemplate | None:
        """The template to use with tools; none where there is no other, or it cannot be used."""
        if not self._tools_source:
            return None
        try:
            bos_text, eos_text = self._tokens.values()
            made = ChatTemplate(self._tools_source, bos_text, eos_text, self._process)
            made._is_for_tools = True
            _ = made.traits
        except TemplateError:
            return None
        return made

    @cached_property
    def traits(self) -> Traits:
        """What it does with messages. Raises `TemplateError` where it writes none of them."""
        return find_traits(self._render, for_tools=self._is_for_tools)

    @cached_property
    def call_traits(self) -> CallTraits:
        """What it does with calls of tools."""
        return (self._for_tools or self)._own_call_traits

    @cached_property
    def _own_call_traits(self) -> CallTraits:
        return find_call_traits(self._render, self.traits)

    @property
    def notices(self) -> tuple[str, ...]:
        """Sentences for the user about what this template cannot say."""
        said = (
            (self.traits.drops_system, _SYSTEM_MOVED),
            (self.traits.drops_answers, _ANSWERS_DROPPED),
        )
        return tuple(sentence for is_so, sentence in said if is_so)

    def notices_on(self, messages: Messages) -> tuple[str, ...]:
        """Those of the notices that are about something in `messages`."""
        roles = [message["role"] for message in messages if text_in(message.get("content"))]
        concerned = {_SYSTEM_MOVED: "system" in roles, _ANSWERS_DROPPED: "assistant" in roles}
        return tuple(sentence for sentence in self.notices if concerned[sentence])

    def mentions(self, text: str) -> bool:
        """Whether `text` stands in its source, or in the source that is used with tools."""
        return text in self.source or text in self._tools_source

    def render(
        self,
        messages: Messages,
        *,
        tools: Sequence[Mapping[str, Any]] = (),
        add_generation_prompt: bool = True,
        **switches: Any,
    ) -> str:
        """The prompt for `messages`, ready for the assistant's answer.

        `messages` and `tools` are as on OpenAI's wire; a message may have `reasoning_content`.
        `switches` (`enable_thinking`, `reasoning_effort` and the like) reach the template as they
        are. Raises `TemplateError`.
        """
        if tools and self._for_tools is not None:
            self._for_tools.tell_calls = self.tell_calls
            return self._for_tools.render(
                messages, tools=tools, add_generation_prompt=add_generation_prompt, **switches
            )
        values: dict[str, Any] = {**switches, "add_generation_prompt": add_generation_prompt}
        if tools:
            values["tools"] = [dict(tool) for tool in tools]
        arranged = self._repairs.arrange(name_results(messages), values)
        try:
            return self._render_adapted(arranged, values)
        except TemplateError:
            for other in last_resorts(arranged, values):
                with contextlib.suppress(TemplateError):
                    return self._render_adapted(*other)
            raise

    def _render_adapted(self, messages: Messages, values: Mapping[str, Any]) -> str:
        """The text of messages in the shape that this template reads."""
        messages = with_thoughts(messages)
        if any(calls_of(message) or message["role"] == "tool" for message in messages):
            messages = self._dress_calls(messages)
        else:
            messages = with_null(messages, "absent")
        if self._moves_system(messages, values):
            messages = with_system_moved(messages)
        messages = with_parts(messages, self.traits.wants_parts)
        if not values.get("tools") and self.traits.empty_is_none:
            values = {"tools": None, "documents": None, **values}
        return self._render(messages, values)

    def _dress_calls(self, messages: Messages) -> list[Wire]:
        traits = self._own_call_traits
        if not traits.knows_results:
            messages = with_results_as_user(messages)
        if not traits.knows_calls:
            messages = with_calls_told(messages, self.tell_calls)
        elif traits.arguments_as_mapping:
            messages = with_mappings(messages)
        else:
            messages = with_json_arguments(messages)
        return with_null(messages, traits.null_content)

    def _moves_system(self, messages: Messages, values: Mapping[str, Any]) -> bool:
        if not messages or messages[0]["role"] != "system":
            return False
        if self.traits.drops_system or not values.get("tools"):
            return self.traits.drops_system
        if self._keeps_system_beside_tools is None:
            keeps = keeps_system(self._render, self.traits, values["tools"])
            self._keeps_system_beside_tools = keeps
        return not self._keeps_system_beside_tools

    def _render(self, messages: Messages, values: Mapping[str, Any]) -> str:
        given: dict[str, Any] = {"add_generation_prompt": True, **self._tokens, **values}
        for name in self._old_names:
            given.setdefault(name, _OLD_NAMES[name](given.get("tools") or []))
        if given.get("tools") and "xml_tools" in self.source:  # SmolLM3's name for them
            given.setdefault("xml_tools", given["tools"])
        try:
            return self._process.render(self.source, messages, **given)
        except gguf_errors.TemplateError as error:
            raise TemplateError(error.message, HINT) from error


def _functions(tools: Sequence[Wire]) -> str:
    return json.dumps([tool.get("function", tool) for tool in tools], ensure_ascii=False, indent=4)


def _today(_: Sequence[Wire]) -> str:
    return datetime.now().astimezone().strftime("%d %b %Y")


def _now(_: Sequence[Wire]) -> str:
    return datetime.now().astimezone().strftime("%b %d %Y")


_OLD_NAMES = {"functions": _functions, "datetime": _now, "date_string": _today}
"""What old templates read as if it were always there."""
