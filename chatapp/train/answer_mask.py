"""A chat as a model's own template writes it, and which of its tokens are answers.

Promises the tokens that the engine would make of the same messages; the template is rendered in
the sandbox, never by transformers. Loss is on what the model has to write by itself: from where a
prompt for the answer ends to the token that ends its turn. What the template marks with
`{% generation %}` is taken as it says. Elsewhere answers are found by rendering again with a mark
in the place of each; an answer that cannot be found is refused.
"""

from dataclasses import dataclass

from chatapp.engine.chat.guard import Guard
from chatapp.engine.chat.messages import Wire
from chatapp.engine.chat.template import ChatTemplate
from chatapp.engine.chat.vocabulary import Vocabulary
from chatapp.errors import TemplateError
from chatapp.train.chats import BadLineError, Said
from chatapp.train.data import Sample

_GENERATION = ("\ue020", "\ue021")
"""Around what the template says is generated."""
_ANSWER = "\ue000{}\ue001"
"""In the place of an answer, with its number."""


@dataclass(frozen=True, slots=True)
class _Span:
    """An answer in the rendered text, in characters."""

    begin: int
    """Where the model begins to write."""
    end: int
    """Behind what was said; the mark that ends the turn may follow."""
    is_whole: bool = False
    """The mark that ends the turn is in it, if the model is to learn it."""


class AnswerMask:
    """Makes samples of chats with one template and vocabulary."""

    def __init__(self, template: ChatTemplate, vocab: Vocabulary) -> None:
        self._template, self._vocab = template, vocab
        self._marks_generation = "generation" in template.source

    def encode(self, messages: tuple[Said, ...]) -> Sample:
        """Tokens, and which of them the model is to write. Raises `BadLineError`."""
        guard = Guard(self._vocab, self._template)
        wires = [guard.cover_message(_as_wire(said)) for said in messages]
        try:
            text = self._template.render(wires, add_generation_prompt=False)
            spans = self._find_marked(wires, text) or self._find_spans(wires, text)
            spans = _only_learned(spans, messages)
        except TemplateError as error:
            raise BadLineError(f"cannot be written: {error.message.rstrip('.')}") from error
        bos = self._vocab.bos_text
        adds = not (bos and text.startswith(bos))
        tokens = guard.tokenize(text, add_special=adds)
        spoken = [False] * len(tokens)
        for span in spans:
            first = _shared(tokens, guard.tokenize(text[: span.begin], add_special=adds))
            last = _shared(tokens, guard.tokenize(text[: span.end], add_special=adds))
            if not span.is_whole:
                last = self._take_end(tokens, max(last, first))
            spoken[first:last] = [True] * (last - first)
        return Sample(tokens, spoken)

    def _take_end(self, tokens: list[int], at: int) -> int:
        """Behind the token that ends the turn, where one stands at `at` or behind white space."""
        for place in range(at, min(at + 4, len(tokens))):
            if self._vocab.is_end(tokens[place]):
                return place + 1
            if self._vocab.detokenize(tokens[place : place + 1]).strip():
                break
        return at

    def _find_marked(self, wires: list[Wire], text: str) -> list[_Span]:
        """What the template itself says is generated; nothing where it does not say."""
        if not self._marks_generation:
            return []
        marked = self._template.render(
            wires, add_generation_prompt=False, generation_marks=_GENERATION
        )
        begin_mark, end_mark = _GENERATION
        if marked.replace(begin_mark, "").replace(end_mark, "") != text:
            return []  # somebody wrote such a mark
        spans: list[_Span] = []
        at = 0
        for piece in marked.split(begin_mark)[1:]:
            at = marked.index(begin_mark, at) + 1
            begin = at - 1 - 2 * len(spans)
            said, _, _ = piece.partition(end_mark)
            spans.append(_Span(begin, begin + len(said), is_whole=True))
        return spans

    def _find_spans(self, wires: list[Wire], text: str) -> list[_Span]:
        spans: list[_Span] = []
        for place, (begin, end) in self._find_contents(wires, text).items():
            before = self._template.render(wires[:place], add_generation_prompt=True)
            if len(before) <= begin and text.startswith(before):
                begin = len(before)
            spans.append(_Span(begin, end))
        return spans

    def _find_contents(self, wires: list[Wire], text: str) -> dict[int, tuple[int, int]]:
        """Where what each answer says stands in the text. Raises `BadLineError`."""
        answers = [at for at, wire in enumerate(wires) if wire["role"] == "assistant"]
        marked = [
            {**wire, "content": _ANSWER.format(at)} if at in answers else wire
            for at, wire in enumerate(wires)
        ]
        rest = self._template.render(marked, add_generation_prompt=False)
        found: dict[int, tuple[int, int]] = {}
        position = 0
        for at in answers:
            before, mark, rest = rest.partition(_ANSWER.format(at))
            said = str(wires[at]["content"])
            if not mark or not text.startswith(before + said, position):
                raise BadLineError(
                    "has an answer that the chat template changes or leaves out, so that it cannot "
                    "be told where it stands"
                )
            begin = position + len(before)
            position = begin + len(said)
            found[at] = begin, position
        return found


def _only_learned(spans: list[_Span], messages: tuple[Said, ...]) -> list[_Span]:
    """Without the spans of answers that are only read. Raises `BadLineError`."""
    answers = [said for said in messages if said.role == "assistant"]
    if all(said.is_learned for said in answers):
        return spans
    if len(spans) != len(answers):
        raise BadLineError("has an answer with weight 0, which the chat template joins to others")
    return [span for span, said in zip(spans, answers, strict=True) if said.is_learned]


def _as_wire(said: Said) -> Wire:
    wire: Wire = {"role": said.role, "content": said.content}
    if said.thoughts:
        wire["reasoning_content"] = said.thoughts
    return wire


def _shared(whole: list[int], part: list[int]) -> int:
    """How many tokens two rows begin with in common."""
    for place, (left, right) in enumerate(zip(whole, part, strict=False)):
        if left != right:
            return place
    return min(len(whole), len(part))
