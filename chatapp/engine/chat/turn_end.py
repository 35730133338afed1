"""How a model's chat template ends an answer, and whether the model file knows that as an end.

An answer is rendered, and what the template writes behind it is looked at. A control token there
is what the model was trained to stop with; where the file does not mark it as an end of
generation, answers would run on into the next turn. A template without one ends its turns in text
("\\n### User:"), which becomes a stop string.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from chatapp.engine.chat.format import Format
from chatapp.engine.chat.template import ChatTemplate
from chatapp.engine.chat.vocabulary import Vocabulary
from chatapp.errors import TemplateError

_ANSWER, _QUESTION = "\ue000answer\ue001", "\ue000question\ue001"
_SHORTEST = 3
"""Characters of a stop string; a shorter one occurs in ordinary answers."""


@dataclass(frozen=True, slots=True)
class TurnEnd:
    """What ends an answer beside what the model file marks."""

    tokens: frozenset[int] = frozenset()
    """Control tokens the file does not mark as an end."""
    text: str = ""
    """Text the next turn begins with, where no token ends this one."""
    notice: str = ""


def find_turn_end(template: ChatTemplate, vocab: Vocabulary, form: Format) -> TurnEnd:
    """Render an answer and look behind it. A template that refuses tells nothing.

    A mark that also ends thoughts, or messages within a turn, does not end the turn.
    """
    if form.headers:
        return TurnEnd(_control_tokens(vocab, form.headers.turn_ends))
    try:
        rendered = template.render(
            [
                {"role": "user", "content": "Hello"},
                {"role": "assistant", "content": _ANSWER},
                {"role": "user", "content": _QUESTION},
            ]
        )
    except TemplateError:
        return TurnEnd()
    _, found, behind = rendered.partition(_ANSWER)
    between, asked, _ = behind.partition(_QUESTION)
    if not found or not asked:
        return TurnEnd()
    tokens = vocab.tokenize(between.lstrip(), special=True)
    if any(vocab.is_end(token) for token in tokens):
        return TurnEnd()
    control = next((token for token in tokens[:1] if vocab.is_control(token)), None)
    if control is not None and form.thoughts and vocab.spell(control) in form.thoughts.close:
        return TurnEnd()
    if control is not None:
        spelled = vocab.spell(control)[:40]
        return TurnEnd(
            frozenset((control,)),
            notice=f"The file does not say that {spelled} ends an answer; the chat template does, "
            "so answers end there.",
        )
    text = _role_marker(between)
    if len(text.strip()) < _SHORTEST:
        return TurnEnd(notice="Nothing in this model's chat template ends an answer; Esc stops it.")
    return TurnEnd(text=text)


def _control_tokens(vocab: Vocabulary, marks: Sequence[str]) -> frozenset[int]:
    found = (vocab.tokenize(mark, special=True) for mark in marks)
    return frozenset(one[0] for one in found if len(one) == 1 and vocab.is_control(one[0]))


def _role_marker(between: str) -> str:
    """The first line of text behind an answer, with the line break that parts them."""
    lines = between.strip().split("\n")
    return f"\n{lines[0].strip()}" if "\n" in between else lines[0]
