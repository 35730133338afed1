"""Writes the chat turns that the built-in model is fine-tuned on, from the tables beside it.

Promises: the same tables and `SEED` give the same files, byte for byte; every line is ASCII; no
question of `heldout.jsonl` is among the training questions. May not touch any other folder.
Surprising: when two topics would ask the same thing, the one read first keeps it, so that the
model is never shown two answers of different meaning to one question. `FILES` is that order.

Run: `python -m chatapp.builtin.recipe.chat.compose`.
"""

import json
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from chatapp.builtin.recipe.chat.phrasing import Words, expand, render

FOLDER = Path(__file__).parent
FILES = (
    "about", "keys", "commands", "models", "world", "smalltalk", "creative", "honesty", "variety",
)  # fmt: skip
SEED = 7
DIALOGUES = 3000
"""Conversations of several turns: a sixth of all conversations, nearly half of all turns."""
TRIES = 40
"""Draws per wanted question before a small pattern counts as used up."""
SYSTEM_SHARE = 0.12
SYSTEM = (
    "You are a helpful assistant.",
    "You are a helpful assistant.",
    "You are chatapp, a chat assistant for the terminal.",
    "You are a friendly assistant. Answer in short sentences.",
    "Be short and clear.",
    "You are an AI assistant.",
)
REPEAT = (
    "{say that again|repeat that|can you repeat that|again please|once more|sorry, say it again}"
)

TAIL = "{, how|, how| how|, how do i do that|, how does that work|, which key|, is that possible}"
TAIL_SHARE = 0.1
"""Of the questions that begin with `<how>`: the wish first, and the question after it."""

Turn = tuple[str, str]
"""A question and its answer."""


@dataclass(frozen=True)
class Topic:
    """One thing to say, and the ways of asking for it. `$1` in a text is a row's first column."""

    name: str
    count: int
    """Single questions wanted; for a topic with rows, per row."""
    asks: list[str]
    answers: list[str]
    rows: list[list[str]] = field(default_factory=lambda: [[]])
    follows: list[dict[str, list[str]]] = field(default_factory=list)
    """What people ask next, and the answers to that."""


class Composer:
    """Draws turns from the topics; remembers which questions are spoken for."""

    def __init__(self, topics: dict[str, list[Topic]], words: Words, reserved: set[str]) -> None:
        self.topics, self.words, self.rng = topics, words, Random(SEED)  # noqa: S311 (not a secret)
        self.owner = dict.fromkeys(reserved, "heldout")

    def draw(self, topic: Topic, row: list[str]) -> Turn | None:
        """A turn of `topic`, or None when the drawn question belongs to another topic."""
        pattern = self.rng.choice(topic.asks)
        if pattern.startswith("<how") and self._chance(TAIL_SHARE):
            pattern = pattern.partition("> ")[2] + TAIL
        ask = self._fill(pattern, row)
        if self.owner.setdefault(plain(ask), topic.name) != topic.name:
            return None
        return render(ask, self.rng), self._fill(self.rng.choice(topic.answers), row)

    def singles(self, topic: Topic) -> Iterator[list[Turn]]:
        """Up to `topic.count` different questions for each row, one turn each."""
        for row in topic.rows:
            seen: set[str] = set()
            for _ in range(topic.count * TRIES):
                turn = self.draw(topic, row)
                if turn and turn[0] not in seen:
                    seen.add(turn[0])
                    yield [turn]
                if len(seen) == topic.count:
                    break

    def dialogue(self) -> list[Turn]:
        """A conversation of two to five turns: an opening, a middle, perhaps a farewell."""
        turns = [self._any("smalltalk", "greeting", "how-are-you")] if self._chance(0.3) else []
        turns += self._question()
        while len(turns) < 2 or self._chance(0.3):
            turns += self._question()
        if self._chance(0.1):
            turns.append((render(expand(REPEAT, self.words, self.rng), self.rng), turns[-1][1]))
        if self._chance(0.1):
            turns.append(self._any("about", "are-answers-right", "why-so-bad"))
        if self._chance(0.3):
            turns.append(self._any("smalltalk", "thanks", "bye", "praise", "assent"))
        return turns[:6]

    def _question(self) -> list[Turn]:
        """One question of any file, with what people ask next where the topic knows it."""
        weights = (4, 5, 4, 4, 1, 2, 2, 2, 2)
        pool = self.topics[self.rng.choices(FILES, weights)[0]]
        topic = self.rng.choice(pool)
        turns = [self._turn(topic)]
        while topic.follows and len(turns) < 3 and self._chance(0.65):
            follow = self.rng.choice(topic.follows)
            ask, answer = self.rng.choice(follow["asks"]), self.rng.choice(follow["answers"])
            if answer not in (a for _, a in turns):
                turns.append((render(self._fill(ask, []), self.rng), answer))
        return turns

    def _any(self, file: str, *names: str) -> Turn:
        name = self.rng.choice(names)
        return self._turn(next(t for t in self.topics[file] if t.name == name))

    def _turn(self, topic: Topic) -> Turn:
        while not (turn := self.draw(topic, self.rng.choice(topic.rows))):
            pass
        return turn

    def _chance(self, p: float) -> bool:
        return self.rng.random() < p

    def _fill(self, pattern: str, row: list[str]) -> str:
        """`pattern` expanded, with the row's columns in place of `$1`, `$2`, ..."""
        text = expand(pattern, self.words, self.rng) if "\n" not in pattern else pattern
        for i, column in enumerate(row, start=1):
            text = text.replace(f"${i}", column)
        return expand(text, self.words, self.rng) if row else text


def plain(text: str) -> str:
    """`text` without case and punctuation: how two questions are compared."""
    return re.sub(r"[^a-z0-9]+", " ", text.lower()).strip() or text


def load(name: str) -> dict[str, Any]:
    """The table `name`.toml of this folder."""
    return tomllib.loads((FOLDER / f"{name}.toml").read_text("ascii"))


def write(name: str, conversations: list[list[Turn]], rng: Random) -> None:
    """One conversation a line, some under a system prompt."""
    with (FOLDER / f"{name}.jsonl").open("w", encoding="ascii", newline="\n") as out:
        for turns in conversations:
            messages = [
                {"role": role, "content": text}
                for turn in turns
                for role, text in zip(("user", "assistant"), turn, strict=True)
            ]
            if rng.random() < SYSTEM_SHARE:
                messages.insert(0, {"role": "system", "content": rng.choice(SYSTEM)})
            out.write(json.dumps({"messages": messages}) + "\n")


def main() -> None:
    """Write `FILES` and `dialogues` as .jsonl."""
    heldout = (FOLDER / "heldout.jsonl").read_text("ascii").splitlines()
    reserved = {plain(json.loads(line)["question"]) for line in heldout}
    topics = {name: [Topic(**entry) for entry in load(name)["topic"]] for name in FILES}
    composer = Composer(topics, load("words"), reserved)
    for name in FILES:
        singles = [turns for topic in topics[name] for turns in composer.singles(topic)]
        write(name, singles, composer.rng)
    write("dialogues", [composer.dialogue() for _ in range(DIALOGUES)], composer.rng)


if __name__ == "__main__":
    main()
