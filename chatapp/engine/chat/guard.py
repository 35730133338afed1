"""Marks that somebody wrote out as text, kept from acting as tokens that steer the model.

A prompt is rendered by a template and then tokenised with its control tokens recognised. Whatever
people, tools or a model put into a message may spell one (`<|im_end|>`), or the half of one that
the template completes (`<|im_end|` where it writes `>`); each such spelling is replaced by a
placeholder before the template sees it, and comes back as ordinary text. The same holds for tokens
that the file has as text and the template writes as marks (`<|start|>`, `<think>`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from chatapp.engine.chat.messages import Wire, calls_of
from chatapp.engine.chat.spellings import CLOSE, OPEN
from chatapp.engine.chat.template import ChatTemplate
from chatapp.engine.chat.vocabulary import Vocabulary

_PLACEHOLDER = re.compile(f"{OPEN}([0-9]{{1,9}}){CLOSE}")
_STRING = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.))", re.DOTALL)


class Guard:
    """The spellings that were replaced in one prompt."""

    def __init__(self, vocab: Vocabulary, template: ChatTemplate) -> None:
        self._vocab = vocab
        self._spellings = vocab.spellings_in(template.mentions, template.hash)
        self._spelled: list[str] = []

    def cover_message(self, message: Wire) -> Wire:
        """A message with its spellings covered, those in the arguments of its calls too."""
        calls = [
            {**call, "function": {**call["function"], "arguments": ""}}
            for call in calls_of(message)
        ]
        covered: Wire = self.cover({**message, "tool_calls": calls} if calls else message)
        for call, given in zip(calls_of(covered), calls_of(message), strict=True):
            call["function"]["arguments"] = self._cover_arguments(given["function"]["arguments"])
        return covered

    def cover(self, value: Any) -> Any:
        """`value`, and whatever it holds, with a placeholder for each spelling of a token."""
        if isinstance(value, str):
            return self._cover_text(value)
        if isinstance(value, Mapping):
            return {self.cover(key): self.cover(inner) for key, inner in value.items()}
        if isinstance(value, Sequence) and not isinstance(value, bytes):
            return [self.cover(inner) for inner in value]
        return value

    def tokenize(self, text: str, *, add_special: bool = False) -> list[int]:
        """The tokens of rendered text, in which only what the template wrote acts as a token."""
        tokens: list[int] = []
        for piece, acts in self._divide(text):
            if not piece:
                continue
            begins = add_special and not tokens
            if acts:
                tokens += self._vocab.tokenize(piece, special=True, add_special=begins)
            else:
                tokens += self._vocab.tokenize_plain(piece, add_special=begins)
        return tokens

    def _divide(self, text: str) -> Iterator[tuple[str, bool]]:
        """The rendered text in pieces, and whether control tokens act in each."""
        at = 0
        for found in _PLACEHOLDER.finditer(text):
            if int(found[1]) < len(self._spelled):
                yield text[at : found.start()], True
                yield self._spelled[int(found[1])], False
                at = found.end()
        yield text[at:], True

    def _cover_arguments(self, text: str) -> str:
        """JSON text, in whose strings everything is covered that a template would read there.

        What needs no escape is written without: `\\u003c` hides the `<` of a spelling.
        """
        try:
            json.loads(text)
        except (ValueError, RecursionError):  # a model may write anything
            return self._cover_text(text)
        return _STRING.sub(
            lambda found: f'"{self._cover_text(_ESCAPE.sub(_unescape, found[1]))}"', text
        )

    def _cover_text(self, text: str) -> str:
        covered, at = [], 0
        for begin, end in self._spellings.find(text):
            covered += [text[at:begin], f"{OPEN}{len(self._spelled)}{CLOSE}"]
            self._spelled.append(text[begin:end])
            at = end
        return "".join((*covered, text[at:]))


def _unescape(found: re.Match[str]) -> str:
    character = chr(int(found[1], 16)) if found[1] else found[2]
    if not found[1] and character != "/":
        return found[0]
    needs_it = character < " " or character in '"\\' or "\ud800" <= character <= "\udfff"
    return found[0] if needs_it else character
