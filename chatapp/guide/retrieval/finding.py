"""A question, with those before it, and the facts that answer it."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from chatapp.guide.facts import Fact, Language, Program, make_facts
from chatapp.guide.naming import names_in
from chatapp.guide.retrieval.examples import Examples
from chatapp.guide.retrieval.ranking import Asked, Rank, Ranking
from chatapp.guide.retrieval.words import has_han, is_general, read_every_word, read_words

if TYPE_CHECKING:
    from chatapp.guide.retrieval.learned import Weights

MOST = 6
"""Facts for one question."""
_FAR_BEHIND = 0.1
"""Share of the first fact's likeliness below which another one is left out."""
_PLACE, _PLACE_NAMED = 0.2, 2.0
"""What the first place in the order of words counts beside the learned likeliness, and where a
question names a key, a command or a flag; the second place counts half, the third a third."""
_LEARNED_PLACE = 0.2
_SHARPER = 1.3
"""The power that learned likeliness is raised to."""
_LOG_ODDS, _WORDS, _BEST, _NEAREST = 0.77, 0.11, 2.5, 0.33
"""Of whether chatapp is meant: what the learned odds count, those of its words, how likely the best
fact is, and how near it is. Fitted to questions that were written after the ranker had learned."""
_LEAST_ABOUT, _SURE_ABOUT = 3.2, 4.95
"""The least sum for facts to be given, and the least for it to be clear that chatapp is meant: of
the questions kept apart 2 in 100 with facts are below the first, and 2 in 100 beyond are above the
second; 4 and 3 in 100 lie between the two."""
_LEAST_GOING_ON = _LEAST_WITH_KEY = 2.0
"""The same for what goes on from a question about chatapp, and for what names a key of chatapp."""
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
_SAME, _EXAMPLE = 0.95, 1.0
"""Likeness of a question that is an example but for its form, and what that counts beside the
learned likeliness: it is about its fact then."""
_EARLIER, _EARLIER_ALONE = 0.5, 0.9
"""What a word of the question before counts in one that goes on from it; in one of a word alone."""
_LONGEST = 2000
"""Characters of a question that are read."""
_ALONE = 2
"""Words; a question of fewer says little beside the one before."""
_FEW = 3
"""Words; a question of fewer goes on from the one before."""

_CLAUSES = re.compile(
    r"[?!;？！；。，、]+|,\s*(?:and|then|but|also)\b|\b(?:and then|and also|and|then|also|plus)\b"
    r"|以及|还有|然后|再|并且|同时"
)
_LATIN = re.compile(r"[a-z]{3,}")
_COURTESY = re.compile(
    r"^\W*(?:(?:thanks|thank|thx|you|so|very|much|ok|okay|hello|hi|hey|there|again|good|great|nice|"
    r"cool|morning|evening|night|a lot|perfect|well done|"
    r"谢谢|你好|好的|您好|早上好|晚安|多谢)\W*)+$",
    re.IGNORECASE,
)
_CRISIS = re.compile(
    r"\bi (?:\w+ )?(?:want|wish) to die\b|\bend my life\b"
    r"|\b(?:kill(?:ing)?|hurt(?:ing)?) my ?self\b"
    r"|\b(?:i am|i'm|im|feel(?:ing)?) suicidal\b|\bcommit suicide\b"
    r"|我(?:想|要)(?:死(?![机循链])|自杀)|不想活|活不下去|想轻生",
    re.IGNORECASE,
)
"""Somebody speaks of ending their life: people and not things, and no film of that name."""
_GREETING = re.compile(
    r"^\W*(?:hello|hi|hey|good (?:morning|evening)|你好|您好|早上好|晚上好)", re.I
)
_ASKS_BACK = re.compile(
    r"^\W*(?:why|how|when|where|who|what|which|explain|more|again|repeat|为什么|怎么|再说)", re.I
)
"""Small talk at the beginning of a chat, and a question about the answer behind one."""
_BY_FORM = ("concept:crisis", "concept:greeting")
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
    """How likely it is the one that is meant: 0 to 1."""
    is_doubtful: bool = False
    """Whether the question may be about something else than chatapp."""


class Guide:
    """What a program knows of itself, to be asked."""

    def __init__(self, program: Program, weights: "Weights | None" = None) -> None:
        """Makes the facts and their index: two tenths of a second. `weights` are those that ship
        where none are given."""
        every = make_facts(program)
        self._by_form = {fact.id: fact for fact in every if fact.id in _BY_FORM}
        self.facts = searched(every)
        self._ranking = Ranking(self.facts)
        places = {one: place for place, fact in enumerate(self.facts) for one in fact.ids}
        self._examples = Examples(places, self._ranking.mend)
        # numpy, which takes a tenth of a second
        from chatapp.guide.retrieval.learned import Learned, read_weights

        self._learned = Learned(self.facts, read_weights() if weights is None else weights)

    def find(self, question: str, before: Sequence[str] = (), most: int = MOST) -> list[Found]:
        """The facts that a question is about, the likeliest first, without those that are far
        behind it; none where it is about none.

        `before` are the questions that were asked before it, oldest first.
        """
        question = question[:_LONGEST]
        shortened = [one[:_LONGEST] for one in before]
        before = [one for one in shortened if not self._is_small_talk(one)]
        if _CRISIS.search(question):
            return [Found(self._by_form["concept:crisis"], 1.0)]
        if _COURTESY.match(question):
            greeting = Found(self._by_form["concept:greeting"], 1.0)
            return [greeting] if _GREETING.match(question) else []
        asks_back = _GOES_ON.search(question) or _ASKS_BACK.match(question)
        if self._is_small_talk(question) and not (before and asks_back):
            return []
        return self._look_up(question, before, most)

    def _look_up(self, question: str, before: Sequence[str] = (), most: int = MOST) -> list[Found]:
        """What is found for a question by what it says, and not by its form."""
        if not self._is_speech(question):
            return []
        goes_on = self._goes_on(question, before)
        scores = self._weigh(question, before[-1] if goes_on else "")
        odds = self._odds(question, before)
        by_words = self._find_by_words(question, before, odds)
        names = names_in(question)
        is_named = bool(names) or not self._learned.reads(question)
        if by_words and is_named:
            # A command or a flag of this name is chatapp's; a key is everybody's.
            is_key = bool(names) and not any(name.startswith(("/", "--")) for name in names)
            least = sure = _LEAST_WITH_KEY if is_key else -math.inf
        elif self._is_example(question):
            least = sure = -math.inf
        else:
            earlier = self._look_up(before[-1]) if goes_on else []
            least = _LEAST_GOING_ON if earlier else _LEAST_ABOUT
            sure = least if earlier and not earlier[0].is_doubtful else _SURE_ABOUT
        about = self._is_about(question, odds, max(scores.values()))
        if about < least:
            return []
        ranks = sorted(scores, key=lambda place: -scores[place])[:most]
        for rank, place in enumerate(ranks):
            scores[place] += _LEARNED_PLACE / (1 + rank)
        first = _PLACE_NAMED if is_named else _PLACE
        for rank, place in enumerate(by_words):
            scores[place] = scores.get(place, 0.0) + first / (1 + rank)
        for place, likeness in self._examples.compare(question).items():
            if likeness >= _SAME:
                scores[place] = scores.get(place, 0.0) + _EXAMPLE
        return self._take(scores, most, about < sure)

    def _is_small_talk(self, said: str) -> bool:
        """Whether it is known as small talk, or answered by its form: nothing goes on from it."""
        is_form = _CRISIS.search(said) or _COURTESY.match(said)
        return bool(is_form) or self._learned.is_small_talk(said)

    def _is_speech(self, question: str) -> bool:
        """Whether any of its words is one that people or facts have."""
        return any(
            is_small
            or has_han(word)
            or is_general(word)
            or self._ranking.knows(self._ranking.mend(word))
            for word, is_small in read_every_word(question).items()
        )

    def _is_example(self, question: str) -> bool:
        """Whether it is an example of a fact but for its form."""
        return max(self._examples.compare(question).values(), default=0.0) >= _SAME

    def _is_about(self, question: str, odds: float, best: float) -> float:
        """Whether chatapp is meant: the more, the likelier."""
        likely = min(0.99999, max(0.00001, self._learned.is_about(question)))
        log_odds = math.log(likely / (1 - likely))
        near = self._learned.nearness(question)
        return _LOG_ODDS * log_odds + _WORDS * odds + _BEST * best + _NEAREST * near

    def _odds(self, question: str, before: Sequence[str]) -> float:
        """What the words of a question say of whether chatapp is meant: a logarithm."""
        like = max(self._examples.compare(question).values(), default=0.0)
        odds = self._ranking.odds(self._ask(question, before)) + _LIKE_ODDS * like
        return max(-6.0, min(8.0, odds))

    def _take(self, scores: Mapping[int, float], most: int, is_doubtful: bool) -> list[Found]:
        """The likeliest, without those that are far behind the first."""
        total, best = sum(scores.values()), max(scores.values())
        places = sorted(scores, key=lambda place: -scores[place])[:most]
        return [
            Found(self.facts[place], scores[place] / total, is_doubtful)
            for place in places
            if scores[place] >= _FAR_BEHIND * best
        ]

    def _weigh(self, question: str, before: str) -> dict[int, float]:
        """How likely each fact is meant, as it was learned: by the question, the one before it, and
        each of its wishes."""
        scores = self._read(question)
        wishes = _split(question)
        for wish in wishes if len(wishes) > 1 else ():
            for place, score in self._learned.weigh(wish).items():
                scores[place] = max(scores[place], score / len(wishes))
        if before:
            earlier = self._learned.weigh(before)
            both = _share({place: score * earlier[place] for place, score in scores.items()}, 0.5)
            alone = len(read_words(question)) < _ALONE
            scores = {
                place: score + both[place] + (2 * earlier[place] if alone else 0.0)
                for place, score in scores.items()
            }
        return _share(scores, _SHARPER)

    def _read(self, question: str) -> dict[int, float]:
        """What was learned of a question, as it was written and as it was meant."""
        scores = self._learned.weigh(question)
        mended = _LATIN.sub(lambda found: self._mend(found[0]), question.lower())
        if mended != question.lower():
            for place, score in self._learned.weigh(mended).items():
                scores[place] += score
        return scores

    def _mend(self, word: str) -> str:
        """A word that nobody knows as the known one that was meant."""
        return word if is_general(word) else self._ranking.mend(word)

    def _find_by_words(self, question: str, before: Sequence[str], odds: float) -> list[int]:
        """The places of the facts that have a question's words, the best first."""
        if odds < _LEAST_ODDS:
            return []
        asked, likeness = self._ask(question, before), self._examples.compare(question)
        found = [*self._heads(question, before, odds), *self._rank(asked, likeness, odds)]
        if found and self._goes_on(question, before):
            found = [*found[: MOST - 1], *self._topic(before[-1])]
        return list(dict.fromkeys(one.place for one in found))[:MOST]

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


def searched(facts: Sequence[Fact]) -> tuple[Fact, ...]:
    """The facts that questions are compared with: not those that are known to fit by the form of
    what was said alone."""
    return tuple(fact for fact in facts if fact.id not in _BY_FORM)


def _share(scores: Mapping[int, float], power: float) -> dict[int, float]:
    """Scores to a power, so that they are 1 together."""
    raised = {place: score**power for place, score in scores.items()}
    total = sum(raised.values())
    return {place: score / total for place, score in raised.items()}


def language_of(question: str) -> Language:
    """In which language facts are put before it."""
    return "zh" if has_han(question) else "en"


def _split(question: str) -> list[str]:
    wishes = [wish.strip() for wish in _CLAUSES.split(question)]
    return [wish for wish in wishes if read_words(wish)]
