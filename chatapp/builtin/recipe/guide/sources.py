"""What is asked besides questions about chatapp: words, small talk, and whatever people type."""

import gzip
import json
import re
from collections.abc import Iterable
from functools import cache
from itertools import chain
from pathlib import Path
from random import Random

from chatapp.builtin.recipe.guide.inventing import read_table
from chatapp.builtin.recipe.guide.written import read_tasks, read_written
from chatapp.guide.facts import Language
from chatapp.guide.naming import names_in
from chatapp.guide.retrieval.words import form_of, has_han

_RECIPE = Path(__file__).parent.parent


def read_glosses() -> list[tuple[str, str]]:
    """Words with what they mean, short ones."""
    found = []
    with gzip.open(_RECIPE / "data" / "wordnet.txt.gz", "rt", encoding="utf-8") as lines:
        for line in lines:
            entry = re.match(r"([A-Z][\w' -]{2,30}): ([^.]{12,140}\.)", line)
            if entry:
                found.append((entry[1][0].lower() + entry[1][1:], entry[2]))
    return found


def read_beyond() -> tuple[list[tuple[str, bool]], list[tuple[str, bool]]]:
    """What is beyond chatapp, and whether it is a task: as the tables beside have it, and as people
    have typed it; without what small talk answers."""
    made = [
        (turns[0][0], False)
        for name in ("honesty", "variety", "world", "creative")
        for turns in _read_chats(name)
    ]
    with gzip.open(_RECIPE / "data" / "prompts.jsonl.gz", "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    typed = [(row["text"][:600], row["kind"] == "task") for row in rows]
    typed += [(asked, True) for asked in chain.from_iterable(read_tasks().values())]
    small = forms_of(asked for pairs in read_small().values() for asked, _ in pairs)
    made, typed = ([one for one in part if form_of(one[0]) not in small] for part in (made, typed))
    return made, typed


@cache
def read_small() -> dict[Language, list[tuple[str, str]]]:
    """Small talk that names nothing of the program, by language, without what was written for a
    fact."""
    english = [turns[0] for turns in _read_chats("smalltalk")]
    rng = Random(0)  # noqa: S311 - order, no secret
    chinese = [
        (asked, rng.choice(entry["answers"]))
        for entry in read_table("talk")["small"]
        for asked in entry["asks"]
        if has_han(asked)
    ]
    known = forms_of(
        asked
        for written in read_written().values()
        for one in written.asked.values()
        for asked in one
    )
    every: dict[Language, list[tuple[str, str]]] = {"en": english, "zh": chinese}
    return {
        language: [
            (asked, answer)
            for asked, answer in pairs
            if not names_in(answer) and form_of(asked) not in known
        ]
        for language, pairs in every.items()
    }


def forms_of(texts: Iterable[str]) -> set[str]:
    """Texts without case and marks, each once, to tell whether one is among them."""
    return {form_of(text) for text in texts}


def _read_chats(name: str) -> list[list[tuple[str, str]]]:
    talks = []
    for line in (_RECIPE / "chat" / f"{name}.jsonl").read_text(encoding="utf-8").splitlines():
        said = [one["content"] for one in json.loads(line)["messages"] if one["role"] != "system"]
        talks.append(list(zip(said[::2], said[1::2], strict=True)))
    return talks
