"""Learns which facts a question is about, from the questions that were written for each.

Promises: the same questions and seed give the same weights on one machine. No question that is near
one of the files given with `--apart` is learned from. May not be imported by what is installed.

Run: `python -m chatapp.builtin.recipe.guide.ranker [OUT] --apart FILE…`.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from chatapp.builtin.recipe.guide.apart import find_near, read_apart
from chatapp.builtin.recipe.guide.inventing import read_table
from chatapp.builtin.recipe.guide.sources import forms_of, read_beyond, read_small
from chatapp.builtin.recipe.guide.worlds import read_real
from chatapp.builtin.recipe.guide.written import FOLDS, fold_of, read_near, read_written
from chatapp.guide.facts import Fact, make_facts
from chatapp.guide.retrieval.examples import read_examples
from chatapp.guide.retrieval.finding import searched
from chatapp.guide.retrieval.learned import (
    N_ABOUT_BUCKETS,
    N_BUCKETS,
    SCALE,
    Vectors,
    Weights,
    hash_of,
    pack,
    read_pieces,
)
from chatapp.guide.retrieval.words import form_of

NOTHING = ""
"""The id of what no fact is about."""
OUT = Path(__file__).parents[3] / "guide" / "retrieval" / "data" / "learned.npz"
SEED = 20
_SMOOTHING = 0.1
_REPEAT_NEAR = 3
"""What sounds near and is beyond is rare, and what is far is plain."""


@dataclass(frozen=True, slots=True)
class _Plan:
    """How one of the two is learned."""

    n_buckets: int
    width: int
    epochs: int
    batch: int
    rate: float
    dropped: float
    """Share of a question's pieces that are left out each time it is learned from."""


_FACTS = _Plan(N_BUCKETS, 96, 12, 256, 5e-3, 0.4)
_ABOUT = _Plan(N_ABOUT_BUCKETS, 1, 12, 512, 1e-2, 0.5)
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
    weights = learn(searched(make_facts(read_real())), questions)
    with options.out.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **pack(weights))


def read_all(apart: Sequence[str] = ()) -> list[Question]:
    """Everything that can be learned from, but what is near a question of `apart`. What was written
    for a fact is about it, whatever else has it."""
    about = list(read_questions())
    known = forms_of(text for text, _ in about)
    questions = [*about, *(one for one in read_nothing() if form_of(one[0]) not in known)]
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
    for asked, _ in chain(*read_beyond(), *read_small().values()):
        yield asked, NOTHING
    for asked in chain.from_iterable(read_near().values()):
        yield from [(asked, NOTHING)] * _REPEAT_NEAR


def learn_folds(apart: Sequence[str] = ()) -> list[Weights]:
    """Weights by fold, learned from all questions but the fold's own."""
    questions, facts = read_all(apart), searched(make_facts(read_real()))
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
    texts = [text for text, _ in known]
    pieces, out = _fit(_FACTS, texts, torch.tensor([row for _, row in known]), len(facts), seed)
    others = [text for text, fact_id in questions if fact_id == NOTHING]
    is_about = torch.tensor([1] * len(texts) + [0] * len(others))
    about, weight = _fit(_ABOUT, [*texts, *others], is_about, 0, seed)
    ids = tuple("|".join(fact.ids) for fact in facts)
    odds = np.append(about[:, 0] * weight[0, 0], weight[0, 1])
    small = [hash_of(asked) for pairs in read_small().values() for asked, _ in pairs]
    return Weights(ids, Vectors.of(pieces), out, odds, np.unique(np.array(small, np.uint32)))


def _fit(
    plan: _Plan, texts: Sequence[str], wanted: torch.Tensor, n_out: int, seed: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """A vector for each bucket, none where no text has it, and what it is multiplied with, the bias
    last: (n_out, width + 1).

    Without `n_out` it is told whether `wanted` is 1, each answer counting as much as the other.
    """
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    read = [np.array(read_pieces(text, plan.n_buckets)) for text in texts]
    pieces = torch.nn.EmbeddingBag(plan.n_buckets, plan.width, mode="mean", sparse=True)
    torch.nn.init.normal_(pieces.weight, std=0.1)
    out = torch.nn.Linear(plan.width, n_out or 1)
    optimizers: list[Any] = [
        torch.optim.SparseAdam(list(pieces.parameters()), lr=plan.rate),
        torch.optim.Adam(out.parameters(), lr=plan.rate),
    ]
    rarer = (wanted == 0).sum() / max(1, int((wanted == 1).sum()))
    n_batches = -(-len(read) // plan.batch)
    for epoch in range(plan.epochs):
        order, total = rng.permutation(len(read)), 0.0
        for batch, at in enumerate(range(0, len(read), plan.batch)):
            part = order[at : at + plan.batch]
            done = (epoch * n_batches + batch) / (plan.epochs * n_batches)
            for optimizer in optimizers:
                optimizer.param_groups[0]["lr"] = plan.rate * max(0.05, 1 - done)
                optimizer.zero_grad()
            kept = [_drop(read[one], plan.dropped, rng) for one in part]
            starts = np.cumsum([0, *(len(one) for one in kept[:-1])])
            means = pieces(torch.from_numpy(np.concatenate(kept)), torch.from_numpy(starts))
            loss = _loss(out(SCALE * means), wanted[part], rarer if not n_out else None)
            loss.backward()
            for optimizer in optimizers:
                optimizer.step()
            total += loss.item()
        sys.stderr.write(f"epoch {epoch + 1} of {plan.epochs}: loss {total / n_batches:.3f}\n")
    weight = torch.cat([out.weight, out.bias[:, None]], dim=1)
    vectors = np.zeros((plan.n_buckets, plan.width), np.float32)
    seen = np.unique(np.concatenate(read))
    vectors[seen] = pieces.weight.detach().numpy()[seen]
    return vectors, weight.detach().numpy()


def _loss(given: torch.Tensor, wanted: torch.Tensor, rarer: torch.Tensor | None) -> Any:
    if rarer is None:
        return functional.cross_entropy(given, wanted, label_smoothing=_SMOOTHING)
    return functional.binary_cross_entropy_with_logits(
        given[:, 0], wanted.float(), pos_weight=rarer
    )


def _drop(pieces: Pieces, share: float, rng: np.random.Generator) -> Pieces:
    kept = pieces[rng.random(len(pieces)) > share]
    return kept if len(kept) else pieces


if __name__ == "__main__":
    main()
