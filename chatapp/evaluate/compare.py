"""Two models at the same examples: which of them is better, and whether chance would do as much."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from chatapp.errors import UsageError
from chatapp.evaluate.bootstrap import Difference, draw_scores, find_difference
from chatapp.evaluate.kept import KeptScores
from chatapp.evaluate.metrics import Statistics

_SAME = 1e-9
LOWER_IS_BETTER = ("perplexity", "bits_per_byte")


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """What two models reached by one metric, and whether chance would do as much."""

    name: str
    a: float
    b: float
    difference: float
    """`b` less `a`."""
    low: float
    high: float
    """Between these lie 95 % of the differences that were drawn, pairs together."""
    p: float
    more_than_chance: bool
    wins: int
    """Examples at which `b` is better."""
    losses: int
    ties: int
    digits: int

    @property
    def better(self) -> str:
        """`A`, `B`, or nothing where chance would do as much."""
        if not self.more_than_chance:
            return ""
        return "B" if (self.difference > 0) != (self.name in LOWER_IS_BETTER) else "A"

    def as_json(self) -> dict[str, Any]:
        """Its fields by name, and which is better."""
        return asdict(self) | {"better": self.better}


@dataclass(frozen=True, slots=True)
class Differing:
    """An example at which they differ, by one metric."""

    place: int
    """From 0."""
    metric: str
    a: float
    b: float


def compare_statistics(a: Statistics, b: Statistics, seed: int) -> Compared:
    """One metric of two runs over the same examples."""
    found: Difference = find_difference(a, b, draw_scores(a, seed), draw_scores(b, seed))
    sign = -1 if a.name in LOWER_IS_BETTER else 1
    apart = [sign * (of_b - of_a) for of_a, of_b in zip(a.each, b.each, strict=True)]
    wins, losses = sum(one > _SAME for one in apart), sum(one < -_SAME for one in apart)
    return Compared(
        name=a.name,
        a=a.total,
        b=b.total,
        difference=found.interval.score,
        low=found.interval.low,
        high=found.interval.high,
        p=found.p,
        more_than_chance=found.is_more_than_chance,
        wins=wins,
        losses=losses,
        ties=len(apart) - wins - losses,
        digits=a.digits,
    )


def compare_kept(a: KeptScores, b: KeptScores, seed: int) -> tuple[list[Compared], list[int]]:
    """(every metric that both have, the places of the examples in `a` and `b` in order of how far
    the first metric differs). Raises `UsageError` where they were not asked the same."""
    if a.ids != b.ids:
        raise UsageError(
            f"They were not asked the same: {len(a.ids):,} examples and {len(b.ids):,}.",
            "One may have been stopped. Measure both again: chatapp eval compare A B FILE",
        )
    names = [name for name in a.statistics if name in b.statistics]
    if not names:
        raise UsageError("They have no metric in common.", "Measure both by the same metric.")
    for name in names:
        ours, theirs = a.statistics[name].signature, b.statistics[name].signature
        if ours != theirs:
            raise UsageError(f"{name} was measured otherwise: {ours} and {theirs}.")
    compared = [compare_statistics(a.statistics[name], b.statistics[name], seed) for name in names]
    differing = find_differing(a.statistics[names[0]], b.statistics[names[0]])
    return compared, [one.place for one in differing]


def find_differing(a: Statistics, b: Statistics) -> list[Differing]:
    """The examples at which they differ, the farthest first."""
    pairs = enumerate(zip(a.each, b.each, strict=True))
    found = [Differing(place, a.name, first, second) for place, (first, second) in pairs]
    apart = [one for one in found if abs(one.a - one.b) > _SAME]
    return sorted(apart, key=lambda one: -abs(one.a - one.b))


def keep_common(a: KeptScores, b: KeptScores) -> tuple[KeptScores, KeptScores]:
    """Both at the examples that both answered: one may have been stopped, or failed."""
    common = set(a.ids) & set(b.ids)
    return _choose(a, common), _choose(b, common)


def _choose(kept: KeptScores, ids: "set[str]") -> KeptScores:
    places = [place for place, name in enumerate(kept.ids) if name in ids]
    return KeptScores(
        _pick(kept.ids, places),
        _pick(kept.answers, places),
        {name: _choose_rows(one, places) for name, one in kept.statistics.items()},
    )


def _choose_rows(found: Statistics, places: Sequence[int]) -> Statistics:
    return replace(found, rows=[found.rows[place] for place in places])


def _pick(texts: Sequence[str], places: Sequence[int]) -> list[str]:
    return [texts[place] for place in places]
