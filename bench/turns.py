"""Random lives of answers: stopped, continued, by another model, with a killed engine.

Whatever happens to one, alone or written beside others, three things say the same when a run has
ended: the row in the store, the engine's own last word (`Choice`), and the JSON that is made of the
answer's state. `python -m
bench.turns --lives 2000` tries so many on the echo backend and on llama.cpp with a model of random
weights; the tests try a hundred.
"""

import argparse
import asyncio
import contextlib
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path

from bench.synthetic import TINY, write_model
from chatapp.conversation import Message
from chatapp.engine.assemble import Assembler
from chatapp.engine.client import EngineClient
from chatapp.engine.protocol import Finished, LoadOptions
from chatapp.errors import ChatAppError
from chatapp.parts import Part, Parts, Reasoning, Text
from chatapp.sampling import SamplingParams
from chatapp.store import Store
from chatapp.turn import Turn

MARK = "</think>"
"""The longest mark that an answer here may hold: its beginning may be taken back."""
STOP = "END!"
QUESTIONS = (
    "🎉 naïve 北京 one END two END! three",
    "<think>\nhm, 北京, END!\n</think>\n\nyes, END and 🎉🎉🎉",
    "plain words, many of them, " * 4,
    "<thin",
    "�� broken as it was",
)


@dataclass(frozen=True, slots=True)
class Step:
    """One run of the answer and what befalls it."""

    model: str
    max_tokens: int
    stop_after: int | None
    """Stop at this point: 0 is before anything, then every turn of the event loop and every
    event counts one."""
    kills: bool
    """Kill the engine there instead of stopping."""


@dataclass(slots=True)
class Life:
    """An answer from its first run to its last."""

    question: str
    steps: list[Step] = field(default_factory=list)
    n: int = 1
    """So many are begun at once; one of them is gone on with."""


def make_life(rng: random.Random, models: tuple[str, ...]) -> Life:
    """A life that depends on nothing but `rng`."""
    steps = [
        Step(
            model=rng.choice(models),
            max_tokens=rng.choice((0, 1, 2, 3, 5, 8, 13, 40)),
            stop_after=rng.choice((None, None, *range(12), rng.randrange(60))),
            kills=rng.random() < 0.1,
        )
        for _ in range(rng.randint(1, 5))
    ]
    return Life(rng.choice(QUESTIONS), steps, rng.choice((1, 1, 1, 2, 3)))


class Lives:
    """Lives lived one after the other on one engine and one store."""

    def __init__(self, backend: str) -> None:
        self.store = Store.in_memory()
        self.client = EngineClient(backend=backend)
        self._bytes_are_tokens = backend == "echo"
        self.counts: Counter[str] = Counter()

    async def live(self, life: Life) -> None:
        """Live one; AssertionError says what did not agree."""
        store = self.store
        conversation = store.create_conversation("life")
        asked = store.add_message(conversation, Message.of("user", life.question))
        message_id = 0
        for number, step in enumerate(life.steps):
            await self._load(step.model)
            params = SamplingParams(max_tokens=step.max_tokens, stop=(STOP,), seed=number)
            turn = Turn(store, self.client, params=params, n=1 if message_id else life.n)
            events = turn.resume(message_id) if message_id else turn.answer(conversation, asked.id)
            before = store.get_message(message_id).content if message_id else ""
            finished = await self._run(turn, events, step)
            for index in range(len(turn.states)):
                self._check(turn, index, finished, before)
            begun = [one for one in turn.message_ids if one]
            message_id = begun[number % len(begun)] if begun else message_id

    async def _load(self, model: str) -> None:
        loaded = self.client.model
        if loaded is None or loaded.path != model:
            await self.client.load(LoadOptions(path=model, n_ctx=2048))

    async def _run(self, turn: Turn, events: object, step: Step) -> Finished | None:
        finished: Finished | None = None
        told: dict[int, Parts] = {}
        disturbing = asyncio.create_task(self._disturb(turn, step))
        try:
            async for event in events:  # type: ignore[attr-defined]
                await asyncio.sleep(0)
                if isinstance(event, Finished):
                    finished = event
                    for choice in event.choices:  # the deltas alone said as much
                        last, said = choice.parts, told.get(choice.index, choice.parts)
                        assert begins(last, said), (said, last)
                        assert _length(said) - _length(last) < len(MARK)
                else:
                    told = {index: state.parts for index, state in enumerate(turn.states)}
        except ChatAppError as error:
            self.counts[type(error).__name__] += 1
        disturbing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await disturbing
        return finished

    async def _disturb(self, turn: Turn, step: Step) -> None:
        if step.stop_after is None:
            return
        for _ in range(step.stop_after):
            await asyncio.sleep(0 if step.stop_after < 12 else 0.0005)
        if step.kills and self.client.pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.client.pid, signal.SIGKILL)
        else:
            turn.stop()

    def _check(self, turn: Turn, index: int, finished: Finished | None, before: str) -> None:
        state, message_id = turn.states[index], turn.message_ids[index]
        if not message_id:  # it never began, or was dropped because it says nothing
            assert state.parts == ()
            assert state.status != "complete"
            self.counts["dropped"] += bool(turn.message_id)
            return
        row, told = self.store.get_message(message_id), turn.row_of(message_id)
        self.counts[row.status] += 1
        assert row.parts == state.parts, (row.parts, state.parts)
        assert row.tokens == state.tokens
        assert row.status == state.status != "streaming"
        assert told is not None
        assert (told.parts, told.status) == (row.parts, row.status)
        assert (told.sibling_index, told.sibling_count) == (row.sibling_index, row.sibling_count)
        assert [g.offset for g in told.generations] == [g.offset for g in row.generations]
        if finished is not None:
            choice = finished.choices[index]
            assert row.generations[-1].completion_tokens == choice.completion_tokens
            assert row.parts == choice.parts, (row.parts, choice.parts)
            if state.keeps_tokens:
                assert list(row.tokens) == choice.tokens
            wanted = "stopped" if choice.finish_reason == "cancelled" else "complete"
            assert row.status == wanted
        if self._bytes_are_tokens and state.keeps_tokens:
            said = _read(bytes(row.tokens))
            # a run that was stopped before it began leaves what a killed engine had left
            whole = row.status != "interrupted" and row.content != before
            assert row.parts == said if whole else begins(row.parts, said), (row.parts, said)
        # what was said stays said, but for half a character or the beginning of a mark
        kept = before.rstrip("\ufffd")
        lost = max(len(kept) - len(MARK) + 1, 0)
        assert row.content.startswith(kept[:lost]), (before, row.content)
        assert _kinds_alternate(row.parts), row.parts
        first, *later = row.generations
        ends = [run.offset for run in later[1:]]
        wrote = {first.fingerprint, row.generations[-1].fingerprint}
        for run, end in zip(later, ends, strict=False):
            if end != run.offset or run.completion_tokens:
                wrote.add(run.fingerprint)
        assert state.keeps_tokens == (len(wrote) == 1)


def begins(parts: Parts, whole: Parts) -> bool:
    """Whether `parts` are the beginning of `whole`."""
    if not parts:
        return True
    *before, last = parts
    if list(whole[: len(before)]) != before or len(whole) < len(parts):
        return False
    other = whole[len(before)]
    assert isinstance(last, Text | Reasoning)
    return isinstance(other, type(last)) and other.text.startswith(last.text)


def _length(parts: Parts) -> int:
    return sum(len(part.text) for part in parts if isinstance(part, Text | Reasoning))


def _read(data: bytes) -> Parts:
    """What bytes say that were never cut."""
    assembler = Assembler(stop=(STOP,))
    for byte in data:
        assembler.feed(bytes([byte]))
    assembler.finish()
    return assembler.parts


def _kinds_alternate(parts: tuple[Part, ...]) -> bool:
    kinds = [type(part) for part in parts]
    texts = all(part.text for part in parts if isinstance(part, Text | Reasoning))
    return texts and all(one is not other for one, other in pairwise(kinds))


async def live_many(backend: str, models: tuple[str, ...], lives: int, seed: int) -> Counter[str]:
    """Live so many; what became of the runs. AssertionError names the life that went wrong."""
    rng = random.Random(seed)
    place = Lives(backend)
    try:
        for number in range(lives):
            life = make_life(rng, models)
            try:
                await asyncio.wait_for(place.live(life), 60)
            except BaseException as error:
                error.add_note(f"{backend}, life {number} of seed {seed}: {life}")
                raise
    finally:
        await place.client.stop()
        place.store.close()
    return place.counts


def write_models(folder: Path) -> tuple[str, str]:
    """Two model files that differ, so that tokens of one are none of the other."""
    shorter = replace(TINY, n_ctx=TINY.n_ctx // 2)
    return (
        str(write_model(folder / "a.gguf", TINY)),
        str(write_model(folder / "b.gguf", shorter)),
    )


def main() -> None:
    """Live on both backends and count."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--lives", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        files = write_models(Path(folder))
        for backend, models in (("echo", ("a", "b")), ("llama", files)):
            began = time.monotonic()
            counts = asyncio.run(live_many(backend, models, options.lives, options.seed))
            took = time.monotonic() - began
            print(f"{backend}: {options.lives} lives in {took:.0f} s: {dict(counts)}")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
