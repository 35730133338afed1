"""Writes the conversations in which the built-in model learns to answer from facts put before it.

Promises: the same program, tables and seed give the same file; each line is
`{"messages": […], "ask": […]}`, `ask` being what the user typed without the facts. No question is
near one of the files given with `--apart`. May not be imported by what is installed.
Surprising: half of the conversations are about programs with other keys and names, or about things
that no program does, because only then copying is the one way to be right.

Run: `python -m chatapp.builtin.recipe.guide.compose OUT --count 60000 --apart FILE…`.
"""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from chatapp.builtin.recipe.guide.apart import find_near, read_apart
from chatapp.builtin.recipe.guide.ranker import learn_folds
from chatapp.builtin.recipe.guide.scenes import Scenes, Talk

SEED = 20
COUNT = 60_000
_BLOCK = 4000
"""Conversations that are compared at once with those that are kept apart."""


def main() -> None:
    """Write `guide.jsonl` into the folder OUT."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--count", type=int, default=COUNT)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--apart", type=Path, nargs="*", default=[])
    options = parser.parse_args()
    apart = read_apart(options.apart)
    options.out.mkdir(parents=True, exist_ok=True)
    weights = learn_folds(apart)
    kinds: Counter[str] = Counter()
    dropped = 0
    with (options.out / "guide.jsonl").open("w", encoding="utf-8", newline="\n") as out:
        for block in _in_blocks(Scenes(options.seed, weights), options.count):
            near = find_near((text for talk in block for text in talk.asked), apart)
            for talk in block:
                if near.intersection(talk.asked):
                    dropped += 1
                    continue
                kinds[talk.kind] += 1
                for line in talk.as_dicts():
                    out.write(json.dumps(line, ensure_ascii=False) + "\n")
    made = ", ".join(f"{kind} {count:,}" for kind, count in kinds.most_common())
    sys.stderr.write(f"{kinds.total():,} conversations: {made}\n")
    sys.stderr.write(f"{dropped:,} left out that were near a question that is kept apart\n")


def _in_blocks(scenes: Scenes, count: int) -> Iterator[list[Talk]]:
    block: list[Talk] = []
    for _ in range(count):
        block.append(scenes.draw())
        if len(block) == _BLOCK:
            yield block
            block = []
    yield block


if __name__ == "__main__":
    main()
