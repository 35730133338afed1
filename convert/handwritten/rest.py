"""Whether a trained model is at rest in the form that it was read in.

Training leaves a model where its loss on its own text is least, also if all that attention puts
out, or the embeddings, are multiplied by a number a little above or below one: the weights would
have learned that. Where such a number makes the text clearly better understood, the author's code
computes something otherwise than the best of the forms that we know, whatever it is: a residual
times a number, a window, positions times five, another epsilon.

Of the logits it is not so: how sure training leaves a model varies, and is evened out before the
other parts are looked at.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from convert.handwritten.factors import calibrated, is_sure
from convert.handwritten.form import FACTORS, Form
from convert.handwritten.judging import CLEAR_ERRORS, Losses, windows

AS_READ = "as_read"  # the setting that goes on all the same
# What one tenth less is better than one tenth more, in nats: at most 0.004 for models in the right
# form, 0.012 to 0.16 for those in a wrong one.
LEAST_SLOPE = 0.01
# Without a table of positions nobody knows how long the texts were that it has learned; read in
# short pieces, one without any positions came to 0.02.
LEAST_UNPLACED = 0.03
# On a text that it has not learned from: at most 0.014 for models in the right form.
LEAST_STRANGE = 0.02
_LESS, _MORE = 0.9, 1.1
_TOKENS, _FEWER = 2048, 256
_SECONDS = 0.3  # for one look at the longer text


@dataclass(frozen=True)
class Unrest:
    """The multiplication that helps most."""

    factor: str
    """One of `FACTORS`."""
    by: float
    loss: float
    """Mean nats a token without it."""
    gain: float
    """Nats a token that it saves."""
    slope: float
    """Half of what separates a tenth less from a tenth more, in nats a token."""


def factors_of(*, positions: bool) -> tuple[str, ...]:
    """What is multiplied to see whether it helps; `positions`: there is a table of them."""
    without = {"logits_factor"} | (
        set() if positions else {"embeddings_factor", "positions_factor"}
    )
    return tuple(name for name in FACTORS if name not in without)


def look_at(
    form: Form, ids: NDArray[np.int64], length: int, losses: Losses
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """As much of `ids`, in windows, as is read in a moment, and the losses there in `form`."""
    seen = windows(ids, length, _TOKENS)
    started = time.monotonic()
    usual = losses(seen, form)
    if time.monotonic() - started > _SECONDS:
        seen = windows(ids, min(length, 64), _FEWER)
        usual = losses(seen, form)
    return seen, usual


def find_unrest(
    form: Form,
    ids: NDArray[np.int64],
    length: int,
    losses: Losses,
    *,
    positions: bool,
    own: bool = True,
) -> Unrest | None:
    """What shows that `form` is not the one that a model has learned in; None where nothing does.

    `ids` are read in pieces of `length`; `own`: they are of the text that it has learned.
    `positions` tells whether there is a table of them.
    """
    seen, usual = look_at(form, ids, length, losses)
    calm = calibrated(form, seen, losses)
    gain = float((usual - losses(seen, calm)).mean())
    if not is_sure(calm, form, gain):
        by = calm.logits_factor / form.logits_factor
        return Unrest("logits_factor", by, float(usual.mean()), gain, gain)
    least = LEAST_SLOPE if positions else LEAST_UNPLACED
    least = least if own else LEAST_STRANGE
    restless = [
        one
        for one, error in measure(calm, seen, losses, positions=positions)
        if one.gain > 0 and one.slope > max(least, CLEAR_ERRORS * error)
    ]
    return max(restless, key=lambda one: one.slope, default=None)


def measure(
    form: Form, seen: NDArray[np.int64], losses: Losses, *, positions: bool
) -> Iterator[tuple[Unrest, float]]:
    """Each part a tenth less or more, whichever helps, and the standard error of its slope."""
    usual = losses(seen, form)
    for name in factors_of(positions=positions):
        at = form.value(name)
        less, more = (losses(seen, form.but(**{name: at * by})) for by in (_LESS, _MORE))
        slopes = (more - less) / 2
        by, better = (_LESS, less) if slopes.mean() > 0 else (_MORE, more)
        gain = float((usual - better).mean())
        error = float(slopes.std() / sqrt(len(slopes)))
        yield Unrest(name, by, float(usual.mean()), gain, abs(float(slopes.mean()))), error
