"""The choice of threads, on simulated machines; then the real thing, which may change no answer."""

import itertools
import os
import random
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf

import pytest

from chatapp.engine.backend import Cancellation
from chatapp.engine.client import EngineClient
from chatapp.engine.llama.backend import LlamaBackend
from chatapp.engine.llama.processors import Room
from chatapp.engine.llama.thread_choice import ThreadChoice
from chatapp.engine.process import worker_environment
from chatapp.engine.protocol import ChatMessage, Finished, Generate, LoadOptions
from chatapp.paths import BUILTIN_MODEL
from chatapp.sampling import SamplingParams

Neighbours = Callable[[float], float]


@dataclass
class Machine:
    """Processors shared in equal turns; a thread that waits for its turn holds up the others."""

    processors: int
    neighbours: Neighbours
    """Processors' worth of time that other programs want at a time."""
    tells: bool = True
    """Whether the system tells what others use, as Linux does."""
    useful: int = 99
    """More threads than these bring nothing: memory is the limit."""
    noise: float = 0.0
    seed: int = 1
    now: float = 0.0
    counts: list[tuple[float, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)

    def share(self, n: int) -> float:
        """How much of the time each of `n` threads runs."""
        return min(1.0, self.processors / (n + self.neighbours(self.now)))

    def decode_s(self, n: int) -> float:
        share = self.share(n)
        seconds = 0.02 / min(n, self.useful) / share
        if n > 1:
            seconds *= 1 + 4 * (1 - share)
        return seconds * (1 + self.noise * self.random.random())

    def run(self, choice: ThreadChoice, seconds: float) -> None:
        """Decode for so long; every count of threads is noted with its time."""
        end, read_at = self.now + seconds, self.now
        ours = others = 0.0
        while self.now < end:
            n = choice.n_threads
            self.counts.append((self.now, n))
            took = self.decode_s(n)
            ours += n * self.share(n) * took
            others += self.neighbours(self.now) * self.share(n) * took
            self.now += took
            room, span = None, self.now - read_at
            if span >= 0.1:
                got = ours / span
                used = max(0.0, others / span + self.noise * (self.random.random() - 0.5))
                free = self.processors - used if self.tells else inf
                room = Room(span, free, free, got)
                ours, others, read_at = 0.0, 0.0, self.now
            choice.observe(1, took, room, self.now)

    def after(self, when: float) -> list[int]:
        return [n for at, n in self.counts if at >= when]


def changes(counts: list[int]) -> int:
    return sum(a != b for a, b in itertools.pairwise(counts))


@pytest.mark.parametrize("tells", [True, False])
@pytest.mark.parametrize(("processors", "busy"), [(2, 1), (2, 2), (4, 1), (8, 2), (16, 2)])
def test_a_thread_is_given_back_for_each_busy_neighbour(
    processors: int, busy: int, tells: bool
) -> None:
    machine = Machine(processors, lambda _: busy, tells=tells, noise=0.05)
    choice = ThreadChoice(processors)
    machine.run(choice, 30)
    wanted = max(1, processors - busy)
    settled = machine.after(3)
    assert settled.count(wanted) >= 0.9 * len(settled)
    assert max(set(settled), key=settled.count) == wanted


def test_two_threads_become_one_within_a_few_decodes() -> None:
    machine = Machine(2, lambda _: 2)
    choice = ThreadChoice(2)
    machine.run(choice, 3)
    assert machine.after(0).index(1) <= 5
    assert changes(machine.after(0)) == 1


@pytest.mark.parametrize("tells", [True, False])
def test_threads_are_taken_back_when_the_neighbours_are_gone(tells: bool) -> None:
    machine = Machine(4, lambda now: 2 if now < 5 else 0, tells=tells, noise=0.05)
    choice = ThreadChoice(4)
    machine.run(choice, 5)
    assert choice.n_threads == 2
    machine.run(choice, 8 if tells else 60)
    assert choice.n_threads == 4
    assert set(machine.after(machine.now - 2)) == {4}


def test_a_quiet_machine_is_left_alone() -> None:
    """A screen that draws takes a core for 50 ms now and then, and readings are noisy."""
    machine = Machine(2, lambda now: 1.0 if now % 0.5 < 0.05 else 0.05, noise=0.1)
    choice = ThreadChoice(2)
    machine.run(choice, 60)
    assert machine.after(0).count(2) >= 0.99 * len(machine.counts)


def test_where_more_threads_bring_nothing_trials_become_rare() -> None:
    machine = Machine(8, lambda now: 6 if now < 2 else 0, useful=2, noise=0.02)
    choice = ThreadChoice(8)
    machine.run(choice, 2)
    assert choice.n_threads in (2, 3)
    machine.run(choice, 120)
    assert changes(machine.after(2)) <= 2 * 8


def test_waiting_at_barriers_is_no_reason_to_give_way() -> None:
    """Threads that sleep at barriers get less than their time; fewer of them would be slower."""
    choice = ThreadChoice(8)
    used, now = [], 0.0
    for _ in range(3000):
        n = choice.n_threads
        used.append(n)
        now += 0.1 / n
        choice.observe(1, 0.1 / n, Room(0.1, inf, inf, 0.8 * n), now)
    assert used.count(8) >= 0.95 * len(used)


@pytest.mark.parametrize("seed", range(60))
def test_threads_stay_within_bounds_and_never_flutter(seed: int) -> None:
    """Neighbours that come and go at random, however they may, on random machines."""
    chance = random.Random(seed)
    processors, tells = chance.randint(1, 16), chance.random() < 0.5
    longest = chance.choice([0.1, 0.5, 2.0, 8.0])
    plan = [(chance.uniform(0.02, longest), chance.uniform(0, 20)) for _ in range(30)]
    noise = chance.uniform(0, 0.5)
    span = sum(seconds for seconds, _ in plan)

    def wanted(now: float) -> float:
        now %= span
        for seconds, busy in plan:
            if now < seconds:
                return busy
            now -= seconds
        return 0.0

    machine = Machine(processors, wanted, tells=tells, noise=noise)
    choice = ThreadChoice(processors)
    machine.run(choice, 40)
    counts = machine.after(0)
    assert all(1 <= n <= processors for n in counts)
    taken = sum(a < b for a, b in itertools.pairwise(counts))
    assert taken <= 8 + 40 / 3


def test_a_request_begins_with_what_the_time_before_it_said() -> None:
    choice = ThreadChoice(4)
    choice.begin(Room(1.0, 1.2, 1.2), 10.0)
    assert choice.n_threads == 1
    choice.begin(None, 20.0)  # nothing is known of now: as it was
    assert choice.n_threads == 1
    choice.begin(Room(1.0, 3.9, 3.9), 30.0)
    assert choice.n_threads == 4
    choice.begin(Room(1.0, 0.0, 0.0), 40.0)
    assert choice.n_threads == 1


def test_two_threads_a_core_are_given_up_by_trial_alone() -> None:
    """There are processors enough, but neighbours share cores with us: the faster number stays."""
    for fewer_s, wanted in ((0.5, 3), (2.0, 4)):
        choice = ThreadChoice(4)
        for step in range(40):
            seconds = 0.02 * (fewer_s if choice.n_threads < 4 else 1.0)
            room = Room(0.1, 7.0, 3.0 if step < 20 else 4.0, float(choice.n_threads))
            choice.observe(1, seconds, room if step % 5 == 4 else None, step * 0.02)
            if step == 15:
                assert choice.n_threads == 3 or fewer_s > 1
        assert choice.n_threads in (wanted, 4)


async def answer(options: LoadOptions) -> Finished:
    """The built-in model's greedy answer, from an engine of its own."""
    client = EngineClient()
    await client.load(options)
    try:
        params = SamplingParams(temperature=0, max_tokens=48)
        messages = [ChatMessage.of("user", "Tell me about the sea.")]
        request = Generate(request_id="r", messages=messages, params=params)
        events = [event async for event in client.generate(request)]
    finally:
        await client.stop()
    finished = events[-1]
    assert isinstance(finished, Finished)
    return finished


async def test_threads_change_no_answer_and_the_user_sets_the_most() -> None:
    """One thread, two, and as many as the neighbours leave: the same tokens."""
    path = str(BUILTIN_MODEL)
    one = await answer(LoadOptions(path=path, n_threads=1))
    two = await answer(LoadOptions(path=path, n_threads=2, adapt_threads=False))
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(3)]
    try:
        adapted = await answer(LoadOptions(path=path, n_threads=2))
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()
    assert one.choices[0].tokens == two.choices[0].tokens == adapted.choices[0].tokens
    assert (one.timings.n_threads, one.timings.most_threads) == (1, 1)
    assert (two.timings.n_threads, two.timings.most_threads) == (2, 2)
    assert 1 <= adapted.timings.n_threads <= adapted.timings.most_threads <= 2


async def test_no_more_threads_than_processors_adapt() -> None:
    finished = await answer(LoadOptions(path=str(BUILTIN_MODEL), n_threads=64))
    assert finished.timings.n_threads <= finished.timings.most_threads <= (os.cpu_count() or 64)


def test_the_number_is_changed_between_two_decodes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another number for every token, in one process: llama.cpp takes it, the answer stays."""

    def flip(choice: ThreadChoice, *_: object) -> None:
        choice.n_threads = 3 - choice.n_threads

    def run() -> tuple[list[int], int]:
        backend = LlamaBackend()
        backend.load(LoadOptions(path=str(BUILTIN_MODEL), n_threads=2), lambda _: None)
        params = SamplingParams(temperature=0, max_tokens=40)
        request = Generate(request_id="r", prompt="Once upon a time " * 12, params=params)
        finished = backend.generate(request, lambda _: None, Cancellation())
        backend.unload()
        return finished.choices[0].tokens, finished.timings.n_threads

    plain, _ = run()
    monkeypatch.setattr(ThreadChoice, "observe", flip)
    flipped, n_threads = run()
    assert flipped == plain
    assert n_threads in (1, 2)


def test_waiting_threads_sleep_soon_unless_the_user_says_otherwise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY"):
        monkeypatch.delenv(name, raising=False)
    assert int(worker_environment()["GOMP_SPINCOUNT"]) < 300_000  # libgomp's own
    monkeypatch.setenv("OMP_WAIT_POLICY", "PASSIVE")
    assert "GOMP_SPINCOUNT" not in worker_environment()
    monkeypatch.setenv("GOMP_SPINCOUNT", "77")
    assert worker_environment()["GOMP_SPINCOUNT"] == "77"
