"""How people have asked for facts before: a question that has most of the words of an example is
about the same.

All words count here, those that say nothing by themselves a little: `what can I do here` has no
others. Similarity is the cosine of the words, the rare ones weighing more.
"""

import math
import tomllib
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib.resources import files

from chatapp.guide.retrieval.words import read_every_word

_SMALL = 0.3
"""What a word weighs that says nothing by itself."""


class Examples:
    """The examples of the facts that there are."""

    def __init__(self, places: Mapping[str, int], mend: Callable[[str], str]) -> None:
        """`places` are the facts by their ids; an example of one that is not there is left out.
        `mend` gives the known word that one with a slip meant."""
        self._mend = mend
        self._places: list[int] = []
        self._holders: dict[str, list[tuple[int, float]]] = defaultdict(list)
        read = [
            (places[fact_id], read_every_word(example))
            for fact_id, examples in read_examples().items()
            if fact_id in places
            for example in examples
        ]
        counts: dict[str, int] = defaultdict(int)
        for _, words in read:
            for word in words:
                counts[word] += 1
        self._rarity = {word: math.log(1 + len(read) / n) for word, n in counts.items()}
        self._unknown = math.log(1 + len(read))
        for place, words in read:
            weights = self._weigh(words)
            length = math.sqrt(sum(weight**2 for weight in weights.values())) or 1.0
            for word, weight in weights.items():
                self._holders[word].append((len(self._places), weight / length))
            self._places.append(place)

    def compare(self, question: str) -> dict[int, float]:
        """How near a question is to the nearest example of each fact, 0 to 1, by the fact's
        place."""
        words = read_every_word(question)
        weights = self._weigh(
            {word if word in self._holders else self._mend(word): n for word, n in words.items()}
        )
        length = math.sqrt(sum(weight**2 for weight in weights.values())) or 1.0
        near: dict[int, float] = defaultdict(float)
        for word, weight in weights.items():
            for example, share in self._holders.get(word, ()):
                near[example] += weight / length * share
        best: dict[int, float] = {}
        for example, likeness in near.items():
            place = self._places[example]
            best[place] = max(best.get(place, 0.0), likeness)
        return best

    def _weigh(self, words: Mapping[str, bool]) -> dict[str, float]:
        return {
            word: self._rarity.get(word, self._unknown) * (_SMALL if is_small else 1.0)
            for word, is_small in words.items()
        }


@cache
def read_examples() -> Mapping[str, Sequence[str]]:
    """Every example, by the id of what it asks for."""
    text = (files("chatapp.guide.retrieval") / "data" / "asked.toml").read_text(encoding="utf-8")
    return {
        fact_id: [one.strip() for one in line.split(";") if one.strip()]
        for section in tomllib.loads(text).values()
        for fact_id, line in section.items()
    }
