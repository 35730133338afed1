"""What a prompt takes of the context: the prompt is rendered and tokenized as for an answer, and
nothing is computed.

The total is that of the real prompt. What thoughts and tools add is the difference between two
prompts, because the template decides whether they are written at all.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from chatapp.engine.chat.detect import switches_of
from chatapp.engine.chat.manner import Manner
from chatapp.engine.chat.prompt import (
    Prompt,
    build_completion,
    build_prompt,
    build_source,
    join_texts,
)
from chatapp.engine.content import countable
from chatapp.engine.protocol import ChatMessage, Generate, Measure, Measured
from chatapp.parts import Reasoning
from chatapp.thinking import Thinking


def render_prompt(manner: Manner, request: Generate | Measure) -> Prompt:
    """The prompt of these messages, as the model's template has it. A text-to-text model reads
    the last that somebody asked, and no other."""
    if manner.is_text_to_text:
        asked = [message for message in request.messages if message.role != "assistant"]
        return build_source(manner.vocab, join_texts(asked[-1:]))
    if manner.is_raw:
        return build_completion(manner.vocab, join_texts(request.messages), special=True)
    return build_prompt(
        manner.vocab,
        manner.template,
        request.messages,
        form=manner.form,
        tools=request.tools,
        switches=switches_of(manner.understood, Thinking.parse(request.think)),
    )


def count_prompt(manner: Manner, request: Measure) -> Measured:
    """The tokens of the prompt, and what takes them."""
    total = _count(manner, request)
    vocab = manner.vocab
    parts = [
        [len(vocab.tokenize(countable(part), special=False)) for part in message.parts]
        for message in request.messages
    ]
    written = replace(request, messages=_without_tokens(request.messages))
    thoughts = tools = 0
    if any(isinstance(part, Reasoning) for message in written.messages for part in message.parts):
        bare = replace(written, messages=_without_thoughts(written.messages))
        thoughts = max(0, _count(manner, written) - _count(manner, bare))
    if request.tools:
        tools = max(0, _count(manner, written) - _count(manner, replace(written, tools=[])))
    return Measured(
        request_id=request.request_id, total=total, parts=parts, thoughts=thoughts, tools=tools
    )


def _count(manner: Manner, request: Measure) -> int:
    prompt = render_prompt(manner, request)
    return len(prompt.tokens) + len(prompt.source)


def _without_tokens(messages: Sequence[ChatMessage]) -> list[ChatMessage]:
    return [replace(message, tokens=[]) for message in messages]


def _without_thoughts(messages: Sequence[ChatMessage]) -> list[ChatMessage]:
    return [
        replace(message, parts=tuple(p for p in message.parts if not isinstance(p, Reasoning)))
        for message in messages
    ]
