"""Facts by how well they fit some words: BM25, with what share of the words' weight is met."""

import math
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from chatapp.guide.facts import Fact
from chatapp.guide.retrieval.spelling import Speller
from chatapp.guide.retrieval.words import Word, has_phrase, read_words, single_words, stand_in

_PLACEHOLDER = re.compile(r"\b[A-Z]+\b(?![+])")
"""`NAME` in `/model NAME`: it is not spoken of names."""
_K1, _B = 1.2, 0.15
_FIRST, _FIND, _TEXT = 3.0, 2.0, 1.0
"""What a word counts that a fact is found by first, by, and that is in its text."""
_N_FIRST = 3
"""Words that a fact is found by first."""
_PLAIN = 0.6
"""What a fact counts that was not written by hand: it is seldom asked for."""
_EVERYDAY, _MOST_ODDS = 0.2, 3.0
"""What a word says that is nothing but everyday talk, and the odds that are the limit."""
_FITTING = 0.5
"""What a word says that no fact has, but many who ask about chatapp."""
_ASIDE = 0.5
"""What a part of a phrase counts."""
_KNOWN, _STRANGE = 2.0, -1.0
"""Odds of a word that is not in everyday talk: one that facts have, and one that none has."""
_SLIP = 0.8
"""What a word counts that had to be mended."""


@dataclass(frozen=True, slots=True)
class Rank:
    """How well one fact fits."""

    place: int
    """Of the fact, in the order in which they were given."""
    score: float
    met: float
    """How many words it meets, everyday ones counting less."""
    share: float
    """How many of all words: 0 to 1."""


@dataclass(frozen=True, slots=True)
class _Asked:
    word: Word
    weight: float
    is_aside: bool = False
    """It is a part of a phrase that stands for something: it need not be met."""

    @property
    def strange(self) -> float:
        """How much it says against facts that do not have it, 0 to 1."""
        return 1.0 if self.word.odds < 0 or not self.word.is_general else _FITTING

    @property
    def telling(self) -> float:
        """How much it says about what is meant, 0 to 1."""
        return _EVERYDAY + (1 - _EVERYDAY) * (min(0.0, self.word.odds) + _MOST_ODDS) / _MOST_ODDS


Asked = dict[str, _Asked]
"""The words of a question, with what each counts."""


class Ranking:
    """An index over facts, which ranks them for the words of a question."""

    def __init__(self, facts: Sequence[Fact]) -> None:
        self._holders: dict[str, dict[int, float]] = defaultdict(dict)
        self._lengths = []
        self._bonus = [1.0 if fact.by_hand else _PLAIN for fact in facts]
        for place, fact in enumerate(facts):
            counts = _count(fact)
            self._lengths.append(sum(counts.values()))
            for word, count in counts.items():
                self._holders[word][place] = count
        self._mean = sum(self._lengths) / max(1, len(self._lengths))
        self._speller = Speller([*self._holders, *single_words()])

    def knows(self, word: str) -> bool:
        """Whether a fact has `word`, as words are compared."""
        return word in self._holders

    def mend(self, word: str) -> str:
        """The known word that one with a slip meant; itself where there is none, or it is known."""
        if self.knows(stand_in(word)):
            return word
        near = self._speller.mend(word)
        return stand_in(near) if near else word

    def weigh(self, words: Sequence[Word], weight: float = 1.0) -> Asked:
        """The words as they are known, or mended. Unknown ones count too: nothing can meet them."""
        weights: Asked = {}
        for word in words:
            known, counts = word.text, weight
            is_slip = known not in self._holders and not word.is_general
            if is_slip and (near := self.mend(word.written or known)) != known:
                known, counts = near, weight * _SLIP
            if known not in weights or weights[known].weight < counts:
                weights[known] = _Asked(word, counts)
        return weights

    def weigh_aside(self, words: Sequence[Word]) -> Asked:
        """The parts of phrases, which count half for the order of facts and nothing else."""
        return {word.text: _Asked(word, _ASIDE, is_aside=True) for word in words}

    def rank(self, asked: Asked) -> list[Rank]:
        """The facts that hold any of the words, the best first."""
        scores: dict[int, float] = defaultdict(float)
        met: dict[int, float] = defaultdict(float)
        total = 0.0
        for text, word in asked.items():
            holders = self._holders.get(text, {})
            says = word.word.counts * word.weight * (word.telling if holders else word.strange)
            total += 0.0 if word.is_aside else says
            rarity = self._rarity(len(holders))
            for place, count in holders.items():
                norm = _K1 * (1 - _B + _B * self._lengths[place] / self._mean)
                fits = count * (_K1 + 1) / (count + norm)
                scores[place] += self._bonus[place] * word.weight * word.word.counts * rarity * fits
                met[place] += 0.0 if word.is_aside else says
        ranks = [
            Rank(place, score, met[place], met[place] / (total or 1.0))
            for place, score in scores.items()
        ]
        return sorted(ranks, key=lambda rank: (-rank.score, rank.place))

    def odds(self, asked: Asked) -> float:
        """Whether the words are about chatapp at all, above 0, or everyday talk."""
        return sum(
            self._odds(text, word) * word.weight
            for text, word in asked.items()
            if not word.is_aside
        )

    def _odds(self, text: str, asked: _Asked) -> float:
        if asked.word.is_general or not text.isascii():
            return asked.word.odds
        return _KNOWN if text in self._holders else _STRANGE

    def _rarity(self, n_holders: int) -> float:
        n = len(self._lengths)
        return math.log(1 + (n - n_holders + 0.5) / (n_holders + 0.5))


def _count(fact: Fact) -> dict[str, float]:
    counts: dict[str, float] = defaultdict(float)
    for language in fact.text:
        for n, (word, share) in enumerate(_index(fact.words[language]).items()):
            counts[word] += (_FIRST if n < _N_FIRST else _FIND) * share
        for word, share in _index(_PLACEHOLDER.sub(" ", fact.text[language])).items():
            counts[word] += _TEXT * share
    return counts


def _index(text: str) -> dict[str, float]:
    """The words of a text and those that its phrases are made of, with how much of one each is."""
    found: dict[str, float] = {}
    single = read_words(text, phrases=False) if has_phrase(text) else []
    for word in (*read_words(text), *single):
        found[word.text] = max(
            found.get(word.text, 0.0), 1.0 if word.text.isascii() else word.counts
        )
    return found
