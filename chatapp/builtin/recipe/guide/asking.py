"""Questions about facts, as hurried people type them.

Promises that the same `Random` gives the same questions. Sources: what was written for each fact
(`questions/`), `wishes.toml`, `patterns.toml`, and the examples that the guide is searched with.
"""

import re
import tomllib
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from random import Random

from chatapp.builtin.recipe.chat.phrasing import expand, render
from chatapp.builtin.recipe.guide.inventing import read_table
from chatapp.builtin.recipe.guide.written import fold_of, read_written
from chatapp.guide.facts import Fact, Language, Program
from chatapp.guide.retrieval.examples import read_examples
from chatapp.guide.retrieval.finding import language_of

_CHAT = Path(__file__).parent.parent / "chat"
_BEGINS = re.compile(
    r"^(how|what|which|where|when|why|who|can|could|is|are|am|do|does|did|i|it|my|the|there|a|an|in|on|no|not|will|"
    r"would|should|this|that|you|your|if)\b"
)


@cache
def read_words() -> Mapping[str, Sequence[str]]:
    """The word lists of the chats' patterns."""
    return tomllib.loads((_CHAT / "words.toml").read_text(encoding="utf-8"))


class Asker:
    """Draws questions about facts, as people might type them."""

    def __init__(self, rng: Random) -> None:
        self.rng = rng
        self.fold: int | None = None
        """Of which part what was written is drawn; None: of all."""
        self._frames = read_table("frames")
        self._wishes, self._patterns = read_table("wishes"), read_table("patterns")
        self._examples = read_examples()
        self._written = read_written()
        self._drawn: dict[tuple[str, Language, int | None], Sequence[str]] = {}

    def ask(self, fact: Fact, program: Program, language: Language) -> str | None:
        """A question that a fact of the program answers; None where none comes to mind."""
        manner = self.rng.random()
        if manner < (0.1 if fact.by_hand else 0.3):
            asked = self._by_name(fact, program, language)
            if asked:
                return asked
        written = self._read_written(fact, language)
        if manner < 0.85 and written:
            question = self.rng.choice(written)
            return self._type(question) if language == "en" and manner < 0.4 else question
        if not fact.by_hand:
            return None
        if manner < 0.9 and language == "en" and fact.id in self._patterns:
            return self._type(self._expand(self.rng.choice(self._patterns[fact.id])))
        if manner < 0.95:
            examples = [
                one for one in self._examples.get(fact.id, ()) if language_of(one) == language
            ]
            if examples:
                return self._like(self.rng.choice(examples), language)
        return self._wish(fact, language)

    def _read_written(self, fact: Fact, language: Language) -> Sequence[str]:
        """What was written for a fact, of the part that is drawn from."""
        key = fact.id, language, self.fold
        if key not in self._drawn:
            every = self._written[fact.id].asked[language] if fact.id in self._written else ()
            part = [one for one in every if self.fold is None or fold_of(one) == self.fold]
            self._drawn[key] = part
        return self._drawn[key]

    def wish(self, fact: Fact, language: Language) -> str | None:
        """What somebody wants, to stand behind "how do i"; None where the fact is of no such
        kind."""
        table = self._wishes.get(fact.id, {})
        phrases = self._split(table.get("do" if language == "en" else "zh", ""))
        fit = [
            one for one in phrases if language == "en" or not re.search("[吗呢]|什么|哪|多", one)
        ]
        return self.rng.choice(fit) if fit else None

    def frame(self, kind: str, **fields: str) -> str:
        """A frame of a kind with its places filled, as somebody types it."""
        pattern = str(self.rng.choice(self._frames[kind]))
        return self._fill(pattern, fields, kind.startswith("zh_"))

    def ask_invented(
        self, wishes: Sequence[str], says: Sequence[str], names: Sequence[str], language: Language
    ) -> str:
        """A question about an invented fact."""
        manner, prefix = self.rng.random(), "" if language == "en" else "zh_"
        if manner < 0.22 and names:
            return self.ask_name(self.rng.choice(names), language)
        if manner < 0.32:
            return self.frame(f"{prefix}say", say=self.rng.choice(says))
        return self.frame(f"{prefix}do", do=self.rng.choice(wishes))

    def ask_name(self, name: str, language: Language) -> str:
        """A question what a key, a command, a flag or a setting does."""
        if language == "zh":
            return self.frame("zh_name", name=name)
        kind = "setting" if re.fullmatch(r"[a-z_]+", name) else "key" if "+" in name else "name"
        return self.frame(kind if self.rng.random() < 0.4 else "name", name=name)

    def _by_name(self, fact: Fact, program: Program, language: Language) -> str | None:
        names: list[str] = []
        for fact_id in fact.ids[:2]:
            kind, _, name = fact_id.partition(":")
            if kind == "key":
                names += program.keys[name].keys[:1]
            elif kind == "command":
                names.append(program.commands[name].name)
            elif kind == "cli":
                names.append(program.cli[name].name)
            elif kind == "flag":
                names.append(program.flags[name].name)
            elif kind == "setting":
                names.append(program.settings[name].name)
        names = [name for name in names if len(name) > 1 and name in fact.text[language]]
        return self.ask_name(self.rng.choice(names), language) if names else None

    def _wish(self, fact: Fact, language: Language) -> str | None:
        table = self._wishes.get(fact.id, {})
        if language == "zh":
            phrases = self._split(table.get("zh", ""))
            if not phrases:
                return None
            phrase = self.rng.choice(phrases)
            is_question = re.search("[吗呢]|什么|怎么|哪|多久|多少", phrase)
            frame = "zh_say" if is_question else self.rng.choice(("zh_do", "zh_do", "zh_say"))
            return self.frame(frame, do=phrase, say=phrase)
        kinds = [kind for kind in ("do", "do", "thing", "say") if kind in table]
        if not kinds:
            return None
        kind = self.rng.choice(kinds)
        return self.frame(kind, **{kind: self.rng.choice(self._split(table[kind]))})

    def _like(self, example: str, language: Language) -> str:
        if language == "zh":
            return self.frame("zh_say", say=example)
        if not _BEGINS.match(example) and self.rng.random() < 0.3 and len(example.split()) > 2:
            return self._type(example)
        return self.frame("asked", asked=example)

    def _fill(self, pattern: str, fields: Mapping[str, str], is_zh: bool) -> str:
        text = self._expand(pattern, fields)
        if is_zh:
            return (
                text
                if self.rng.random() < 0.7
                else text.rstrip("？") + self.rng.choice(("？", "?", "。", ""))
            )
        return self._type(text, list(fields.values()) if "name" in fields else ())

    def _expand(self, pattern: str, fields: Mapping[str, str] | None = None) -> str:
        for name, value in (fields or {}).items():
            pattern = pattern.replace(f"<{name}>", value)
        return expand(pattern, read_words(), self.rng) if re.search("[{<]", pattern) else pattern

    def _type(self, text: str, exact: Sequence[str] = ()) -> str:
        """As people type it; names stay as they are, or all in small letters."""
        typed = render(text, self.rng)
        for name in exact:
            if name not in typed and self.rng.random() < 0.8:
                at = typed.lower().find(name.lower())
                typed = typed[:at] + name + typed[at + len(name) :] if at >= 0 else typed
        return _slip(typed, self.rng) if not exact and self.rng.random() < 0.12 else typed

    @staticmethod
    def _split(phrases: str) -> list[str]:
        return [one.strip() for one in phrases.split(";") if one.strip()]


def _slip(text: str, rng: Random) -> str:
    """One more slip in a longer word: a letter left out, doubled, swapped or its neighbour's."""
    inside = [found.start() + 1 for found in re.finditer(r"[a-z]{4,}", text)]
    if not inside:
        return text
    at = rng.choice(inside) + rng.randint(0, 1)
    a, b = text[at], text[at + 1 : at + 2]
    return (
        text[:at] + rng.choice((b, a + a + b, b + a, rng.choice("aeiourstn") + b)) + text[at + 2 :]
    )
