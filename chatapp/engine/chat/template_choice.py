"""The chat template a model is spoken to with: the one asked for, its own, or the nearest known.

A model that was made to answer never completes text in silence. Where its template cannot be used,
the format that its control tokens tell takes its place, and that is said; where they tell none, the
model is refused. A model without a template completes text, as models do that were only pretrained.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from chatapp.engine.chat.template import HINT, ChatTemplate
from chatapp.engine.chat.vocabulary import Vocabulary
from chatapp.engine.protocol import LoadOptions
from chatapp.errors import TemplateError
from chatapp.gguf.known import KnownFormat, nearest_format
from chatapp.gguf.sandbox import TemplateProcess

FOR_TOOLS = "tool_use"
"""The name of a template that is used when tools are given."""
_ANSWERS = re.compile(
    r"(?<![a-z])(instruct(ion)?|chat|it|assistant|sft|dpo|rlhf|orpo)(?![a-z])", re.IGNORECASE
)
_NONE = "This model has no chat template: it completes text instead of answering."
_OTHER = "--chat-template FILE gives another."


@dataclass(frozen=True, slots=True)
class Choice:
    """A template, or none where text is completed, and what the user should know of it."""

    template: ChatTemplate | None = None
    notices: list[str] = field(default_factory=list)


def choose_template(
    own: Mapping[str, str],
    names: Iterable[str],
    vocab: Vocabulary,
    options: LoadOptions,
    process: TemplateProcess,
) -> Choice:
    """The template of a model that is called `names` and has these of its `own` by their names,
    that of its default one empty. Raises `TemplateError` where a model answers, but nobody knows
    how it is spoken to."""
    chooser = _Chooser(names, vocab, process)
    if options.raw:
        return Choice()
    if options.chat_template:
        return chooser.wrap(chooser.make(options.chat_template))
    if own:
        return chooser.choose_own(own)
    return chooser.choose_without()


class _Chooser:
    def __init__(self, names: Iterable[str], vocab: Vocabulary, process: TemplateProcess) -> None:
        self._names = names
        self._vocab = vocab
        self._process = process

    def make(self, source: str, for_tools: str = "") -> ChatTemplate:
        """A template that can be used. Raises `TemplateError`."""
        template = ChatTemplate(
            source,
            self._vocab.bos_text,
            self._vocab.eos_text,
            self._process,
            for_tools=for_tools,
        )
        _ = template.traits
        return template

    @staticmethod
    def wrap(template: ChatTemplate, *before: str) -> Choice:
        return Choice(template, [*before])

    def choose_own(self, own: Mapping[str, str]) -> Choice:
        """The first of the model's templates that can be used; else the nearest format."""
        failures: list[str] = []
        for name, source in own.items():
            try:
                template = self.make(source, for_tools=own.get(FOR_TOOLS, ""))
            except TemplateError as error:
                failures.append(error.message)
                continue
            if name not in ("", "default", FOR_TOOLS):
                failures.append(f"The chat template that is used is the one named {name}.")
            return self.wrap(template, *failures)
        known = nearest_format(self._is_token, "\n".join(own.values()))
        if known is None:
            raise TemplateError(failures[0], HINT)
        sentence = f"{failures[0]} The model is spoken to in {known.title} format, "
        return self._use(known, f"{sentence}which its control tokens tell; {_OTHER}")

    def choose_without(self) -> Choice:
        """Text is completed, unless the model's name and tokens say that it answers."""
        known = nearest_format(self._is_token)
        if known is None:
            return Choice(notices=[_NONE])
        if not self._says_it_answers():
            return Choice(
                notices=[
                    f"{_NONE} To speak to it in {known.title} format: --chat-template {known.name}."
                ]
            )
        return self._use(
            known,
            f"This model has no chat template. It is spoken to in {known.title} format, which its "
            f"control tokens tell; {_OTHER}",
        )

    def _use(self, known: KnownFormat, notice: str) -> Choice:
        return self.wrap(self.make(known.source), notice)

    def _is_token(self, text: str) -> bool:
        return len(self._vocab.tokenize(text, special=True)) == 1

    def _says_it_answers(self) -> bool:
        return any(map(_ANSWERS.search, self._names))
