"""How well chatapp knows itself: the facts found for questions, and what a model answers from them.

    python -m bench.guide find FILE [FILE …]          # no model: which facts are found
    python -m bench.guide ask MODEL FILE [FILE …]     # through the engine, greedily
        [--limit N] [--every N] [--remap] [--always] [--answers OUT.jsonl]

What a file holds: `bench/guide_questions.py`. `find` reports how often all facts of a question are
among the first 1, 3, 4 and 5, how long a question takes, and of lines without facts how often any
were found, and how often in doubt. `ask` reports answers that are right, admit that they do not
know, and are wrong, and prints the wrong ones; empty ones, ones without an end, and names that do
not exist are counted, and so are answers that say first that chatapp may not be meant. That is an
admission of what is beyond chatapp; about chatapp such an answer is right or wrong by its fact.
`--remap` gives ten actions other keys, which the answers have to follow; `--always` puts facts
before the questions of any model, not only of one that wants them.
"""

import argparse
import asyncio
import contextlib
import json
import sys
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

from bench.guide_questions import Question, invented, is_found, is_in_doubt, judge, read_questions
from chatapp.cli.program import read_program
from chatapp.config import Config
from chatapp.conversation import Message
from chatapp.engine.client import EngineClient
from chatapp.engine.protocol import LoadOptions
from chatapp.guide.facts import Program
from chatapp.guide.retrieval import Guide
from chatapp.informing import inform
from chatapp.paths import find_paths
from chatapp.sampling import SamplingParams
from chatapp.store import Store
from chatapp.turn import Turn

_DEPTHS = (1, 3, 4, 5)
_MOST_TOKENS = 500
REMAPPED = {
    "stop": "f9", "regenerate": "ctrl+y", "new": "f10", "models": "alt+m", "sidebar": "alt+s",
    "search": "f8", "quit": "alt+q", "theme": "alt+l", "copy": "alt+x", "rename": "f11",
}  # fmt: skip


def find(guide: Guide, questions: Iterable[Question]) -> None:
    """Print how well the facts are found."""
    hits: Counter[int] = Counter()
    with_facts = stray = doubtful = beyond = 0
    began = time.perf_counter()
    missed = []
    for one in questions:
        found = guide.find(one.ask[-1], one.ask[:-1], max(_DEPTHS))
        if not one.facts:
            beyond += 1
            stray += bool(found) and not found[0].is_doubtful
            doubtful += bool(found) and found[0].is_doubtful
            continue
        with_facts += 1
        for depth in _DEPTHS:
            hits[depth] += is_found(one, [x for each in found[:depth] for x in each.fact.ids])
        if not is_found(one, [x for each in found[:4] for x in each.fact.ids]):
            missed.append((one, [each.fact.id for each in found]))
    took = time.perf_counter() - began
    for one, ids in missed:
        print(f"missed: {' / '.join(one.ask)}\n  wanted {one.facts}, found {ids}")
    if with_facts:
        shares = ", ".join(f"@{depth} {hits[depth] / with_facts:.1%}" for depth in _DEPTHS)
        print(f"{with_facts} questions: recall {shares}")
    if beyond:
        print(f"{beyond} beyond chatapp: facts for {stray} of them ({stray / beyond:.1%})")
        print(f"  and in doubt for {doubtful} ({doubtful / beyond:.1%})")
    print(f"{1000 * took / max(1, with_facts + beyond):.2f} ms a question")


@dataclass(frozen=True, slots=True)
class Answer:
    """What was said to the last question of a line."""

    text: str
    finish_reason: str
    known: str


class Asker:
    """A model that is asked as `chatapp ask` asks it."""

    def __init__(self, client: EngineClient, guide: Guide, *, always: bool) -> None:
        self._client = client
        self._guide = guide
        self._always = always

    async def ask(self, question: Question) -> Answer:
        """Ask a conversation of its own."""
        with Store.in_memory() as store:
            chat, above = store.create_conversation(), None
            known, state = "", None
            for said in question.ask:
                row = store.add_message(chat, Message.of("user", said), above)
                model = self._client.model
                if self._always or (model is not None and model.guide):
                    row = inform(store, row.id, lambda: self._guide, always=True) or row
                known = "\n".join(getattr(part, "text", "") for part in row.parts[:-1])
                params = SamplingParams(temperature=0.0, max_tokens=_MOST_TOKENS)
                turn = Turn(store, self._client, params=params)
                async with contextlib.aclosing(turn.answer(chat, row.id)) as events:
                    async for _ in events:
                        pass
                above, state = turn.message_id, turn.state
            assert state is not None
            return Answer(state.text.strip(), state.finish_reason or "", known)


async def ask(
    model: Path,
    guide: Guide,
    program: Program,
    questions: list[Question],
    options: argparse.Namespace,
) -> None:
    """Ask every question, and print what came of it."""
    client, keys = EngineClient(), REMAPPED if options.remap else {}
    counts: Counter[str] = Counter()
    out = options.answers.open("w", encoding="utf-8") if options.answers else None
    try:
        await client.load(LoadOptions(path=str(model)))
        asker = Asker(client, guide, always=options.always)
        for number, one in enumerate(questions, 1):
            answer = await asker.ask(one)
            verdict = judge(one, answer.text, find_paths(), keys)
            kind = "about chatapp" if one.needs else "beyond it"
            counts[f"{kind}: {verdict}"] += 1
            counts[f"{kind}: in doubt"] += is_in_doubt(answer.text)
            counts["empty"] += not answer.text
            counts["without an end"] += answer.finish_reason == "length"
            read = " ".join((*one.ask, answer.known))
            strange = invented(answer.text, program) - invented(read, program)
            counts["with a name that does not exist"] += bool(strange)
            if verdict == "wrong" or strange:
                names = f" (invented: {', '.join(sorted(strange))})" if strange else ""
                print(f"{verdict}: {' / '.join(one.ask)}\n  {answer.text!r}{names}")
            if out:
                row = {"ask": one.ask, "verdict": verdict, "answer": answer.text}
                out.write(json.dumps(row | {"known": answer.known}, ensure_ascii=False) + "\n")
            if number % 50 == 0:
                print(f"{number} of {len(questions)}", file=sys.stderr)
    finally:
        await client.stop()
        if out:
            out.close()
    _sum_up(counts)


def _sum_up(counts: Counter[str]) -> None:
    for kind in ("about chatapp", "beyond it"):
        verdicts = ("right", "admitted", "wrong")
        total = sum(counts[f"{kind}: {verdict}"] for verdict in verdicts)
        for verdict in verdicts if total else ():
            n = counts[f"{kind}: {verdict}"]
            print(f"{kind}: {n} of {total} {verdict} ({n / total:.1%})")
        if total:
            print(f"{kind}: {counts[f'{kind}: in doubt']} of {total} answered in doubt")
    for name in ("empty", "without an end", "with a name that does not exist"):
        print(f"{name}: {counts[name]}")


def main() -> None:
    """Read the arguments, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("find", "ask"))
    parser.add_argument("files", nargs="+", type=Path, help="for `ask` a model first")
    parser.add_argument("--limit", type=int, default=0)
    parser.add_argument("--every", type=int, default=1, help="take each Nth line")
    parser.add_argument("--remap", action="store_true")
    parser.add_argument("--always", action="store_true")
    parser.add_argument("--answers", type=Path)
    options = parser.parse_args()
    config = replace(Config(), keys=MappingProxyType(REMAPPED if options.remap else {}))
    program = read_program(config, find_paths())
    guide = Guide(program)
    model, *files = options.files if options.what == "ask" else (None, *options.files)
    questions = [one for file in files for one in read_questions(file)][:: options.every]
    questions = questions[: options.limit or None]
    if model is not None:  # what nobody has said how to judge is not asked
        questions = [one for one in questions if one.needs or not one.facts]
    if model is None:
        find(guide, questions)
    else:
        asyncio.run(ask(model, guide, program, questions, options))


if __name__ == "__main__":
    main()
