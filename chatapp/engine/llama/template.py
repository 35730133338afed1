"""Chat templates: a model file's own Jinja program, run where it can do no harm.

A template comes with the model file, so it is untrusted code. It runs in Jinja's immutable
sandbox (no attribute of Python objects can be reached, nothing passed in can be changed), may not
build huge strings by multiplication, and is interrupted after a few seconds.
"""

import datetime
import hashlib
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any, NoReturn

import jinja2
import jinja2.ext
from jinja2.sandbox import ImmutableSandboxedEnvironment

from chatapp.errors import TemplateError

_TIMEOUT_S = 3.0
_MAX_REPEAT = 1_000_000
_MAX_TEMPLATE = 1_000_000
_OTHER_MODEL = "`chatapp ask` and the chat complete plain text when a model has no template."


class _Environment(ImmutableSandboxedEnvironment):
    intercepted_binops = frozenset(["*", "**"])

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        if operator == "**":
            raise jinja2.exceptions.SecurityError("powers are not allowed")
        for sequence, factor in ((left, right), (right, left)):
            repeats = isinstance(sequence, (str, list, tuple)) and isinstance(factor, int)
            if repeats and len(sequence) * factor > _MAX_REPEAT:
                raise jinja2.exceptions.SecurityError("the repeated text is too long")
        return super().call_binop(context, operator, left, right)


class ChatTemplate:
    """One compiled template. Raises `TemplateError` when it cannot be compiled."""

    def __init__(self, source: str, bos_text: str, eos_text: str) -> None:
        self.hash = hashlib.sha256(source.encode("utf-8", "replace")).hexdigest()[:16]
        self._tokens = {"bos_token": bos_text, "eos_token": eos_text}
        environment = _Environment(
            trim_blocks=True, lstrip_blocks=True, extensions=[jinja2.ext.loopcontrols]
        )
        environment.filters["tojson"] = _to_json
        environment.globals["raise_exception"] = _raise
        environment.globals["strftime_now"] = _strftime_now
        if len(source) > _MAX_TEMPLATE:
            raise TemplateError("The model's chat template is over a million characters long.")
        try:
            with _time_limit():
                self._template = environment.from_string(source)
        except (jinja2.TemplateError, RecursionError, MemoryError, ValueError) as error:
            raise TemplateError(
                f"The model's chat template is not valid Jinja: {error}.", _OTHER_MODEL
            ) from error

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
            with _time_limit():
                return self._template.render(
                    messages=[dict(message) for message in messages],
                    add_generation_prompt=True,
                    tools=None,
                    documents=None,
                    **self._tokens,
                )
        # A template may raise anything Python can raise while it runs; none of it is ours.
        except Exception as error:
            reason = f"{type(error).__name__}: {str(error)[:300].rstrip('.')}"
            raise TemplateError(
                f"The model's chat template failed: {reason}.",
                _OTHER_MODEL,
            ) from error


def _to_json(value: Any, indent: int | None = None, **_ignored: Any) -> str:
    import json

    return json.dumps(value, ensure_ascii=False, indent=indent)


def _raise(message: str) -> NoReturn:
    raise jinja2.exceptions.TemplateRuntimeError(str(message))


def _strftime_now(form: str) -> str:
    return datetime.datetime.now().astimezone().strftime(form)


@contextmanager
def _time_limit() -> Iterator[None]:
    """Interrupt pure Python code; only the main thread can be, and the worker runs there."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def expire(_signal: int, _frame: FrameType | None) -> NoReturn:
        raise TimeoutError(f"it ran for more than {_TIMEOUT_S:.0f} s")

    before = signal.signal(signal.SIGALRM, expire)
    signal.setitimer(signal.ITIMER_REAL, _TIMEOUT_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
