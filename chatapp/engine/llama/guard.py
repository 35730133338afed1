"""Control tokens that somebody wrote out as text, kept from acting as control tokens.

A prompt is rendered by a template and then tokenised with its control tokens recognised. Whatever
people, tools or a model put into a message may spell one (`<|im_end|>`); each such spelling is
replaced by a placeholder before the template sees it, and comes back as ordinary text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from chatapp.engine.llama.vocab import Vocab

_OPEN, _CLOSE = "\ue010", "\ue011"
_PLACEHOLDER = re.compile(f"{_OPEN}(\\d+){_CLOSE}")


class Guard:
    """The spellings that were replaced in one prompt."""

    def __init__(self, vocab: Vocab) -> None:
        self._vocab = vocab
        self._spelled: list[str] = []

    def cover(self, value: Any) -> Any:
        """`value`, and whatever it holds, with a placeholder for each spelling of a token."""
        if isinstance(value, str):
            return self._cover_text(value)
        if isinstance(value, Mapping):
            return {self.cover(key): self.cover(inner) for key, inner in value.items()}
        if isinstance(value, Sequence) and not isinstance(value, bytes):
            return [self.cover(inner) for inner in value]
        return value

    def divide(self, text: str) -> Iterator[tuple[str, bool]]:
        """The rendered text in pieces, and whether control tokens act in each."""
        at = 0
        for found in _PLACEHOLDER.finditer(text):
            if int(found[1]) < len(self._spelled):
                yield text[at : found.start()], True
                yield self._spelled[int(found[1])], False
                at = found.end()
        yield text[at:], True

    def uncover(self, text: str) -> str:
        """The text with every spelling as it was written."""
        return "".join(piece for piece, _ in self.divide(text))

    def _cover_text(self, text: str) -> str:
        if self._vocab.tokenize(text, special=False) == self._vocab.tokenize(text, special=True):
            return text
        return self._vocab.spellings.sub(self._replace, text)

    def _replace(self, found: re.Match[str]) -> str:
        self._spelled.append(found[0])
        return f"{_OPEN}{len(self._spelled) - 1}{_CLOSE}"
