"""Embeddings on OpenAI's wire: what is sent, and what comes back."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import msgspec

from chatapp.engine.chunks import count_in

AT_ONCE = 16
"""Texts in one request: vectors of 8,192 numbers fit the bound on an answer."""


class _Row(msgspec.Struct):
    index: int
    embedding: list[float]


class _Usage(msgspec.Struct):
    prompt_tokens: Any = 0


class _Answer(msgspec.Struct):
    data: list[_Row]
    usage: _Usage | None = None


def make_embedding_body(model: str, texts: Sequence[str]) -> dict[str, object]:
    """The request for the embeddings of `texts`."""
    return {"model": model, "input": list(texts), "encoding_format": "float"}


def read_vectors(body: bytes, n_texts: int) -> tuple[list[list[float]], int]:
    """(a vector for each text, in order; tokens of all). `ValueError` for anything else."""
    answer = msgspec.json.decode(body, type=_Answer)
    rows = {row.index: row.embedding for row in answer.data}
    if sorted(rows) != list(range(n_texts)) or len(answer.data) != n_texts:
        raise ValueError("not one vector for each text")
    vectors = [rows[index] for index in range(n_texts)]
    if not vectors[0] or len({len(vector) for vector in vectors}) > 1:
        raise ValueError("vectors of different lengths, or empty")
    if not all(math.isfinite(x) for vector in vectors for x in vector):
        raise ValueError("numbers that are not finite")
    return vectors, count_in(answer.usage.prompt_tokens) if answer.usage else 0
