"""What a vocabulary is read for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Wanted:
    """The model's side, and what the user asked for."""

    n_rows: int
    """Rows of the model's token embedding."""
    config: Mapping[str, Any] = field(default_factory=dict)
    """The checkpoint's own configuration, which may name special ids."""
    chat_template: str | None = None
    """A template to use instead of the tokenizer's own; empty: none is wanted."""
    pre: str | None = None
    """llama.cpp's name of a pre-tokenizer, instead of the one found."""
    inexact: bool = False
    """Whether a tokenizer that llama.cpp is known to run otherwise is taken all the same."""
