"""Chat templates: a model's own Jinja program, rendered where it can do no harm.

What a template may take of the machine is for `chatapp.gguf.sandbox` to say. Here is what it is
given: messages in OpenAI's shape, made into the shape that this template reads.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import chatapp.gguf.errors as gguf_errors
from chatapp.engine.chat.messages import (
    Wire,
    name_results,
    with_mappings,
    with_system_moved,
    with_thoughts,
)
from chatapp.errors import TemplateError
from chatapp.gguf.sandbox import TemplateProcess

_OTHER_MODEL = "`chatapp ask` and the chat complete plain text when a model has no template."


class ChatTemplate:
    """One template. Raises `TemplateError` when it cannot be compiled."""

    def __init__(
        self, source: str, bos_text: str, eos_text: str, process: TemplateProcess | None = None
    ) -> None:
        """`process` is where it is rendered; without one it gets its own."""
        self.source = source
        self.hash = hashlib.sha256(source.encode("utf-8", "replace")).hexdigest()[:16]
        self._tokens = {"bos_token": bos_text, "eos_token": eos_text}
        self._process = process or TemplateProcess()
        try:
            self._process.check(source)
        except gguf_errors.TemplateError as error:
            raise TemplateError(error.message, _OTHER_MODEL) from error

    def render(
        self,
        messages: Sequence[Mapping[str, Any]],
        *,
        tools: Sequence[Mapping[str, Any]] = (),
        add_generation_prompt: bool = True,
        **switches: Any,
    ) -> str:
        """The prompt for `messages`, ready for the assistant's answer.

        `messages` and `tools` are as on OpenAI's wire; a message may have `reasoning_content`.
        `switches` (`enable_thinking`, `reasoning_effort` and the like) reach the template as they
        are. A template that refuses a system message gets it at the head of the first user
        message. Raises `TemplateError`.
        """
        values = {"add_generation_prompt": add_generation_prompt, **switches}
        if tools:
            values["tools"] = [dict(tool) for tool in tools]
        adapted = [with_mappings(with_thoughts(message)) for message in name_results(messages)]
        try:
            return self._render(adapted, values)
        except TemplateError:
            if len(messages) < 2 or messages[0]["role"] != "system":
                raise
            return self._render(with_system_moved(adapted), values)

    def _render(self, messages: Sequence[Wire], values: Mapping[str, Any]) -> str:
        try:
            return self._process.render(self.source, messages, **self._tokens, **values)
        except gguf_errors.TemplateError as error:
            raise TemplateError(error.message, _OTHER_MODEL) from error
