"""Conversations of every kind that the built-in model meets, drawn one after another.

Promises that the facts stand before a question as the engine puts them there, that an answer holds
no name that its facts do not hold, and that the same seed gives the same conversations.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import TypeVar

from chatapp.builtin.recipe.chat.phrasing import render
from chatapp.builtin.recipe.guide.answering import say
from chatapp.builtin.recipe.guide.asking import Asker
from chatapp.builtin.recipe.guide.inventing import Invented, Inventor, read_table, rename
from chatapp.builtin.recipe.guide.sources import read_beyond, read_glosses, read_small
from chatapp.builtin.recipe.guide.worlds import World, read_real
from chatapp.builtin.recipe.guide.written import fold_of, read_near
from chatapp.guide.facts import Fact, Language
from chatapp.guide.retrieval import Found
from chatapp.guide.retrieval.finding import MOST, language_of
from chatapp.guide.retrieval.learned import Weights
from chatapp.guide.wording import DOUBTFUL, NAME, NOTHING, UNSURE, lay_out, mark

_T = TypeVar("_T")
RENAMED = 24
"""Programs with other names."""
_CHINESE = 0.22
_LETTERS: dict[Language, int] = {"en": 900, "zh": 420}
"""Of facts before a question, as the guide puts them there."""
_UNSURE_SHARE, _DOUBTFUL_SHARE = 0.2, 0.06
"""Of invented facts, which are looked for by nobody."""
_MORE_DOUBTFUL = 0.03
"""Share of other questions that are put in doubt: too few are by themselves."""
_PAST_DOUBT = 0.3
"""Share of what is beyond, and seems not to be, that is learned from: nobody could tell."""
_SYSTEM_SHARE = 0.08
_POLITE = re.compile(r"please|can you tell|could you|would you|请|能.*吗", re.IGNORECASE)
_WEIGHTS = {
    "real": 24,
    "renamed": 24,
    "invented": 20,
    "words": 6,
    "both": 6,
    "follow": 8,
    "unfit": 5,
    "beyond": 12,
    "small": 10,
}


@dataclass
class Talk:
    """One conversation to train on, while its messages are being added."""

    kind: str
    messages: list[dict[str, str]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def add(self, question: str, lines: Sequence[str], answer: str, language: Language) -> None:
        """A question with what stands before it, and the answer."""
        known = "\n".join(lines) or NOTHING[language]
        content = f"{NAME}\n```\n{known}\n```\n\n{question}"
        self.messages += [
            {"role": "user", "content": content},
            {"role": "assistant", "content": answer},
        ]
        self.asked.append(question)

    def as_dicts(self) -> Iterator[dict[str, object]]:
        """A line of the file for each answer: what was known of earlier questions is not read
        again, and the answers to them are not learned without it."""
        said: list[dict[str, object]] = []
        for place, message in enumerate(self.messages):
            said.append(dict(message))
            if message["role"] == "assistant":
                yield {
                    "messages": [dict(one) for one in said],
                    "ask": self.asked[: (place + 1) // 2],
                }
                said[-2]["content"] = str(said[-2]["content"]).partition("\n```\n\n")[2]
                said[-1]["weight"] = 0


class Scenes:
    """Draws conversations to train on; the same seed gives the same ones."""

    def __init__(self, seed: int, weights: Sequence[Weights], renamed: int = RENAMED) -> None:
        """`weights` are what was learned from all questions but those of one fold, by fold: a
        question is looked up as one that nobody has seen."""
        self.rng = Random(seed)  # noqa: S311 - order, no secret
        program = read_real()
        others = [rename(program, self.rng) for _ in range(renamed)]
        self._reals = [World(program, one) for one in weights]
        self._others = [
            [World(other, one) for other in others[fold :: len(weights)] or others]
            for fold, one in enumerate(weights)
        ]
        self._fold = 0
        self._asker = Asker(self.rng)
        self._frames = read_table("frames")
        self._glosses = read_glosses()
        nouns = [word for word, _ in self._glosses if re.fullmatch("[a-z]{3,12}", word)]
        self._inventor = Inventor(self.rng, nouns)
        folds = range(len(weights))
        every = read_beyond()
        self._beyond = [[self._of(fold, part) for part in every] for fold in folds]
        self._near = [
            {one: self._of(fold, said) for one, said in read_near().items()} for fold in folds
        ]
        self._small = [
            {one: self._of(fold, said) for one, said in read_small().items()} for fold in folds
        ]
        self._chinese = read_table("talk")["beyond"]
        self._follows = read_table("follows")["follow"]

    def _of(self, fold: int, texts: Sequence[_T]) -> list[_T]:
        """Those that what the fold looks up by was not learned from."""
        n = len(self._reals)
        return [
            one
            for one in texts
            if n == 1 or fold_of(one if isinstance(one, str) else one[0]) == fold  # type: ignore[index]
        ]

    @property
    def _real(self) -> World:
        return self._reals[self._fold]

    def draw(self) -> Talk:
        """The next conversation, of a kind drawn by weight."""
        kinds, weights = list(_WEIGHTS), list(_WEIGHTS.values())
        while True:
            self._fold = self.rng.randrange(len(self._reals))
            self._asker.fold = self._fold if len(self._reals) > 1 else None
            kind = self.rng.choices(kinds, weights)[0]
            talk = Talk(kind)
            if self._chance(_SYSTEM_SHARE):
                talk.messages.append(
                    {"role": "system", "content": self.rng.choice(self._frames["system"])}
                )
            getattr(self, f"_{kind}_scene")(talk)
            if talk.asked:
                return talk

    def _real_scene(self, talk: Talk) -> None:
        self._question(talk, self._real)

    def _renamed_scene(self, talk: Talk) -> None:
        self._question(talk, self.rng.choice(self._others[self._fold]))

    def _question(self, talk: Talk, world: World) -> Fact | None:
        """One question about a program; None where none came to mind."""
        language = self._language()
        fact = self.rng.choice(world.facts if self._chance(0.12) else world.by_hand)
        asked = self._asker.ask(fact, world.program, language)
        if asked:
            self._answer(talk, world, fact, asked)
        return fact if asked else None

    def _answer(self, talk: Talk, world: World, fact: Fact, asked: str, lead: str = "") -> None:
        language = language_of(asked)
        lines = self._lines(world, [fact], asked, talk.asked, language)
        said = say(lines, [fact.text[language]], language)
        talk.add(asked, lines, self._led(lines, asked, said, language, lead), language)

    def _lines(
        self,
        world: World,
        wanted: Sequence[Fact],
        asked: str,
        before: Sequence[str],
        language: Language,
    ) -> list[str]:
        """What stands before a question, as the guide lays it out: a little is changed at times,
        and the facts that are wanted are there."""
        found = world.guide.find(asked, before)
        missing = [one for one in wanted if one not in [each.fact for each in found]]
        if self._chance(0.15):
            found = [one for one in found if one.fact in wanted or self._chance(0.5)]
        while len(found) + len(missing) < MOST and self._chance(0.12):
            other = Found(self.rng.choice(world.by_hand), 0.05)
            found.insert(self.rng.randint(min(1, len(found)), len(found)), other)
        found = found[: MOST - len(missing)]
        for one in missing:
            found.insert(self.rng.randint(0, len(found)), Found(one, 0.3))
        if self._chance(0.1):
            self.rng.shuffle(found)
        if self._chance(_MORE_DOUBTFUL):
            found = [replace(one, is_doubtful=True) for one in found]
        lines = lay_out(found, language)
        if all(any(line.endswith(one.text[language]) for line in lines) for one in wanted):
            return lines
        first = [Found(one, 0.3) for one in wanted]  # else there is no room for it
        return lay_out([*first, *(one for one in found if one.fact not in wanted)], language)

    def _fit(self, lines: Sequence[str], wanted: Sequence[str], language: Language) -> list[str]:
        """The lines in their order, without others than the wanted ones where room is short."""
        left = _LETTERS[language] - sum(map(len, wanted))
        kept = []
        for line in lines:
            if line not in wanted:
                if len(line) > left:
                    continue
                left -= len(line)
            kept.append(line)
        return kept

    def _invented_scene(self, talk: Talk) -> None:
        language = self._language()
        for _ in range(2 if self._chance(0.15) else 1):
            group = self._inventor.group(self.rng.choice((1, 2, 3, 3, 4, 4)), language)
            if len(group) > 1 and self._chance(0.12):
                self._both_invented(talk, group, language)
                continue
            asked = self._asker.ask_invented(
                group[0].wishes, group[0].says, group[0].names, language
            )
            lines = self._mix(group, group[:1], language)
            said = say(lines, [group[0].text], language)
            talk.add(asked, lines, self._led(lines, asked, said, language), language)

    def _both_invented(self, talk: Talk, group: list[Invented], language: Language) -> None:
        one, other = (self.rng.choice(fact.wishes) for fact in group[:2])
        asked = self._asker.frame("both" if language == "en" else "zh_both", a=one, b=other)
        lines = self._mix(group, group[:2], language)
        said = say(lines, [fact.text for fact in group[:2]], language)
        talk.add(asked, lines, self._led(lines, "", said, language), language)

    def _mix(
        self, group: Sequence[Invented], wanted: Sequence[Invented], language: Language
    ) -> list[str]:
        lines = [one.text for one in group]
        if self._chance(0.15):
            lines.append(self.rng.choice(self._real.by_hand).text[language])
        self.rng.shuffle(lines)
        lines = self._fit(lines, [one.text for one in wanted], language)
        doubt = [DOUBTFUL[language]] if wanted and self._chance(_DOUBTFUL_SHARE) else []
        is_unsure = len(wanted) < 2 and len(lines) > 1 and self._chance(_UNSURE_SHARE)
        unsure = [self.rng.choice(UNSURE[language])] if is_unsure else []
        return [*mark(lines), *unsure, *doubt]

    def _words_scene(self, talk: Talk) -> None:
        """What a word means, from a dictionary: sentences of every kind are copied."""
        group = self.rng.sample(self._glosses, self.rng.choice((2, 3, 4)))
        lines = [f"{word[0].upper()}{word[1:]}: {gloss}" for word, gloss in group]
        asked = self._asker.frame("thing", thing=group[0][0])
        answer = lines[0]
        self.rng.shuffle(lines)
        lines = mark(self._fit(lines, [answer], "en"))
        talk.add(asked, lines, say(lines, [answer], "en"), "en")

    def _both_scene(self, talk: Talk) -> None:
        language = self._language()
        world = self._world()
        for _ in range(20):
            facts = self.rng.sample(world.by_hand, 2)
            wishes = [self._asker.wish(fact, language) for fact in facts]
            if all(wishes):
                break
        else:
            return
        asked = self._asker.frame(
            "both" if language == "en" else "zh_both", a=wishes[0] or "", b=wishes[1] or ""
        )
        lines = self._lines(world, facts, asked, (), language)
        said = say(lines, [fact.text[language] for fact in facts], language)
        talk.add(asked, lines, self._led(lines, "", said, language), language)

    def _follow_scene(self, talk: Talk) -> None:
        world = self._world()
        manner = self.rng.random()
        if manner < 0.45:
            follow = self.rng.choice([one for one in self._follows if one["after"] != "beyond"])
            language = self._language()
            asked = self._asker.ask(world.named[follow["after"]], world.program, language)
            if not asked:
                return
            self._answer(talk, world, world.named[follow["after"]], asked)
            self._go_on(talk, world, follow, language)
            return
        fact = self._question(talk, world)
        if fact is None:
            return
        language = language_of(talk.asked[0])
        prefix = "" if language == "en" else "zh_"
        if manner < 0.6:
            lead = self.rng.choice(self._frames[f"{prefix}again_lead"])
            self._answer(talk, world, fact, self._asker.frame(f"{prefix}again"), lead)
            return
        other = self.rng.choice(world.by_hand)
        wish = self._asker.wish(other, language)
        if wish:
            self._answer(talk, world, other, self._asker.frame(f"{prefix}next", do=wish))

    def _go_on(
        self, talk: Talk, world: World, follow: dict[str, list[str]], language: Language
    ) -> None:
        asked = self.rng.choice(follow["asks" if language == "en" else "zh"])
        asked = render(asked, self.rng) if language == "en" else asked
        self._answer(talk, world, world.named[str(follow["then"])], asked)

    def _unfit_scene(self, talk: Talk) -> None:
        """Facts, of which none answers."""
        language = self._language()
        declines = self._frames["decline_near" if language == "en" else "zh_decline_near"]
        answer = str(self.rng.choice(declines))
        if self._chance(0.75):
            first, *others = self._inventor.group(4, language)
            if others:
                asked = self._asker.ask_invented(first.wishes, first.says, first.names, language)
                talk.add(asked, self._mix(others, (), language), answer, language)
            return
        world = self._world()
        fact = self.rng.choice(world.by_hand)
        about = self._asker.ask(fact, world.program, language)
        if about:
            near = {one.fact.id for one in world.guide.find(about, most=8)} | {fact.id}
            far = [one for one in self.rng.sample(world.by_hand, 3) if one.id not in near]
            found = [Found(one, 0.3) for one in far[: self.rng.randint(0, 3)]]
            talk.add(about, lay_out(found, language), answer, language)

    def _beyond_scene(self, talk: Talk) -> None:
        near = self._chance(0.4)
        if self._chance(_CHINESE):
            asked = (
                self.rng.choice(self._near[self._fold]["zh"]) if near else self._chinese_beyond()
            )
            kind = "decline"
        elif near:
            asked, kind = self.rng.choice(self._near[self._fold]["en"]), "decline"
        else:
            asked, is_task = self.rng.choice(self._beyond[self._fold][self._chance(0.55)])
            kind = "decline_task" if is_task else "decline"
        language = language_of(asked)
        kind = kind if language == "en" else "zh_decline"
        found = self._real.guide.find(asked)
        lines, answer = lay_out(found, language), str(self.rng.choice(self._frames[kind]))
        if found and found[0].is_doubtful:
            said = say(lines, [found[0].fact.text[language]], language)
            answer = self._led(lines, asked, said, language)
        elif found and not self._chance(_PAST_DOUBT):
            return
        elif self._chance(0.08):
            drawn = self.rng.sample(self._real.by_hand, self.rng.randint(1, 3))
            lines = lay_out([Found(one, 0.3) for one in drawn], language)
        talk.add(asked, lines, answer, language)
        if self._chance(0.1):
            self._go_on(talk, self._real, self._follows[-1], language)

    def _chinese_beyond(self) -> str:
        table = self._chinese
        text = str(self.rng.choice(table["patterns"]))
        return re.sub("<(.*?)>", lambda found: str(self.rng.choice(table[found[1]])), text)

    def _small_scene(self, talk: Talk) -> None:
        asked, answer = self.rng.choice(self._small[self._fold][self._language()])
        language = language_of(asked)
        found = self._real.guide.find(asked)
        lines = lay_out(found, language)
        if found:
            if found[0].is_doubtful or len(found) == 1:
                said = say(lines, [found[0].fact.text[language]], language)
                talk.add(asked, lines, self._led(lines, "", said, language), language)
            return
        talk.add(asked, lines, answer, language)
        if self._chance(0.3):
            self._question(talk, self._world())

    def _led(
        self, lines: Sequence[str], asked: str, said: str, language: Language, lead: str = ""
    ) -> str:
        """An answer with what is said before it: that chatapp may not be meant, where that is not
        sure, or else `lead`, or a polite word."""
        if lines[-1] == DOUBTFUL[language]:
            lead = str(self._frames["doubt_lead" if language == "en" else "zh_doubt_lead"])
        return (lead or self._lead(asked, language)) + said

    def _lead(self, asked: str, language: Language) -> str:
        """A word before the answer where somebody asks politely."""
        if not _POLITE.search(asked) or self._chance(0.5):
            return ""
        return str(self.rng.choice(self._frames["polite" if language == "en" else "zh_polite"]))

    def _world(self) -> World:
        return self._real if self._chance(0.5) else self.rng.choice(self._others[self._fold])

    def _language(self) -> Language:
        return "zh" if self._chance(_CHINESE) else "en"

    def _chance(self, p: float) -> bool:
        return self.rng.random() < p
