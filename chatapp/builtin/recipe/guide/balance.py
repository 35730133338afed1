"""What the model is tuned on last: much of what people ask beyond chatapp, and small talk, as both
stand where no fact is found, among a part of the conversations that it has learned from.

Without it a text of no sense at all is taken for small talk about as often as it is declined.

Run: `python -m chatapp.builtin.recipe.guide.balance MADE OUT --apart FILE…`, where MADE is what
`compose` wrote.
"""

import argparse
import json
from itertools import chain
from pathlib import Path
from random import Random
from typing import Any

from chatapp.builtin.recipe.guide.apart import find_near, read_apart
from chatapp.builtin.recipe.guide.inventing import read_table
from chatapp.builtin.recipe.guide.scenes import Talk
from chatapp.builtin.recipe.guide.sources import read_beyond, read_small
from chatapp.builtin.recipe.guide.worlds import read_real
from chatapp.builtin.recipe.guide.written import read_near
from chatapp.guide.retrieval import Guide
from chatapp.guide.retrieval.finding import language_of

SEED = 5
_BEYOND, _SMALL, _MADE = 26_000, 4_500, 30_000
"""Texts of each kind, and lines of MADE, at most."""


def main() -> None:
    """Write the conversations, a line each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("made", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--apart", type=Path, nargs="*", default=[])
    options = parser.parse_args()
    rng = Random(SEED)  # noqa: S311 - order, no secret
    rows = [*_draw(rng, read_apart(options.apart))]
    made = [json.loads(line) for line in options.made.read_text(encoding="utf-8").splitlines()]
    rng.shuffle(made)
    rows += made[:_MADE]
    rng.shuffle(rows)
    with options.out.open("w", encoding="utf-8", newline="\n") as out:
        for row in rows:
            out.write(json.dumps({"messages": row["messages"]}, ensure_ascii=False) + "\n")


def _draw(rng: Random, apart: list[str]) -> list[dict[str, Any]]:
    """A line for each text that no fact is found for, with a decline or an answer to it."""
    frames = read_table("frames")
    texts = [(asked, "decline") for asked in chain.from_iterable(read_near().values())]
    typed = chain.from_iterable(read_beyond())
    texts += [(asked, "decline_task" if is_task else "decline") for asked, is_task in typed]
    rng.shuffle(texts)
    small = [*chain.from_iterable(read_small().values())]
    rng.shuffle(small)
    texts, small = texts[:_BEYOND], small[:_SMALL]
    near = find_near((asked for asked, _ in chain(texts, small)), apart)
    guide = Guide(read_real())
    rows: list[dict[str, Any]] = []
    for asked, kind in texts:
        if asked not in near and not guide.find(asked):
            answers = frames[kind if language_of(asked) == "en" else "zh_decline"]
            rows += _talk(asked, str(rng.choice(answers)))
    for asked, answer in small:
        rows += _talk(asked, answer) if asked not in near else []
    return rows


def _talk(asked: str, answer: str) -> list[dict[str, Any]]:
    talk, language = Talk("beyond"), language_of(asked)
    talk.add(asked, [], answer, language)
    return list(talk.as_dicts())


if __name__ == "__main__":
    main()
