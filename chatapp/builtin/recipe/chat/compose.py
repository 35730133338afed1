"""Writes small talk and what people ask beyond chatapp, from the tables beside it.

Promises: the same tables and `SEED` give the same files, byte for byte; every line is ASCII; no
question is near one of the files given with `--apart`. May not touch any other folder.
Surprising: when two topics would ask the same thing, the one read first keeps it, so that the
model is never shown two answers of different meaning to one question. `FILES` is that order.

Run: `python -m chatapp.builtin.recipe.chat.compose --apart FILE…`.
"""

import argparse
import json
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from chatapp.builtin.recipe.chat.phrasing import Words, expand, render
from chatapp.builtin.recipe.guide.apart import find_near, read_apart

FOLDER = Path(__file__).parent
FILES = ("world", "smalltalk", "creative", "honesty", "variety")
SEED = 7
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


class Composer:
    """Draws turns from topics; remembers which questions are spoken for."""

    def __init__(self, words: Words) -> None:
        self.words, self.rng = words, Random(SEED)  # noqa: S311 (not a secret)
        self.owner: dict[str, str] = {}

    def draw(self, topic: Topic, row: list[str]) -> Turn | None:
        """A turn of `topic`, or None when the drawn question belongs to another topic."""
        ask = self._fill(self.rng.choice(topic.asks), row)
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
    """Write `FILES` as .jsonl, without what is near a question of the files given."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--apart", type=Path, nargs="*", default=[])
    apart = read_apart(parser.parse_args().apart)
    composer = Composer(load("words"))
    for name in FILES:
        topics = [Topic(**entry) for entry in load(name)["topic"]]
        singles = [turns for topic in topics for turns in composer.singles(topic)]
        near = find_near((asked for turns in singles for asked, _ in turns), apart)
        far = [turns for turns in singles if near.isdisjoint(asked for asked, _ in turns)]
        write(name, far, composer.rng)


if __name__ == "__main__":
    main()
