"""The facts that are written by hand, from the `data` folder: a TOML table each.

    ["key:regenerate"]                      # its id, and what it is mainly about
    with = ["command:/regenerate"]          # what it covers besides
    en = "{key:regenerate} or {command:/regenerate} asks for another answer."
    zh = "…"
    find = "retry redo again"               # words of those who look for it
    zh_find = "重试 再答"

No key, name or value stands in a sentence: all are references (`filling`), so that what is read is
true of the program as it is configured.
"""

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files


@dataclass(frozen=True, slots=True)
class Topic:
    """One such fact, not yet filled in."""

    id: str
    covers: tuple[str, ...]
    en: str
    zh: str
    find: str
    zh_find: str


@cache
def read_topics() -> tuple[Topic, ...]:
    """Every topic, in the order of the files' names."""
    folder = files("chatapp.guide.facts") / "data"
    texts = sorted((file.name, file) for file in folder.iterdir() if file.name.endswith(".toml"))
    found: list[Topic] = []
    for _, file in texts:
        for name, table in tomllib.loads(file.read_text(encoding="utf-8")).items():
            covers = (name, *table.get("with", ()))
            say = (table["en"], table["zh"], table["find"], table["zh_find"])
            found.append(Topic(name, covers, *say))
    return tuple(found)
