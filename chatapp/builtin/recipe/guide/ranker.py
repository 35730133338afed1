"""Learns which facts a question is about, from the questions that were written for each.

Promises: the same questions and seed give the same weights on one machine. No question that is near
one of the files given with `--apart` is learned from. May not be imported by what is installed.

Run: `python -m chatapp.builtin.recipe.guide.ranker [OUT] --apart FILE…`.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from chatapp.builtin.recipe.guide.apart import find_near, read_apart
from chatapp.builtin.recipe.guide.inventing import read_table
from chatapp.builtin.recipe.guide.sources import read_beyond, read_small
from chatapp.builtin.recipe.guide.worlds import read_real
from chatapp.builtin.recipe.guide.written import FOLDS, fold_of, read_near, read_written
from chatapp.guide.facts import Fact, make_facts
from chatapp.guide.retrieval.examples import read_examples
from chatapp.guide.retrieval.learned import N_BUCKETS, SCALE, Weights, pack, read_pieces

NOTHING = ""
"""The id of what no fact is about."""
OUT = Path(__file__).parents[3] / "guide" / "retrieval" / "data" / "learned.npz"
SEED = 20
_WIDTH = 96
_EPOCHS = 14
_BATCH = 256
_RATE = 5e-3
_DROPPED = 0.3
"""Share of a question's pieces that are left out each time it is learned from."""
_SMOOTHING = 0.1
_REPEAT_NEAR = 3
"""What sounds near and is beyond is rare, and what is far is plain."""

Pieces = NDArray[np.int64]
Question = tuple[str, str]
"""A text, and the id of a fact or `NOTHING`."""


def main() -> None:
    """Learn from everything that was written, and write the weights that ship."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path, nargs="?", default=OUT)
    parser.add_argument("--apart", type=Path, nargs="*", default=[])
    options = parser.parse_args()
    questions = read_all(read_apart(options.apart))
    weights = learn(make_facts(read_real()), questions)
    with options.out.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **pack(weights))


def read_all(apart: Sequence[str] = ()) -> list[Question]:
    """Everything that can be learned from, but what is near a question of `apart`."""
    questions = [*read_questions(), *read_nothing()]
    near = find_near((text for text, _ in questions), apart)
    return [one for one in questions if one[0] not in near]


def read_questions() -> Iterator[Question]:
    """Every written question with the id of its fact."""
    for fact_id, examples in read_examples().items():
        yield from ((example, fact_id) for example in examples)
    for fact_id, written in read_written().items():
        for language in ("en", "zh"):
            yield from ((asked, fact_id) for asked in written.asked[language])
        yield from ((second, fact_id) for _, second in written.follow)
    for fact_id, table in read_table("wishes").items():
        phrases = chain.from_iterable(one.split(";") for one in table.values())
        yield from ((phrase.strip(), fact_id) for phrase in phrases if phrase.strip())


def read_nothing() -> Iterator[Question]:
    """Every text that no fact is about, with `NOTHING`."""
    for asked, _ in chain(*read_beyond(), read_small()):
        yield asked, NOTHING
    for asked in chain.from_iterable(read_near().values()):
        yield from [(asked, NOTHING)] * _REPEAT_NEAR


def learn_folds(apart: Sequence[str] = ()) -> list[Weights]:
    """Weights by fold, learned from all questions but the fold's own."""
    questions, facts = read_all(apart), make_facts(read_real())
    return [
        learn(facts, [one for one in questions if fold_of(one[0]) != fold]) for fold in range(FOLDS)
    ]


def learn(facts: Sequence[Fact], questions: Sequence[Question], seed: int = SEED) -> Weights:
    """Weights for `facts`, from questions of them; what asks for another fact is left out."""
    rows = {one: row for row, fact in enumerate(facts) for one in fact.ids}
    known = [(text, rows[fact_id]) for text, fact_id in questions if fact_id in rows]
    for row, fact in enumerate(facts):
        told = (fact.text["en"], fact.text["zh"], fact.words["en"], fact.words["zh"])
        known += [(text, row) for text in told if text]
    read = [np.array(read_pieces(text)) for text, _ in known]
    pieces, out = _fit(read, torch.tensor([row for _, row in known]), _WIDTH, len(facts), seed)
    others = [np.array(read_pieces(text)) for text, fact_id in questions if fact_id == NOTHING]
    is_about = torch.tensor([1] * len(read) + [0] * len(others))
    about, weight = _fit([*read, *others], is_about, 1, 0, seed)
    return Weights(
        tuple("|".join(fact.ids) for fact in facts),
        pieces,
        out[:, :-1],
        out[:, -1],
        np.append(about[:, 0] * weight[0, 0], weight[0, 1]).astype(np.float32),
    )


def _fit(
    read: Sequence[Pieces], wanted: torch.Tensor, width: int, n_out: int, seed: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """A vector for each bucket, and what it is multiplied with, the bias last: (n_out, width + 1).

    Without `n_out` it is told whether `wanted` is 1, each answer counting as much as the other.
    """
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    pieces = torch.nn.EmbeddingBag(N_BUCKETS, width, mode="mean", sparse=True)
    torch.nn.init.normal_(pieces.weight, std=0.1)
    out = torch.nn.Linear(width, n_out or 1)
    optimizers: list[Any] = [
        torch.optim.SparseAdam(list(pieces.parameters()), lr=_RATE),
        torch.optim.Adam(out.parameters(), lr=_RATE),
    ]
    rarer = (wanted == 0).sum() / max(1, int((wanted == 1).sum()))
    n_batches = -(-len(read) // _BATCH)
    for epoch in range(_EPOCHS):
        order, total = rng.permutation(len(read)), 0.0
        for batch, at in enumerate(range(0, len(read), _BATCH)):
            part = order[at : at + _BATCH]
            done = (epoch * n_batches + batch) / (_EPOCHS * n_batches)
            for optimizer in optimizers:
                optimizer.param_groups[0]["lr"] = _RATE * max(0.05, 1 - done)
                optimizer.zero_grad()
            kept = [_drop(read[one], rng) for one in part]
            starts = np.cumsum([0, *(len(one) for one in kept[:-1])])
            means = pieces(torch.from_numpy(np.concatenate(kept)), torch.from_numpy(starts))
            loss = _loss(out(SCALE * means), wanted[part], rarer if not n_out else None)
            loss.backward()
            for optimizer in optimizers:
                optimizer.step()
            total += loss.item()
        sys.stderr.write(f"epoch {epoch + 1} of {_EPOCHS}: loss {total / n_batches:.3f}\n")
    weight = torch.cat([out.weight, out.bias[:, None]], dim=1)
    return pieces.weight.detach().numpy(), weight.detach().numpy()


def _loss(given: torch.Tensor, wanted: torch.Tensor, rarer: torch.Tensor | None) -> Any:
    if rarer is None:
        return functional.cross_entropy(given, wanted, label_smoothing=_SMOOTHING)
    return functional.binary_cross_entropy_with_logits(
        given[:, 0], wanted.float(), pos_weight=rarer
    )


def _drop(pieces: Pieces, rng: np.random.Generator) -> Pieces:
    kept = pieces[rng.random(len(pieces)) > _DROPPED]
    return kept if len(kept) else pieces


if __name__ == "__main__":
    main()
