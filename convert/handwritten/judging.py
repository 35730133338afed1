"""Lets a trained model say how it was built: in which form it understands a text best.

Forms are compared token by token on the same text: the mean difference of their losses, in nats,
and its standard error. Nothing here knows how losses are computed.

The search begins at the likeliest form and looks at every form that differs in one or two
switches, from the best of them again, until none is better: a model that differs from what most
people write in two things is found although neither alone may help. What it finds is then compared
switch by switch on a longer text.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from math import log, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.handwritten.form import Form

Losses = Callable[[NDArray[np.int64], Form], NDArray[np.float64]]

# A difference counts when it is five standard errors, so that among some hundred forms none is
# better by chance, and a hundredth of a nat: neighbouring tokens are no independent draws.
CLEAR_ERRORS, CLEAR_NATS = 5.0, 0.01
# Where the losses of two forms differ by less at a token, it makes no difference which is taken.
SAME_NATS = 0.003
# A trained model beats the frequencies of the text's own tokens by more than this.
TRAINED_NATS = 0.1
# The frequencies of a few tokens flatter themselves by up to a nat; who is this much worse knows
# nothing of the text, and more of it would change nothing.
_UNTRAINED_NATS = 2.0
_ROUNDS = 4
_LONGER = (2048, 8192, 32768)  # tokens: more where fewer do not decide
_SECONDS = 45.0  # that a search may take; pairs of switches are left out beyond
_PAIRS_SECONDS = 20.0  # from where on a search goes on with single switches
_PATIENCE = 15.0  # seconds for another look at a longer text: a large model leaves less to chance


@dataclass(frozen=True)
class Contest:
    """One switch at its best value against the best of its other values."""

    switch: str
    best: Any
    other: Any
    loss: float
    """Mean nats a token at the best value."""
    worse: float
    """By how much the other is worse, in nats a token."""
    error: float
    """The standard error of that."""
    apart: float
    """How far the two are apart at a token, in nats, on average."""

    @property
    def clear(self) -> bool:
        """Whether the best is better beyond chance."""
        return self.worse > CLEAR_NATS and self.worse > CLEAR_ERRORS * self.error

    @property
    def close(self) -> bool:
        """Whether neither is better by as much as counts."""
        return self.same or self.worse < CLEAR_NATS / 2

    @property
    def same(self) -> bool:
        """Whether it makes no difference."""
        return self.apart < SAME_NATS


@dataclass(frozen=True)
class Verdict:
    """What a text says of a model."""

    form: Form
    """The best."""
    contests: dict[str, Contest]
    """By switch, against the best other value."""
    against_first: dict[str, Contest]
    """By switch, against the value that was likeliest before; where the best is another."""
    loss: float
    """Mean nats a token."""
    frequencies: float
    """What knowing how often each token comes would give, in nats."""
    n_tokens: int
    seconds: float

    def decided(self, asked: frozenset[str]) -> bool:
        """Whether more text would change nothing that matters."""
        moved = [*asked, *self.against_first]
        open_ones = [self.contests[switch] for switch in moved if switch in self.contests]
        open_ones += self.against_first.values()
        return all(one.clear or one.close for one in open_ones) or not self.trained

    @property
    def trained(self) -> bool:
        """Whether the model knows anything of the text."""
        return self.loss < self.frequencies - TRAINED_NATS


def judge(
    first: Form,
    switches: Mapping[str, tuple[Any, ...]],
    ids: NDArray[np.int64],
    length: int,
    losses: Losses,
    tell: Callable[[str], None],
    asked: frozenset[str] = frozenset(),
    *,
    two: bool = True,
) -> Verdict:
    """The form, among those that `switches` allow, in which `ids` are understood best.

    They are read in pieces of `length`, which must not be more than the model has learned: beyond
    that a wrong form may do better than the right one.

    `tell` is told how long it takes before it begins. Of `asked` switches the first value is no
    likelier than the others: more text is read until they are decided, too. `two`: forms that
    differ in two switches are looked at, if that takes no time.
    """
    started = time.monotonic()
    short = windows(ids, min(length, 64), 256)
    search = Search(switches, losses, short)
    search.loss(first)  # warm
    at = time.monotonic()
    search.losses_of(first)
    cost = max(1e-4, time.monotonic() - at)
    n_single = sum(len(values) - 1 for values in switches.values())
    n_pair = sum(
        (len(switches[a]) - 1) * (len(switches[b]) - 1) for a, b in combinations(switches, 2)
    )
    pairs = two and cost * n_pair < _SECONDS
    by_token = cost * (n_single + 1) / short.size
    longer = by_token * windows(ids, length, _LONGER[0]).size
    seconds = cost * (2 * n_single + (1.5 * n_pair if pairs else 0))
    seconds += longer if longer < _PATIENCE else 0
    tell(
        f"Measuring how the model computes: {n_single + n_pair * pairs} forms that its tensors "
        f"allow, about {max(1, round(seconds))} s."
    )
    best = search.climb(first, pairs=pairs)
    verdict = search.verdict(first, best, started)
    for n_tokens in _LONGER if verdict.loss < verdict.frequencies + _UNTRAINED_NATS else ():
        longer_ids = windows(ids, length, n_tokens)
        spent, takes = time.monotonic() - started, by_token * longer_ids.size
        if longer_ids.size <= verdict.n_tokens or takes > _PATIENCE or spent + takes > _SECONDS:
            break
        if n_tokens > _LONGER[0] and verdict.decided(asked):
            break
        search.ids = longer_ids
        best = search.climb(best, pairs=False)
        verdict = search.verdict(first, best, started)
    return verdict


def windows(ids: NDArray[np.int64], length: int, n_tokens: int) -> NDArray[np.int64]:
    """`ids` as whole windows [n, length], at most `n_tokens` of them, spread over the text."""
    length = max(2, min(length, len(ids)))
    n = max(1, min(n_tokens // length, len(ids) // length))
    starts = np.linspace(0, len(ids) - length, n).astype(int)
    return np.stack([ids[start : start + length] for start in starts])


class Search:
    """Forms near one another on one text; what was measured is remembered."""

    def __init__(
        self, switches: Mapping[str, tuple[Any, ...]], losses: Losses, ids: NDArray[np.int64]
    ) -> None:
        """`ids` [n, length]."""
        self._switches = switches
        self._losses = losses
        self._known: dict[tuple[Form, int], NDArray[np.float64]] = {}
        self.ids = ids

    def losses_of(self, form: Form) -> NDArray[np.float64]:
        """Nats of each token, not from memory."""
        return self._losses(self.ids, form)

    def loss(self, form: Form) -> float:
        """Mean nats a token."""
        return float(self.of(form).mean())

    def of(self, form: Form) -> NDArray[np.float64]:
        """Nats of each token."""
        key = form, self.ids.size
        if key not in self._known:
            self._known[key] = self.losses_of(form)
        return self._known[key]

    def climb(self, form: Form, *, pairs: bool) -> Form:
        """The best form that steps of one switch, or of two, lead to.

        Of an untrained model every round finds a form that is better by chance.
        """
        began = time.monotonic()
        for _ in range(_ROUNDS):
            pairs = pairs and time.monotonic() - began < _PAIRS_SECONDS
            near = [*self._single(form), *(self._double(form) if pairs else ())]
            best = min(near, key=self.loss, default=form)
            if self.loss(best) >= self.loss(form) - 1e-6:
                return form
            form = best
        return form

    def _single(self, form: Form) -> Iterator[Form]:
        for switch, values in self._switches.items():
            yield from (form.but(**{switch: v}) for v in values if v != form.value(switch))

    def _double(self, form: Form) -> Iterator[Form]:
        for a, b in combinations(self._switches, 2):
            for x in self._switches[a]:
                for y in self._switches[b]:
                    if x != form.value(a) and y != form.value(b):
                        yield form.but(**{a: x, b: y})

    def verdict(self, first: Form, best: Form, started: float) -> Verdict:
        """Every switch of the best form against its other values."""
        contests, against_first = {}, {}
        for switch, values in self._switches.items():
            value = best.value(switch)
            others = [best.but(**{switch: v}) for v in values if v != value]
            rival = min(others, key=self.loss)
            contests[switch] = self._contest(switch, best, rival)
            if value != first.value(switch):
                usual = best.but(**{switch: first.value(switch)})
                against_first[switch] = self._contest(switch, best, usual)
        return Verdict(
            form=best,
            contests=contests,
            against_first=against_first,
            loss=self.loss(best),
            frequencies=_entropy(self.ids),
            n_tokens=self.ids.size,
            seconds=time.monotonic() - started,
        )

    def _contest(self, switch: str, best: Form, other: Form) -> Contest:
        gap = self.of(other) - self.of(best)
        return Contest(
            switch=switch,
            best=best.value(switch),
            other=other.value(switch),
            loss=self.loss(best),
            worse=float(gap.mean()),
            error=float(gap.std() / sqrt(len(gap))),
            apart=float(np.abs(gap).mean()),
        )


def _entropy(ids: NDArray[np.int64]) -> float:
    """Nats a token of a text's own frequencies."""
    _, counts = np.unique(ids, return_counts=True)
    shares = counts / counts.sum()
    return float(-(shares * np.log(shares)).sum()) if len(counts) > 1 else log(2)
