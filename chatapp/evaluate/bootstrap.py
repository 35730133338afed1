"""How far a score could be chance: the examples are drawn again, with repetition, many times.

Every score here is a function of a sum over examples (`Statistics`), so that a thousand draws cost
a product of matrices. Draws depend on the seed and the number of examples alone: two models that
answered the same examples are drawn alike, which makes their difference a paired one.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from chatapp.evaluate.metrics import Statistics

N_DRAWS = 1000
SEED = 12_345
LEVEL = 0.05
"""A difference that chance would make less often counts as one."""
_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class Interval:
    """A score, and between what 95 % of the draws lie."""

    score: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Difference:
    """Of two scores, the second less the first, over the same examples."""

    interval: Interval
    p: float
    """How often draws differ from their mean by as much: two-sided, as sacrebleu has it."""

    @property
    def is_more_than_chance(self) -> bool:
        """Whether chance alone would make it in fewer than 5 of 100 cases."""
        return self.p < LEVEL


def draw_scores(found: Statistics, seed: int = SEED, n_draws: int = N_DRAWS) -> list[float]:
    """The score of each draw."""
    import numpy as np

    rng, rows = np.random.default_rng(seed), np.array(found.rows, dtype=np.float64)
    n, scores = len(rows), []
    for begin in range(0, n_draws, _AT_ONCE):
        counts = rng.multinomial(n, np.full(n, 1 / n), size=min(_AT_ONCE, n_draws - begin))
        scores += [found.score(sums) for sums in (counts @ rows).tolist()]
    return scores


def find_interval(found: Statistics, scores: Sequence[float]) -> Interval:
    """The score of all examples, and the interval of the `scores` that were drawn."""
    return Interval(found.total, *_middle(scores))


def find_difference(
    a: Statistics, b: Statistics, drawn_a: Sequence[float], drawn_b: Sequence[float]
) -> Difference:
    """Whether `b` differs from `a`, drawn alike."""
    drawn = [second - first for first, second in zip(drawn_a, drawn_b, strict=True)]
    mean, seen = sum(drawn) / len(drawn), b.total - a.total
    as_far = sum(abs(one - mean) >= abs(seen) - 1e-12 for one in drawn)
    return Difference(Interval(seen, *_middle(drawn)), (as_far + 1) / (len(drawn) + 1))


def _middle(scores: Sequence[float]) -> tuple[float, float]:
    import numpy as np

    low, high = np.percentile(scores, [100 * LEVEL / 2, 100 * (1 - LEVEL / 2)])
    return float(low), float(high)
