"""How near two questions are: the edit distance of what is left without case and punctuation.

The distance is Levenshtein's, divided by the length of the longer text: 0 is the same, 1 has
nothing in common.

    python -m tests.guide.nearness chatapp/builtin/recipe/chat/honesty.jsonl …

prints which questions of files to train on are too near to held-out ones, and not to which.
"""

import json
import sys
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

LEAST = 0.4
"""A held-out question at most this far from a training question is not held out."""

_AT_ONCE = 4_000_000
"""Distances of two bytes each that are in memory at a time."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A question, what it is too near to, and how near."""

    question: str
    other: str
    distance: float


def plain(text: str) -> str:
    """Lower case, no punctuation, single blanks."""
    kept = (" " if _is_sign(c) else c for c in unicodedata.normalize("NFKC", text).lower())
    return " ".join("".join(kept).split())


def _is_sign(character: str) -> bool:
    return unicodedata.category(character)[0] in "PSZC"


def find_near(
    questions: Iterable[str], others: Iterable[str], within: float = LEAST
) -> Iterator[Pair]:
    """Each question beside its nearest of `others`, where that is at most `within` away."""
    import numpy
    from rapidfuzz.distance import Levenshtein
    from rapidfuzz.process import cdist

    mine = {plain(text): text for text in questions}
    theirs = {plain(text): text for text in others}
    names, texts = list(mine), sorted(theirs, key=len)
    lengths = numpy.array([len(text) for text in texts])
    step = max(1, _AT_ONCE // max(1, len(texts)))
    names.sort(key=len)
    for start in range(0, len(names), step):
        part = names[start : start + step]
        # The lengths of two texts differ by no more than their distance.
        first = numpy.searchsorted(lengths, len(part[0]) * (1 - within), "left")
        last = numpy.searchsorted(lengths, max(1, len(part[-1])) / (1 - within), "right")
        if first >= last:
            continue
        found = cdist(
            part, texts[first:last], scorer=Levenshtein.normalized_distance, score_cutoff=within
        )
        for name, row in zip(part, found, strict=True):
            at = int(row.argmin())
            if row[at] <= within:
                yield Pair(mine[name], theirs[texts[first + at]], float(row[at]))


def find_twins(questions: Iterable[str], within: float) -> Iterator[Pair]:
    """Two questions of one list that are at most `within` apart, each pair once."""
    from rapidfuzz.distance import Levenshtein
    from rapidfuzz.process import extract

    texts = list(questions)
    names = [plain(text) for text in texts]
    for i, name in enumerate(names):
        scorer = Levenshtein.normalized_distance
        for _, distance, j in extract(name, names[:i], scorer=scorer, score_cutoff=within):
            yield Pair(texts[i], texts[j], distance)


def read_training(root: Path, patterns: Iterable[str]) -> set[str]:
    """What users say in the chats below `root`, in files that one of `patterns` fits: lines of JSON
    with `messages` of a `role` and a `content`, or with a text or texts under `ask`."""
    found: set[str] = set()
    for pattern in patterns:
        for path in root.glob(pattern):
            for line in path.read_text(encoding="utf-8").splitlines():
                if line.strip():
                    found.update(_questions(json.loads(line)))
    return found


def _questions(line: dict[str, object]) -> Iterator[str]:
    messages, asked = line.get("messages"), line.get("ask")
    if isinstance(messages, list):
        yield from (one["content"] for one in messages if one["role"] == "user")
    if isinstance(asked, list):
        yield from asked
    elif isinstance(asked, str):
        yield asked


def _main(names: list[str]) -> None:
    from tests.guide.needs import BEYOND, HELDOUT, HELDOUT_ZH, read_lines

    lines = [line for path in (HELDOUT, HELDOUT_ZH, BEYOND) for line in read_lines(path)]
    held = [text for line in lines if line.get("kind") != "smalltalk" for text in line["ask"]]
    for path in map(Path, names):
        for pair in find_near(read_training(path.parent, [path.name]), held):
            print(f"{path}: {pair.question}")


if __name__ == "__main__":
    _main(sys.argv[1:])
