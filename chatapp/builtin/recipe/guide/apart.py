"""Questions that are kept apart to measure with, so that nothing like them is learned from."""

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path


def read_apart(paths: Iterable[Path]) -> list[str]:
    """What is asked in files of JSON lines with `ask`; small talk is everybody's."""
    return [text for path in paths for text in _read_asked(path)]


def find_near(texts: Iterable[str], apart: Sequence[str]) -> set[str]:
    """Those of `texts` that are near one that is kept apart."""
    if not apart:
        return set()
    from tests.guide.nearness import find_near as find
    from tests.guide.nearness import plain

    every = set(texts)
    near = {plain(pair.question) for pair in find(every, apart)}
    return {text for text in every if plain(text) in near}


def _read_asked(path: Path) -> Iterator[str]:
    for line in path.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        if row.get("kind") != "smalltalk":
            yield from row["ask"]
