"""What prompts and answers need of a vocabulary, whichever library the model runs in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from chatapp.engine.chat.spellings import Spellings


class Vocabulary(Protocol):
    """Text to token ids and back, through a model's own tokenizer."""

    n_tokens: int
    extra_ends: frozenset[int]
    """Tokens that the chat template ends answers with, though the model does not say so."""

    @property
    def is_spm(self) -> bool:
        """Whether a text has other tokens as a whole than in pieces, wherever it is cut."""

    @property
    def bos_text(self) -> str:
        """The text of the beginning-of-sequence token; empty where there is none."""

    @property
    def eos_text(self) -> str:
        """The text of the end-of-sequence token; empty where there is none."""

    def tokenize(self, text: str, *, special: bool, add_special: bool = False) -> list[int]:
        """Token ids of `text`. `special`: control tokens are recognised by their text;
        `add_special`: BOS and the like are added where the model wants them."""

    def tokenize_plain(self, text: str, *, add_special: bool = False) -> list[int]:
        """Token ids of a mark as ordinary text, though the vocabulary may have a token for it."""

    def piece(self, token: int, *, special: bool = False) -> bytes:
        """The bytes a token stands for; for control tokens nothing, or their text if `special`."""

    def spoken(self, token: int) -> tuple[bytes, bool]:
        """The bytes of a token, and whether it is a control token, which they then spell."""

    def spellings_in(self, mentions: Callable[[str], bool], name: str) -> Spellings:
        """The texts of control tokens, and of those that the template called `name` mentions."""

    def spell(self, token: int) -> str:
        """A control token's text as templates write it; empty for none (-1)."""

    def detokenize(self, tokens: list[int]) -> bytes:
        """The bytes that many tokens stand for, one after the other."""

    def is_end(self, token: int) -> bool:
        """Whether the model ends its turn with this token."""

    def is_control(self, token: int) -> bool:
        """Whether it stands for no text but steers the model."""

    def check(self, tokens: list[int]) -> None:
        """Raise `EngineError` if any id is not in this vocabulary."""


def tokenize_in_two(vocab: Vocabulary, text: str, *, add_special: bool = False) -> list[int]:
    """Token ids of `text`, which is not to become the one token that is spelled so."""
    tokens = vocab.tokenize(text, special=False, add_special=add_special)
    if not tokens or len(text) < 2 or vocab.spell(tokens[-1]) != text:
        return tokens
    return [
        *vocab.tokenize(text[:1], special=False, add_special=add_special),
        *vocab.tokenize(text[1:], special=False),
    ]


def is_mark(text: str) -> bool:
    """Whether a token's text is no word, and no white space or punctuation alone."""
    edges = text[:1] + text[-1:]
    return any(map(str.isalpha, text)) and not any(c.isalnum() or c in "_ \u2581" for c in edges)
