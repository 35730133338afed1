"""What was learned from thousands of written questions: which facts one is about.

A question is the mean of the vectors of its words, its pairs of words and its words' letters, so
that a slip changes little of it; each fact has a vector that it is compared with. Whether chatapp
is meant at all is told by a weight for each of these pieces. Keys are none: anybody may give them
to something else. Promises that nothing but numpy is needed, that facts are told apart by their ids
and never by their text, and that a fact whose id was not learned is known by its text, where one
of those that were learned speaks so and is no longer there.

The vectors are made by `python -m chatapp.builtin.recipe.guide.ranker`.
"""

import json
import re
import zlib
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from chatapp.guide.facts import Fact
from chatapp.guide.retrieval.words import read_every_word

N_BUCKETS = 1 << 15
"""Words and pieces share a vector by chance."""
SCALE = 3.0
"""What the mean is multiplied by: it is small where many pieces differ."""
_PIECES = (3, 4, 5)
_LEAST = 0.2
"""How sure the text of a fact without an id must be."""

_KEYS = re.compile(
    r"\b(?:(?:ctrl|control|alt|shift|cmd|meta)(?: ?[+-] ?| ))+(?:[a-z0-9_/]\b|[←→↑↓])"
    r"|\bf[0-9]{1,2}\b"
)
_HAN = re.compile("[\u3400-\u9fff]+")
_RAW = re.compile(r"[a-z0-9']+")


class Weights(NamedTuple):
    """Vectors of pieces and of facts, as they were learned."""

    ids: tuple[str, ...]
    """Of the facts, each with all its ids and a bar between them."""
    pieces: NDArray[np.float32]
    """A vector for each bucket: (N_BUCKETS, width)."""
    facts: NDArray[np.float32]
    """A vector for each of `ids`: (facts, width)."""
    bias: NDArray[np.float32]
    about: NDArray[np.float32]
    """What each bucket says of whether chatapp is meant, with the bias behind: (N_BUCKETS + 1,)."""


class Learned:
    """The facts of one program as they were learned."""

    def __init__(self, facts: Sequence[Fact], weights: Weights) -> None:
        self._weights = weights
        by_id = {one: row for row, ids in enumerate(weights.ids) for one in ids.split("|")}
        rows = [next((by_id[one] for one in fact.ids if one in by_id), -1) for fact in facts]
        here = {one for fact in facts for one in fact.ids}
        # What a fact covered may stand for itself today, and its own name is another one.
        free = [row for row, ids in enumerate(weights.ids) if ids.split("|")[0] not in here]
        for place, row in enumerate(rows):
            if row < 0 and free:
                rows[place] = self._recognise(facts[place], free)
        self._places = [place for place, row in enumerate(rows) if row >= 0]
        self._rows = [rows[place] for place in self._places]

    def weigh(self, question: str) -> dict[int, float]:
        """How likely each fact is meant, by its place; together 1."""
        logits = self._logits(question)[self._rows]
        shares = np.exp(logits - logits.max())
        return dict(zip(self._places, (shares / shares.sum()).tolist(), strict=True))

    def reads(self, question: str) -> bool:
        """Whether anything of it could have been learned: a key alone could not."""
        return read_pieces(question) != [0]

    def nearness(self, question: str) -> float:
        """How near the nearest fact is: a logit, which says more than a share where all are far."""
        return float(self._logits(question)[self._rows].max())

    def is_about(self, question: str) -> float:
        """How likely chatapp is meant, 0 to 1."""
        about = self._weights.about
        return float(1 / (1 + np.exp(-SCALE * about[read_pieces(question)].mean() - about[-1])))

    def _recognise(self, fact: Fact, free: list[int]) -> int:
        """The row of a fact whose names are others today; -1: none speaks like it."""
        logits = self._logits(fact.text["en"])
        shares = np.exp(logits - logits.max())
        best = max(free, key=lambda row: float(shares[row]))
        if shares[best] < _LEAST * shares.sum():
            return -1
        free.remove(best)
        return best

    def _logits(self, text: str) -> NDArray[np.float32]:
        mean = self._weights.pieces[read_pieces(text)].mean(axis=0)
        logits: NDArray[np.float32] = self._weights.facts @ (SCALE * mean) + self._weights.bias
        return logits


def read_pieces(text: str) -> list[int]:
    """The buckets of a text's words, pairs and pieces, each once; never none."""
    plain = _KEYS.sub(" ", text.lower())
    words = _RAW.findall(plain)
    found = {f"w:{word}" for word in read_every_word(plain)}
    found |= {f"r:{word}" for word in words}
    found |= {f"b:{one}_{other}" for one, other in pairwise(words)}
    for word in words:
        whole = f"<{word}>"
        found |= {f"c:{whole[at : at + n]}" for n in _PIECES for at in range(len(whole) - n + 1)}
    han = "".join(_HAN.findall(plain))
    found |= {f"h:{han[at : at + n]}" for n in (1, 2, 3) for at in range(len(han) - n + 1)}
    return sorted({zlib.crc32(one.encode()) % N_BUCKETS for one in found}) or [0]


@cache
def read_weights() -> Weights:
    """The weights that ship with chatapp, read once."""
    with (files("chatapp.guide.retrieval") / "data" / "learned.npz").open("rb") as file:
        return unpack(np.load(file, allow_pickle=False))


def unpack(held: Mapping[str, NDArray[np.generic]]) -> Weights:
    """Weights of what a file holds."""
    pieces = held["pieces"].astype(np.float32) * held["scales"].astype(np.float32)
    ids = tuple(json.loads(str(held["ids"])))
    return Weights(
        ids, pieces, *(held[name].astype(np.float32) for name in ("facts", "bias", "about"))
    )


def pack(weights: Weights) -> dict[str, NDArray[np.generic]]:
    """What a file is to hold: a byte for each number of the pieces' vectors."""
    scales = np.maximum(np.abs(weights.pieces).max(axis=1, keepdims=True), 1e-8) / 127
    return {
        "ids": np.array(json.dumps(weights.ids)),
        "pieces": np.round(weights.pieces / scales).astype(np.int8),
        "scales": scales.astype(np.float16),
        "facts": weights.facts.astype(np.float16),
        "bias": weights.bias.astype(np.float16),
        "about": weights.about.astype(np.float16),
    }
