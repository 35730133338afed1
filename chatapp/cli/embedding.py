"""Texts through the engine, in batches, and what is printed of their vectors."""

import asyncio
import json
import math
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from chatapp.cli.progress import Progress
from chatapp.cli.setting import make_client
from chatapp.cli.table import clean_line, print_table
from chatapp.engine.embedding import Embed
from chatapp.text import cut_text

if TYPE_CHECKING:
    from chatapp.engine.client import EngineClient
    from chatapp.engine.protocol import LoadOptions, ModelDescription
    from chatapp.paths import Paths

_AT_ONCE = 32
_MOST_COMPARED = 10
"""Texts in a table of all pairs: what fits the width of a terminal."""
_SHOWN_NUMBERS = 3
_MOST_CHARACTERS = 42
"""Of a text in a table: with its numbers it fits 80 columns."""
_ROWS_AT_ONCE = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What was asked on the command line."""

    texts: list[str]
    near: str | None
    """Sort by the likeness to this."""
    as_json: bool
    normalize: bool
    load: "LoadOptions"


@dataclass(slots=True)
class _Row:
    """One text and what was found."""

    text: str
    vector: list[float]
    tokens: int | None
    """None: a server does not say."""
    cut: int
    similarity: float | None = None


def run(question: Question, paths: "Paths") -> None:
    """Print the embeddings. Raises what went wrong, and `BrokenPipeError`."""
    asyncio.run(_embed(question, make_client(paths)))


async def _embed(question: Question, client: "EngineClient") -> None:
    progress = Progress()
    try:
        model = await client.load(question.load, progress.show_load)
        progress.notice(model.notices)
        near: list[float] | None = None
        if question.near is not None:
            async for row in _compute([question.near], question, client):
                near = row.vector
        rows: list[_Row] = []
        n_cut = 0
        async for row in _compute(question.texts, question, client):
            progress.show_embedded(len(rows), len(question.texts))
            row.similarity = None if near is None else cosine(near, row.vector)
            n_cut += row.cut > 0
            if question.as_json and near is None:
                progress.clear()
                _print_json(row)  # a line at a time: nothing is held for long
            else:
                rows.append(row)
        progress.notice(_notices(n_cut, model))
    finally:
        progress.clear()
        await client.stop()
    rows.sort(key=lambda row: -(row.similarity or 0.0))
    if question.as_json:
        for row in rows:
            _print_json(row)
    elif near is not None:
        for row in rows:
            click.echo(f"{row.similarity:6.3f}  {clean_line(row.text)}")
    else:
        _print_rows(rows)


async def _compute(
    texts: Sequence[str], question: Question, client: "EngineClient"
) -> AsyncIterator[_Row]:
    for start in range(0, len(texts), _AT_ONCE):
        batch = list(texts[start : start + _AT_ONCE])
        found = await client.embed(Embed(texts=batch, normalize=question.normalize))
        for number, (text, vector) in enumerate(zip(batch, found.vectors, strict=True)):
            tokens = found.tokens[number] if found.tokens else None
            yield _Row(text, vector, tokens, found.cut[number] if found.cut else 0)


def cosine(a: Sequence[float], b: Sequence[float]) -> float:
    """How far two vectors point the same way: 1 the same, 0 nothing in common."""
    lengths = math.hypot(*a) * math.hypot(*b)
    return math.fsum(x * y for x, y in zip(a, b, strict=True)) / lengths if lengths else 0.0


def _notices(n_cut: int, model: "ModelDescription") -> list[str]:
    if not n_cut:
        return []
    what = "A text is longer" if n_cut == 1 else f"{n_cut} texts are longer"
    return [f"{what} than {model.n_ctx} tokens: what is behind them was not read."]


def _print_json(row: _Row) -> None:
    value: dict[str, object] = {"text": row.text}
    if row.similarity is not None:
        value["similarity"] = round(row.similarity, 6)
    if row.tokens is not None:
        value |= {"tokens": row.tokens, "tokens_cut": row.cut}
    value |= {
        "dimensions": len(row.vector),
        "embedding": [float(f"{x:.8g}") for x in row.vector],  # all that a 32-bit number says
    }
    click.echo(json.dumps(value))


def _print_rows(rows: Sequence[_Row]) -> None:
    """What each text is, and for several how alike they are."""
    table = [
        (
            str(number),
            "?" if row.tokens is None else f"{row.tokens:,}",
            " ".join(f"{x:.3f}" for x in row.vector[:_SHOWN_NUMBERS]) + " …",
            _shorten(row.text),
        )
        for number, row in enumerate(rows, 1)
    ]
    print_table(("", "tokens", f"{len(rows[0].vector)} numbers", "text"), table)
    if len(rows) < 2:
        return
    click.echo()
    if len(rows) <= _MOST_COMPARED:
        print_table(("cosine", *(row[0] for row in table)), list(_compare(rows)))
    else:
        print_table(("", "most like", "cosine", ""), list(_pair(rows)))


def _compare(rows: Sequence[_Row]) -> Iterator[Sequence[str]]:
    for number, one in enumerate(rows, 1):
        yield [str(number), *(f"{cosine(one.vector, other.vector):.3f}" for other in rows)]


def _pair(rows: Sequence[_Row]) -> Iterator[Sequence[str]]:
    """The nearest of the others for each, by products of matrices: there may be thousands."""
    import numpy as np

    vectors = np.array([row.vector for row in rows])
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-30)
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        alike = vectors[start : start + _ROWS_AT_ONCE] @ vectors.T
        own = np.arange(len(alike))
        alike[own, start + own] = -np.inf
        for offset, place in enumerate(alike.argmax(axis=1)):
            text = _shorten(rows[place].text)
            yield str(start + offset + 1), str(place + 1), f"{alike[offset, place]:.3f}", text


def _shorten(text: str) -> str:
    return cut_text(clean_line(text), _MOST_CHARACTERS)
