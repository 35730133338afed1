"""A tokenizer as llama.cpp will see it. Every special id is explicit: defaults are a trap.

The surprising fact: when a GGUF names no end-of-text token, llama.cpp takes id 11, whatever that
is (in a character vocabulary a semicolon), and stops there.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path


class TokenKind(IntEnum):
    """llama.cpp's token types (`enum llama_token_type`), those that occur here."""

    NORMAL = 1
    CONTROL = 3
    USER_DEFINED = 4
    UNUSED = 5


@dataclass(frozen=True)
class Vocab:
    """Tokens, merges and special ids. Token texts are unique and none is empty."""

    model: str
    """`tokenizer.ggml.model`: which algorithm."""
    pre: str
    """`tokenizer.ggml.pre`: how text is split before the merges."""
    tokens: tuple[str, ...]
    kinds: tuple[TokenKind, ...]
    merges: tuple[str, ...]
    special_ids: dict[str, int]
    """By role: bos, eos, eot, pad, unk. bos and eos are always there."""
    add_bos: bool
    add_eos: bool
    chat_template: str | None
    source: Path
    """The file it was read from; the proof reads it again with the reference tokenizer."""
    notes: tuple[str, ...] = ()
