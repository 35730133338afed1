"""Chat templates: a model file's own Jinja program, rendered where it can do no harm.

What a template may take is for `chatapp.gguf.sandbox` to say; here is what our engine gives it.
"""

import hashlib
from collections.abc import Sequence

import chatapp.gguf.errors as gguf_errors
from chatapp.errors import TemplateError
from chatapp.gguf.sandbox import TemplateProcess

_OTHER_MODEL = "`chatapp ask` and the chat complete plain text when a model has no template."


class ChatTemplate:
    """One template. Raises `TemplateError` when it cannot be compiled."""

    def __init__(
        self, source: str, bos_text: str, eos_text: str, process: TemplateProcess | None = None
    ) -> None:
        """`process` is where it is rendered; without one it gets its own."""
        self.hash = hashlib.sha256(source.encode("utf-8", "replace")).hexdigest()[:16]
        self._source = source
        self._tokens = {"bos_token": bos_text, "eos_token": eos_text}
        self._process = process or TemplateProcess()
        try:
            self._process.check(source)
        except gguf_errors.TemplateError as error:
            raise TemplateError(error.message, _OTHER_MODEL) from error

    def render(self, messages: Sequence[dict[str, str]]) -> str:
        """The prompt for `messages` (role, content), ready for the assistant's answer.

        A template that refuses a system message gets it at the head of the first user message.
        """
        try:
            return self._render(messages)
        except TemplateError:
            if len(messages) < 2 or messages[0]["role"] != "system":
                raise
            first = f"{messages[0]['content']}\n\n{messages[1]['content']}"
            return self._render([{**messages[1], "content": first}, *messages[2:]])

    def _render(self, messages: Sequence[dict[str, str]]) -> str:
        try:
            return self._process.render(
                self._source,
                messages,
                add_generation_prompt=True,
                tools=None,
                documents=None,
                **self._tokens,
            )
        except gguf_errors.TemplateError as error:
            raise TemplateError(error.message, _OTHER_MODEL) from error
