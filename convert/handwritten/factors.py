"""Finds a number that the author's code multiplies a part with, where no switch explains a model.

One part after another is multiplied by whatever makes the text best understood, or comes nearest
to the author's code; then the switches are looked at again. Numbers that people write (a root of
the width, a third, twelve) are taken for the measured ones where they are as good.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from math import exp, log, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.handwritten.form import Form
from convert.handwritten.judging import CLEAR_ERRORS, CLEAR_NATS, Losses, Search
from convert.handwritten.roles import Roles

_GRID = (0.05, 0.1, 0.2, 0.35, 0.6, 1.6, 2.8, 5.0, 8.0, 14.0, 22.0)
_NARROWER = 14  # steps between two of them: to a thousandth
_SURE = 1.9  # a factor of logits below it is no code's: models in the right form measure 0.7 to 1.8
_LEAST_GAIN = 0.15  # nats; a third on the logits costs 0.7
_AT_ONCE = 2  # factors of one model
_STEPS = (0.1, 0.1, 0.03, 0.01, 1e-3, 1e-3)  # of factors' logarithms, between points of a slope
_FARTHEST = 0.3  # that one step goes
_ROUNDING = 1e-10  # nats
_PLAIN = (1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 32, 64)


def find_factors(
    starts: Iterable[Form],
    switches: Mapping[str, tuple[Any, ...]],
    factors: Sequence[str],
    seen: NDArray[np.int64],
    losses: Losses,
    roles: Roles,
) -> Form | None:
    """The best form with a factor from any of `starts`, which understands `seen` clearly better
    than all of them; None where there is none.

    A factor of logits near one says how sure training has left the model, and no more.
    """
    search = Search(switches, losses, seen)
    found, before = [], []
    for start in dict.fromkeys(starts):
        form = calibrated(start, seen, losses)
        gain = search.loss(start) - search.loss(form)
        before.append(form if is_sure(form, start, gain) else start)
        for _ in range(_AT_ONCE):
            multiplied = _best_factor(search, form, factors)
            if search.loss(multiplied) > search.loss(form) - CLEAR_NATS:
                break
            form = _polished(search, search.climb(multiplied, pairs=False))
        found.append((form, start))
    best, start = min(found, key=lambda pair: search.loss(pair[0]))
    best = _written(search, best, roles, CLEAR_NATS / 20)
    gap = search.of(min(before, key=search.loss)) - search.of(best)
    if not gap.mean() > max(CLEAR_NATS, CLEAR_ERRORS * gap.std() / sqrt(len(gap))):
        return None
    gain = search.loss(best.but(logits_factor=start.logits_factor)) - search.loss(best)
    if is_sure(best, start, gain):
        best = best.but(logits_factor=start.logits_factor)
    return best if best.factors() != start.factors() else None


def match_code(
    starts: Iterable[Form],
    switches: Mapping[str, tuple[Any, ...]],
    factors: Sequence[str],
    seen: NDArray[np.int64],
    distances: Losses,
    matched: float,
) -> Form | None:
    """A form with factors, from any of `starts`, that is at most `matched` nats from the code on
    `seen`; None where none is.

    What is near is not what the code computes: a factor could hide any other difference.
    """
    search = Search(switches, distances, seen)
    for start in dict.fromkeys(starts):
        form = start
        for _ in range(_AT_ONCE):
            nearer = search.climb(_best_factor(search, form, factors), pairs=False)
            if search.loss(nearer) >= search.loss(form):
                break
            form = _closest(search, nearer)
            if search.loss(form) <= matched:
                return form
    return None


def calibrated(form: Form, seen: NDArray[np.int64], losses: Losses) -> Form:
    """`form` with its logits multiplied by what makes the text best understood."""
    at = form.logits_factor

    def loss(factor: float) -> float:
        return float(losses(seen, form.but(logits_factor=factor)).mean())

    nearest = min((at * by for by in (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)), key=loss)
    return form.but(logits_factor=_minimum(loss, nearest))


def is_sure(form: Form, start: Form, gain: float) -> bool:
    """Whether the logits' factor is no other than training leaves: too sure, or not enough.

    `gain`: nats a token that it saves; of a text known by heart they are few.
    """
    return 1 / _SURE < form.logits_factor / start.logits_factor < _SURE or gain < _LEAST_GAIN


def _best_factor(search: Search, form: Form, factors: Sequence[str]) -> Form:
    """`form` with one more factor, the one that helps most."""
    tried = [form.but(**{f: form.value(f) * by}) for f in factors for by in _GRID]
    return _polished(search, min(tried, key=search.loss))


def _polished(search: Search, form: Form) -> Form:
    """The same factors at their best."""
    for name, value in form.factors().items():

        def loss(x: float, form: Form = form, name: str = name) -> float:
            return search.loss(form.but(**{name: x}))

        form = form.but(**{name: _minimum(loss, value)})
    return form


def _closest(search: Search, form: Form) -> Form:
    """The same factors where they are nearest to the code.

    The distance is a paraboloid of their logarithms there, so that Newton's steps, over points
    that lie nearer and nearer, come to all digits that a float has.
    """
    names = list(form.factors())
    for step in _STEPS:
        at = [form.value(name) for name in names]

        def moved(moves: NDArray[np.float64], form: Form = form, at: list[float] = at) -> Form:
            values = (x * exp(move) for x, move in zip(at, moves, strict=True))
            return form.but(**dict(zip(names, values, strict=True)))

        def loss(moves: NDArray[np.float64], moved: Callable[..., Form] = moved) -> float:
            return search.loss(moved(moves))

        units = list(np.eye(len(names)) * step)
        slope = np.array([(loss(u) - loss(-u)) / (2 * step) for u in units])
        bends = np.array(
            [
                [(loss(u + w) - loss(u - w) - loss(w - u) + loss(-u - w)) / 4 for w in units]
                for u in units
            ]
        )
        move = np.linalg.lstsq(bends / step**2, -slope, rcond=None)[0].clip(-_FARTHEST, _FARTHEST)
        form = min((moved(move), form), key=search.loss)
    tidy = form.but(**{name: float(f"{x:.4g}") for name, x in form.factors().items()})
    return tidy if search.loss(tidy) <= search.loss(form) + _ROUNDING else form


def _minimum(loss: Callable[[float], float], at: float) -> float:
    """Where `loss` is least around `at`, by the golden section of its logarithm."""
    golden = (sqrt(5) - 1) / 2
    low, high = log(at / 2), log(at * 2)
    a, b = high - golden * (high - low), low + golden * (high - low)
    loss_a, loss_b = loss(exp(a)), loss(exp(b))
    for _ in range(_NARROWER):
        if loss_a < loss_b:
            high, b, loss_b = b, a, loss_a
            a = high - golden * (high - low)
            loss_a = loss(exp(a))
        else:
            low, a, loss_a = a, b, loss_b
            b = low + golden * (high - low)
            loss_b = loss(exp(b))
    return exp((low + high) / 2)


def _written(search: Search, form: Form, roles: Roles, tolerance: float) -> Form:
    """`form` with the numbers that people write for its factors, where they lose no more than
    `tolerance` nats a token; others keep four digits."""
    for name, value in form.factors().items():
        best = search.loss(form)
        near = [x for x in numbers(name, form, roles) if 0.9 < x / value < 1.11]
        tried = {x: search.loss(form.but(**{name: x})) for x in near}
        good = min(tried, key=lambda x: tried[x], default=None)
        kept = good is not None and tried[good] < best + tolerance
        form = form.but(**{name: good if kept else float(f"{value:.4g}")})
    return form


def numbers(name: str, form: Form, roles: Roles) -> list[float]:
    """What people multiply the part `name` by."""
    width, head, n = roles.n_embd, roles.q_rows // form.n_head, len(roles.layers)
    found = [*_PLAIN, 0.3, 0.4, 0.6, 0.7, 0.8, 0.9, 1.5, 2.5, 0.22]
    found += [1 / x for x in _PLAIN]
    found += [sqrt(width), 1 / sqrt(width), 1 / width, sqrt(2), 1 / sqrt(2)]
    found += [1 / sqrt(n), 1 / sqrt(2 * n), 1 / n, 1 / (2 * n)]
    if name == "scores_factor":
        scale = {"head": head**-0.5, "width": width**-0.5, "none": 1.0, "size": 1 / head}
        wholes = [*found, 8 / head, 1 / head, head**-0.5, width**-0.5]
        found += [whole / scale[form.scale] for whole in wholes]
    return [float(x) for x in found if x != 1]
