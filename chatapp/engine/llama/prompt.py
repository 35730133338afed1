"""From messages to prompt tokens.

Promises: what people wrote can never act as a control token, an answer's own tokens are put back
exactly as they were sampled (so the cache of the last turn stays valid), and otherwise the tokens
are those of the rendered text as a whole.

Where a message sits in the rendered text is found by rendering a second time with marks in place
of the contents and checking that the marks, filled in, give the first text. A template that
changes contents beyond trimming fails that check; then the text is tokenised whole.
"""

from dataclasses import dataclass, field

from chatapp.engine.chat.template import ChatTemplate
from chatapp.engine.content import as_text
from chatapp.engine.llama.vocab import Vocab
from chatapp.engine.protocol import ChatMessage
from chatapp.errors import TemplateError


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt ready for the model."""

    tokens: list[int] = field(default_factory=list)
    opens_reasoning: bool = False
    """The prompt ends inside a `<think>` block."""


@dataclass(frozen=True, slots=True)
class _Segment:
    text: str
    special: bool
    tokens: tuple[int, ...] = ()


def build_prompt(
    vocab: Vocab, template: ChatTemplate | None, messages: list[ChatMessage]
) -> Prompt:
    """Tokens for `messages`; without a template their contents, one after the other.

    Raises `UsageError` for what is not text.
    """
    messages = [as_text(message) for message in messages]
    if template is None:
        text = "\n\n".join(message.content for message in messages)
        return build_completion(vocab, text)
    plain = [{"role": message.role, "content": message.content} for message in messages]
    rendered = template.render(plain)
    segments = _locate(vocab, template, messages, rendered) or [_Segment(rendered, special=True)]
    tokens: list[int] = []
    add_special = not (vocab.bos_text and rendered.startswith(vocab.bos_text))
    for index, segment in enumerate(segments):
        tokens += segment.tokens or vocab.tokenize(
            segment.text, special=segment.special, add_special=add_special and index == 0
        )
    return Prompt(tokens, opens_reasoning=rendered.rstrip().endswith("<think>"))


def build_completion(vocab: Vocab, text: str) -> Prompt:
    """Tokens of plain text to go on from; control tokens in it are only text."""
    return Prompt(vocab.tokenize(text, special=False, add_special=True))


def _locate(
    vocab: Vocab, template: ChatTemplate, messages: list[ChatMessage], rendered: str
) -> list[_Segment]:
    """Segments that need care and the text between them; empty when they cannot be told."""
    marks = [f"\ue000{index}\ue001" for index in range(len(messages))]
    try:
        marked = template.render(
            [{"role": m.role, "content": mark} for m, mark in zip(messages, marks, strict=True)]
        )
    except TemplateError:
        return []
    segments: list[_Segment] = []
    pending, rest, position = "", marked, 0
    for message, mark in zip(messages, marks, strict=True):
        before, found, rest = rest.partition(mark)
        if not found:
            return []
        pending += before
        position += len(before)
        # many templates trim what was said
        whole = rendered.startswith(message.content, position)
        content = message.content if whole else message.content.strip()
        position += len(content)
        care = _take_care(vocab, message, content)
        if care is None:
            pending += content
            continue
        if pending:
            segments.append(_Segment(pending, special=True))
        segments.append(care)
        pending = ""
    segments.append(_Segment(pending + rest, special=True))
    if "".join(segment.text for segment in segments) != rendered:
        return []
    return [segment for segment in segments if segment.text or segment.tokens]


def _take_care(vocab: Vocab, message: ChatMessage, content: str) -> _Segment | None:
    """A segment for content that must not be tokenised with its surroundings, else None."""
    if message.tokens and not vocab.is_spm:
        vocab.check(message.tokens)
        if vocab.detokenize(message.tokens).decode("utf-8", "replace") == content:
            return _Segment(content, special=False, tokens=tuple(message.tokens))
    as_text = vocab.tokenize(content, special=False)
    if as_text == vocab.tokenize(content, special=True):
        return None
    return _Segment(content, special=False, tokens=tuple(as_text))
