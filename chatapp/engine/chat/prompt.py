"""From messages to prompt tokens.

Promises: what people, tools and models wrote can never act as a control token, an answer's own
tokens are put back exactly as they were sampled (so the cache of the last turn stays valid), and
otherwise the tokens are those of the rendered text as a whole.

Where an answer sits in the rendered text is found by rendering a second time with a mark in place
of what it says and checking that the marks, filled in, give the first text. A template that
changes answers beyond trimming fails that check; then its text is tokenised.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from msgspec.structs import replace

from chatapp.engine.assemble import read_tokens
from chatapp.engine.chat.detect import opens_thought
from chatapp.engine.chat.format import PLAIN, Format
from chatapp.engine.chat.guard import Guard
from chatapp.engine.chat.messages import Wire, as_wire
from chatapp.engine.chat.template import ChatTemplate
from chatapp.engine.chat.vocabulary import Vocabulary
from chatapp.engine.content import as_text
from chatapp.engine.protocol import ChatMessage, Generate
from chatapp.errors import TemplateError, UsageError
from chatapp.parts import Image, text_of

_MOST_SHOWN = 12
_MARK = re.compile("\ue000([0-9]{1,9})\ue001")


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt ready for the model."""

    tokens: list[int] = field(default_factory=list)
    source: list[int] = field(default_factory=list)
    """What the encoder of a text-to-text model reads; `tokens` is then for its decoder."""
    opens_thought: bool = False
    """The prompt ends within a thought."""
    thought_budget: int | None = None
    """Most tokens of thought in the turn; None: as many as the model likes."""
    notices: tuple[str, ...] = ()
    """Sentences for the user on what the template cannot say of these messages."""


@dataclass(frozen=True, slots=True)
class _Answer:
    """An answer of this model in the rendered text."""

    begin: int
    end: int
    tokens: tuple[int, ...]


def explain_empty(vocab: Vocabulary, request: Generate) -> UsageError:
    """Why a prompt has no tokens: nothing was asked, or nothing that the vocabulary can write."""
    asked = request.prompt
    if asked is None:
        asked = text_of(request.messages[-1].parts) if request.messages else ""
    unknown = [
        one
        for one in dict.fromkeys(asked)
        if not (one.isspace() or vocab.tokenize(one, special=False))
    ]
    if not unknown:
        return UsageError("There is nothing to answer: the prompt is empty.")
    shown = " ".join(unknown[:_MOST_SHOWN]) + (" …" if len(unknown) > _MOST_SHOWN else "")
    return UsageError(
        f"There is nothing to answer: the model lacks the characters of the prompt: {shown}",
        "It knows those that were in the text it was trained on. Write with these, or choose "
        "another model.",
    )


def build_prompt(
    vocab: Vocabulary,
    template: ChatTemplate | None,
    messages: Sequence[ChatMessage],
    *,
    form: Format = PLAIN,
    tools: Sequence[Mapping[str, Any]] = (),
    switches: Mapping[str, Any] | None = None,
) -> Prompt:
    """Tokens for `messages`; without a template their contents, one after the other.

    Raises `UsageError` for what is not text, `TemplateError` where the template refuses.
    """
    if template is None:
        return build_completion(vocab, join_texts(messages))
    if any(isinstance(part, Image) for message in messages for part in message.parts):
        raise UsageError(
            "This model takes text alone, and the chat holds a picture.",
            "Choose a model that takes it, or start a new chat.",
        )
    guard = Guard(vocab, template)
    wires, sampled = _to_wires(vocab, form, messages, guard)
    values = {"tools": guard.cover(list(tools)), **(switches or {})}
    rendered = template.render(wires, **values)
    answers = _locate(vocab, template, values, wires, sampled, rendered)
    tokens: list[int] = []
    begins = not (vocab.bos_text and rendered.startswith(vocab.bos_text))
    at = 0
    for answer in (*answers, _Answer(len(rendered), len(rendered), ())):
        text = rendered[at : answer.begin]
        tokens += guard.tokenize(text, add_special=begins and not tokens)
        tokens += answer.tokens
        at = answer.end
    return Prompt(
        tokens, opens_thought=opens_thought(form, rendered), notices=template.notices_on(wires)
    )


def build_completion(vocab: Vocabulary, text: str, *, special: bool = False) -> Prompt:
    """Tokens of plain text to go on from; control tokens in it are only text, unless `special`."""
    has_bos = special and bool(vocab.bos_text) and text.startswith(vocab.bos_text)
    return Prompt(vocab.tokenize(text, special=special, add_special=not has_bos))


def build_source(vocab: Vocabulary, text: str) -> Prompt:
    """Tokens for the encoder of a text-to-text model, with the mark that ends its texts."""
    return Prompt(source=vocab.tokenize(text, special=False, add_special=True))


def join_texts(messages: Sequence[ChatMessage]) -> str:
    """The contents of messages, one after the other. Raises `UsageError` for what is not text."""
    return "\n\n".join(as_text(message).content for message in messages)


def _to_wires(
    vocab: Vocabulary, form: Format, messages: Sequence[ChatMessage], guard: Guard
) -> tuple[list[Wire], dict[int, list[int]]]:
    """The messages as the template takes them, and the tokens of those that this model wrote."""
    wires: list[Wire] = []
    sampled: dict[int, list[int]] = {}
    for message in messages:
        if message.tokens:
            sampled[len(wires)] = message.tokens
            vocab.check(message.tokens)
            pieces = map(vocab.spoken, message.tokens)
            message = replace(message, parts=read_tokens(form, message.parts, pieces))
        wires += [guard.cover_message(wire) for wire in as_wire(message)]
    return wires, sampled


def _locate(
    vocab: Vocabulary,
    template: ChatTemplate,
    values: Mapping[str, Any],
    wires: list[Wire],
    sampled: Mapping[int, list[int]],
    rendered: str,
) -> list[_Answer]:
    """Where answers whose tokens are known stand; none where that cannot be told."""
    known = {
        place: tokens
        for place, tokens in sampled.items()
        if not vocab.is_spm and wires[place].get("content")
    }
    if not known:
        return []
    marked = [
        {**wire, "content": f"\ue000{place}\ue001"} if place in known else wire
        for place, wire in enumerate(wires)
    ]
    try:
        text = template.render(marked, **values)
    except TemplateError:
        return []
    answers: list[_Answer] = []
    at = position = 0
    for found in _MARK.finditer(text):
        place = int(found[1])
        if place not in known:  # somebody wrote a mark
            continue
        before = text[at : found.start()]
        if not rendered.startswith(before, position):
            return []
        position += len(before)
        content = str(wires[place]["content"])
        # many templates trim what was said
        said = content if rendered.startswith(content, position) else content.strip()
        if not rendered.startswith(said, position):
            return []
        end = position + len(said)
        if answer := _take_tokens(vocab, known[place], rendered, position, end):
            answers.append(answer)
        position, at = end, found.end()
    return answers if rendered[position:] == text[at:] else []


def _take_tokens(
    vocab: Vocabulary, tokens: list[int], rendered: str, begin: int, end: int
) -> _Answer | None:
    """The answer with its tokens: all of them where the template writes all that the model
    wrote (thoughts too), else those of what it said."""
    vocab.check(tokens)
    whole = b"".join(vocab.piece(token, special=True) for token in tokens).decode(
        "utf-8", "replace"
    )
    start = end - len(whole)
    if whole and start >= 0 and rendered[start:end] == whole:
        return _Answer(start, end, tuple(tokens))
    said = rendered[begin:end].encode()
    size = 0
    for count, token in enumerate(reversed(tokens), 1):
        size += len(vocab.piece(token))
        if size >= len(said):
            last = tokens[len(tokens) - count :]
            is_same = size == len(said) and vocab.detokenize(last) == said
            # A control token within it was not said; whoever wrote it, it may not steer.
            is_same = is_same and not any(map(vocab.is_control, last))
            return _Answer(begin, end, tuple(last)) if is_same else None
    return None
