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
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from chatapp.guide.facts import Fact
from chatapp.guide.retrieval.words import form_of, read_every_word

N_BUCKETS, N_ABOUT_BUCKETS = 1 << 16, 1 << 18
"""Words and pieces share a vector by chance. Of every 100 texts that only sound near, 29 were taken
for questions about chatapp where 2**15 buckets told, and 24 where 2**18 did."""
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


@dataclass(frozen=True, slots=True)
class Vectors:
    """A vector for each bucket, with a byte for each number."""

    values: NDArray[np.int8]
    """The numbers of each bucket, of the shape (buckets, width)."""
    scales: NDArray[np.float16]
    """What the numbers of a bucket are multiplied with: (buckets, 1)."""

    @classmethod
    def of(cls, vectors: NDArray[np.float32]) -> "Vectors":
        """The nearest that can be held; nothing of what is below a millionth."""
        scales = (np.abs(vectors).max(axis=1, keepdims=True) / 127).astype(np.float16)
        divisors = np.where(scales > 0, scales, 1).astype(np.float32)
        values = np.clip(np.round(vectors / divisors), -127, 127)
        return cls(values.astype(np.int8), scales)

    def read(self, text: str) -> NDArray[np.float32]:
        """The mean of a text's pieces, `SCALE` times: (width,)."""
        buckets = read_pieces(text, len(self.values))
        vectors = self.values[buckets] * self.scales[buckets].astype(np.float32)
        mean: NDArray[np.float32] = SCALE * vectors.mean(axis=0)
        return mean


class Weights(NamedTuple):
    """Vectors of pieces and of facts, as they were learned."""

    ids: tuple[str, ...]
    """Of the facts, each with all its ids and a bar between them."""
    pieces: Vectors
    """What facts are told apart by, `N_BUCKETS` of them."""
    facts: NDArray[np.float32]
    """A vector for each of `ids`, the bias last: (facts, width + 1)."""
    about: NDArray[np.float32]
    """What each bucket says of whether chatapp is meant, the bias last: (N_ABOUT_BUCKETS + 1,)."""
    small: NDArray[np.uint32]
    """Hashes of small talk, word for word: a few short words say little by their pieces."""


class Learned:
    """The facts of one program as they were learned."""

    def __init__(self, facts: Sequence[Fact], weights: Weights) -> None:
        self._weights = weights
        by_id = {one: row for row, ids in enumerate(weights.ids) for one in ids.split("|")}
        self._small = frozenset(weights.small.tolist())
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

    def is_small_talk(self, said: str) -> bool:
        """Whether it is small talk that was learned from, but for case and marks."""
        return hash_of(said) in self._small

    def is_about(self, question: str) -> float:
        """How likely chatapp is meant, 0 to 1."""
        about = self._weights.about
        said = about[read_pieces(question, len(about) - 1)].mean()
        return float(1 / (1 + np.exp(-SCALE * said - about[-1])))

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
        facts = self._weights.facts
        logits: NDArray[np.float32] = facts[:, :-1] @ self._weights.pieces.read(text) + facts[:, -1]
        return logits


def hash_of(text: str) -> int:
    """What small talk is known by, 32 bits."""
    return zlib.crc32(form_of(text).encode("utf-8", "replace"))


def read_pieces(text: str, n_buckets: int = N_BUCKETS) -> list[int]:
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
    return sorted({zlib.crc32(one.encode()) % n_buckets for one in found}) or [0]


@cache
def read_weights() -> Weights:
    """The weights that ship with chatapp, read once."""
    with (files("chatapp.guide.retrieval") / "data" / "learned.npz").open("rb") as file:
        return unpack(np.load(file, allow_pickle=False))


def unpack(held: Mapping[str, NDArray[np.generic]]) -> Weights:
    """Weights of what a file holds."""
    ids = tuple(json.loads(str(held["ids"])))
    pieces = Vectors(held["pieces"].astype(np.int8), held["scales"].astype(np.float16))
    facts, about = (held[name].astype(np.float32) for name in ("facts", "about"))
    return Weights(ids, pieces, facts, about, held["small"].astype(np.uint32))


def pack(weights: Weights) -> dict[str, NDArray[np.generic]]:
    """What a file of weights is to hold, an array by each name, as `unpack` reads it."""
    return {
        "ids": np.array(json.dumps(weights.ids)),
        "pieces": weights.pieces.values,
        "scales": weights.pieces.scales,
        "facts": weights.facts.astype(np.float16),
        "about": weights.about.astype(np.float16),
        "small": weights.small,
    }
