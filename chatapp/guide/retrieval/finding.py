"""A question, with those before it, and the facts that answer it."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from chatapp.guide.facts import Fact, Language, Program, make_facts
from chatapp.guide.retrieval.examples import Examples
from chatapp.guide.retrieval.ranking import Asked, Rank, Ranking
from chatapp.guide.retrieval.words import has_han, read_words

MOST = 4
"""Facts for one question."""
_LEAST_SHARE, _LEAST_SURE_SHARE = 0.5, 0.25
"""Of what a question's words say, how much a fact has to meet to be about it."""
_LEAST_MET = 0.6
"""How much those words have to say."""
_LEAST_ODDS, _SURE_ODDS = -2.0, 1.0
"""What the words of a question have to say together of whether it is about chatapp."""
_NEAR = 0.45
"""Share of the best fact's score that another one must have to come along."""
_LIKE, _LIKE_ODDS, _ALIKE = 12.0, 3.0, 0.6
"""What likeness to an example adds to a score, what to the odds, and from where on it is enough."""
_EARLIER, _EARLIER_ALONE = 0.5, 0.9
"""What a word of the question before counts in one that goes on from it; in one of a word alone."""
_LONGEST = 2000
"""Characters of a question that are read."""
_FEW = 3
"""Words; a question of fewer goes on from the one before."""

_CLAUSES = re.compile(
    r"[?!;？！；。，、]+|,\s*(?:and|then|but|also)\b|\b(?:and then|and also|and|then|also|plus)\b"
    r"|以及|还有|然后|再|并且|同时"
)
_COURTESY = re.compile(
    r"^\W*(?:(?:thanks|thank|thx|you|so|very|much|ok|okay|hello|hi|hey|good|great|nice|cool|morning|"
    r"evening|night|a lot|perfect|well done|谢谢|你好|好的|您好|早上好|晚安|多谢)\W*)+$",
    re.IGNORECASE,
)
_GOES_ON = re.compile(
    r"^\W*(?:and|then|but|or|what about|how about|so)\b"
    r"|\b(?:it|that|this|them|they|those|there|afterwards)\b|^(?:那|然后|还|它|这)|旧的|它",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Found:
    """A fact for a question."""

    fact: Fact
    score: float
    share: float


class Guide:
    """What a program knows of itself, to be asked."""

    def __init__(self, program: Program) -> None:
        """Makes the facts and their index: a tenth of a second."""
        self.facts = make_facts(program)
        self._ranking = Ranking(self.facts)
        places = {one: place for place, fact in enumerate(self.facts) for one in fact.ids}
        self._examples = Examples(places, self._ranking.mend)

    def find(self, question: str, before: Sequence[str] = (), most: int = MOST) -> list[Found]:
        """The facts that a question is about, the best first; none where it is about none.

        `before` are the questions that were asked before it, oldest first.
        """
        question = question[:_LONGEST]
        if _COURTESY.match(question):
            return []
        asked = self._ask(question, before)
        likeness = self._examples.compare(question)
        odds = self._ranking.odds(asked) + _LIKE_ODDS * max(likeness.values(), default=0.0)
        if odds < _LEAST_ODDS:
            return []
        found = [*self._heads(question, before, odds), *self._rank(asked, likeness, odds)]
        if found and self._goes_on(question, before):
            found = [*found[: most - 1], *self._topic(before[-1])]
        places = list(dict.fromkeys(one.place for one in found))[:most]
        best = {one.place: one for one in reversed(found)}
        return [Found(self.facts[p], best[p].score, best[p].share) for p in places]

    def _heads(self, question: str, before: Sequence[str], odds: float) -> list[Rank]:
        """The best fact for each wish of a question that has several; none where more than half of
        them are about something else."""
        wishes = _split(question)
        if len(wishes) < 2:
            return []
        every = [
            self._rank(self._ask(wish, before), self._examples.compare(wish), odds)
            for wish in wishes
        ]
        found = [ranks[0] for ranks in every if ranks]
        return found if 2 * len(found) > len(wishes) else []

    def _topic(self, question: str) -> list[Rank]:
        """What the question before was about."""
        asked = self._ask(question, ())
        likeness = self._examples.compare(question)
        return self._rank(asked, likeness, self._ranking.odds(asked))[:1]

    def _rank(self, asked: Asked, likeness: Mapping[int, float], odds: float) -> list[Rank]:
        """The facts that a question is about: enough of its words are met, or it is like an
        example; and about as well as by the best. The surer it is that chatapp is meant, the fewer
        words are enough."""
        least = _LEAST_SHARE if odds < _SURE_ODDS else _LEAST_SURE_SHARE
        ranks = {rank.place: rank for rank in self._ranking.rank(asked)}
        found = []
        for place in ranks.keys() | likeness.keys():
            rank, like = ranks.get(place, Rank(place, 0.0, 0.0, 0.0)), likeness.get(place, 0.0)
            if (rank.share >= least and rank.met >= _LEAST_MET) or like >= _ALIKE:
                found.append(replace(rank, score=rank.score + _LIKE * like**2))
        found.sort(key=lambda rank: (-rank.score, rank.place))
        return [rank for rank in found if rank.score >= _NEAR * found[0].score]

    def _goes_on(self, question: str, before: Sequence[str]) -> bool:
        return bool(before) and bool(len(read_words(question)) < _FEW or _GOES_ON.search(question))

    def _ask(self, question: str, before: Sequence[str]) -> Asked:
        words = read_words(question)
        asked = self._ranking.weigh(words)
        if self._goes_on(question, before):
            earlier = _EARLIER if len(words) > 1 else _EARLIER_ALONE
            for word, weight in self._ranking.weigh(read_words(before[-1]), earlier).items():
                asked.setdefault(word, weight)
        aside = self._ranking.weigh_aside(read_words(question, phrases=False))
        return aside | asked


def language_of(question: str) -> Language:
    """In which language facts are put before it."""
    return "zh" if has_han(question) else "en"


def _split(question: str) -> list[str]:
    wishes = [wish.strip() for wish in _CLAUSES.split(question)]
    return [wish for wish in wishes if read_words(wish)]
