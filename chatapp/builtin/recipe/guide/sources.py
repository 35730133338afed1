"""What is asked besides questions about chatapp: words, small talk, and whatever people type."""

import gzip
import json
import re
from itertools import chain
from pathlib import Path

from chatapp.builtin.recipe.guide.written import read_tasks
from chatapp.guide.naming import names_in

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
    have typed it."""
    made = [
        (turns[0][0], False)
        for name in ("honesty", "variety", "world", "creative")
        for turns in _read_chats(name)
    ]
    with gzip.open(_RECIPE / "data" / "prompts.jsonl.gz", "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    typed = [(row["text"][:600], row["kind"] == "task") for row in rows]
    typed += [(asked, True) for asked in chain.from_iterable(read_tasks().values())]
    return made, typed


def read_small() -> list[tuple[str, str]]:
    """Small talk that names nothing of the program."""
    pairs = [turns[0] for turns in _read_chats("smalltalk")]
    return [
        (asked, answer)
        for asked, answer in pairs
        if not names_in(answer) and "chatapp -" not in answer
    ]


def _read_chats(name: str) -> list[list[tuple[str, str]]]:
    talks = []
    for line in (_RECIPE / "chat" / f"{name}.jsonl").read_text(encoding="utf-8").splitlines():
        said = [one["content"] for one in json.loads(line)["messages"] if one["role"] != "system"]
        talks.append(list(zip(said[::2], said[1::2], strict=True)))
    return talks
