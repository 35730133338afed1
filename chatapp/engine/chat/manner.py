"""How one loaded model is spoken to and read: its template, its format, what ends its answers."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from chatapp.engine.chat.check import find_odd
from chatapp.engine.chat.detect import Understood, understand
from chatapp.engine.chat.format import PLAIN, Format
from chatapp.engine.chat.template import ChatTemplate
from chatapp.engine.chat.template_choice import choose_template
from chatapp.engine.chat.turn_end import find_turn_end
from chatapp.engine.chat.vocabulary import Vocabulary
from chatapp.engine.chat.writing import write_calls
from chatapp.engine.protocol import LoadOptions
from chatapp.errors import UsageError
from chatapp.gguf.sandbox import TemplateProcess

_TEXT_TO_TEXT = (
    "This model makes a text of a text: it reads the last message alone, without a system prompt "
    "and what was said before."
)


@dataclass(frozen=True, slots=True)
class Manner:
    """What was found out when the model was loaded."""

    vocab: Vocabulary
    template: ChatTemplate | None = None
    """None: text is completed."""
    is_raw: bool = False
    """No template was asked for: messages are the beginning of a text, control tokens included."""
    is_text_to_text: bool = False
    """An encoder reads one text, and a decoder says another: T5 and its kin."""
    understood: Understood = field(default_factory=lambda: Understood(PLAIN))
    stop: tuple[str, ...] = ()
    """Texts that end an answer."""
    notices: tuple[str, ...] = ()
    """Sentences for the user."""

    @property
    def form(self) -> Format:
        """How the model writes its turn."""
        return self.understood.form


def find_manner(
    own: Mapping[str, str],
    names: Iterable[str],
    vocab: Vocabulary,
    options: LoadOptions,
    process: TemplateProcess,
    *,
    is_text_to_text: bool = False,
) -> Manner:
    """How a model is spoken to that has the templates `own` and is called `names`; `vocab` learns
    of tokens that end answers. Raises `TemplateError` where nobody knows how."""
    if is_text_to_text:
        if options.chat_template:
            raise UsageError(
                "This model makes a text of a text, and has no use for a chat template.",
                "Leave out --chat-template, or its line in the settings.",
            )
        return Manner(vocab, is_text_to_text=True, notices=(_TEXT_TO_TEXT,))
    chosen = choose_template(own, names, vocab, options, process)
    template = chosen.template
    if template is None:
        return Manner(vocab, is_raw=options.raw, notices=tuple(chosen.notices))
    understood = understand(template)
    if calls := understood.form.calls:
        template.tell_calls = functools.partial(write_calls, calls)
    odd = find_odd(template, understood)
    end = find_turn_end(template, vocab, understood.form)
    vocab.extra_ends = end.tokens
    return Manner(
        vocab,
        template,
        options.raw,
        understood=understood,
        stop=(end.text,) if end.text else (),
        notices=(*chosen.notices, *odd, *filter(None, [end.notice])),
    )
