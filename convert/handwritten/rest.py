"""Whether a trained model is at rest in the form that it was read in.

Training leaves a model where its loss on its own text is least, also if all that attention puts
out, or the embeddings, are multiplied by a number a little above or below one: the weights would
have learned that. Where such a number makes the text clearly better understood, the author's code
computes something otherwise than the best of the forms that we know, whatever it is: a residual
times a number, a window, positions times five, another epsilon.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from convert.handwritten.form import Form
from convert.handwritten.judging import CLEAR_ERRORS, windows

# Parts that can be multiplied, and what they are called.
PARTS = {
    "tokens": "token embeddings",
    "positions": "positions",
    "scores": "attention's scores",
    "attention": "what attention puts out",
    "mlp": "what the MLP puts out",
}
AS_READ = "as_read"  # the setting that goes on all the same
# What one tenth less is better than one tenth more, in nats: at most 0.004 for models in the right
# form, 0.012 to 0.16 for those in a wrong one.
LEAST_SLOPE = 0.01
# Without a table of positions nobody knows how long the texts were that it has learned; read in
# short pieces, one without any positions came to 0.02.
LEAST_UNPLACED = 0.03
_LESS, _MORE = 0.9, 1.1
_TOKENS, _FEWER = 2048, 256
_SECONDS = 0.3  # for one look at the longer text

Losses = Callable[[NDArray[np.int64], Form, Mapping[str, float]], NDArray[np.float64]]


@dataclass(frozen=True)
class Unrest:
    """The multiplication that helps most."""

    part: str
    factor: float
    loss: float
    """Mean nats a token without it."""
    gain: float
    """Nats a token that it saves."""
    slope: float
    """Half of what separates a tenth less from a tenth more, in nats a token."""


def find_unrest(
    form: Form, ids: NDArray[np.int64], length: int, losses: Losses, *, positions: bool
) -> Unrest | None:
    """What shows that `form` is not the one that a model has learned in; None where nothing does.

    `ids` must be of the text that it has learned; they are read in pieces of `length`. `positions`
    tells whether there is a table of them.
    """
    least = LEAST_SLOPE if positions else LEAST_UNPLACED
    seen = windows(ids, length, _TOKENS)
    started = time.monotonic()
    usual = losses(seen, form, {})
    if time.monotonic() - started > _SECONDS:
        seen = windows(ids, min(length, 64), _FEWER)
        usual = losses(seen, form, {})
    found = None
    for part in PARTS:
        if part == "positions" and not positions:
            continue
        less, more = (losses(seen, form, {part: factor}) for factor in (_LESS, _MORE))
        slopes = (more - less) / 2
        slope, error = abs(float(slopes.mean())), float(slopes.std() / sqrt(len(slopes)))
        factor, better = (_LESS, less) if slopes.mean() > 0 else (_MORE, more)
        gain = float((usual - better).mean())
        if gain > 0 and slope > max(least, CLEAR_ERRORS * error, found.slope if found else 0):
            found = Unrest(part, factor, float(usual.mean()), gain, slope)
    return found
