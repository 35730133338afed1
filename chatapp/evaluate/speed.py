"""How fast a model reads and writes here: by what stands before, and by sequences at once.

It is measured as chatapp uses the model: requests to the engine, with its cache, its sampler and
the threads that it chooses. Every figure is the median of several runs, with the slowest and the
fastest beside it.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import TYPE_CHECKING, Any, Literal

from chatapp.engine.protocol import Finished, Generate
from chatapp.sampling import SamplingParams

if TYPE_CHECKING:
    from chatapp.engine.client import EngineClient
    from chatapp.engine.protocol import ModelDescription
    from chatapp.evaluate.bandwidth import TokenBytes

DEPTHS = (0, 512, 2048, 8192)
BATCHES = (1, 2, 4)
N_PREFILL = 512
N_DECODE = 48
_WARM = 16
"""Tokens that are written before it is measured how fast others are."""
_TEXT = "the ship came in and the king went out to sea while the people of the town slept"
_WORDS = _TEXT.split()
_TRIAL_WORDS = 64
"""At most; an eighth of the context's tokens, for a word may be six where letters are tokens."""
_KNOWN_SHARE = 0.9
"""Of what stands before: less was in the cache, so it was read again and is no depth."""


@dataclass(frozen=True, slots=True)
class Speed:
    """Tokens a second of one thing."""

    what: Literal["prefill", "decode"]
    depth: int
    """Tokens that stand before, as counted."""
    batch: int
    """Sequences at once; their tokens are counted together."""
    tokens_per_second: float
    """The median."""
    slowest: float
    fastest: float
    tokens: int
    """Of one run."""
    bound: float | None = None
    """What memory bandwidth allows; None: it does not bound this, or is not known."""

    def as_json(self) -> dict[str, Any]:
        """The fields by name, as `--json` prints them."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Which depths and batches of a model are measured, and how often."""

    depths: tuple[int, ...] = DEPTHS
    batches: tuple[int, ...] = BATCHES
    n_prefill: int = N_PREFILL
    n_decode: int = N_DECODE
    repeats: int = 3

    @property
    def n_ctx(self) -> int:
        """Tokens of the context that holds all of it."""
        return self.context_at(max(self.depths))

    def context_at(self, depth: int) -> int:
        """Tokens of the context that one depth needs; words are counted roughly."""
        most = max(self.n_prefill, max(self.batches) * self.n_decode)
        return int(1.1 * (depth + most)) + _TRIAL_WORDS

    def fit(self, n_ctx: int) -> "Plan":
        """What of it a context of `n_ctx` tokens holds, the first depth in any case."""
        depths = tuple(depth for depth in self.depths if self.context_at(depth) <= n_ctx)
        n_prefill = min(self.n_prefill, n_ctx // 2)
        n_decode = min(self.n_decode, n_ctx // (4 * max(self.batches)))
        first = depths or self.depths[:1]
        return Plan(
            depths=first,
            batches=self.batches,
            n_prefill=n_prefill,
            n_decode=max(2, n_decode),
            repeats=self.repeats,
        )

    @property
    def n_steps(self) -> int:
        """How many steps `measure_speed` reports in all."""
        return len(self.depths) * (1 + len(self.batches))


async def measure_speed(
    client: "EngineClient",
    model: "ModelDescription",
    plan: Plan,
    *,
    bandwidth: float | None = None,
    token_bytes: "TokenBytes | None" = None,
    on_step: Callable[[int], None] | None = None,
) -> list[Speed]:
    """The speeds of the loaded `model`: of `plan`, what its context holds. `bandwidth`: bytes a
    second, for the bounds.

    Raises what the engine raises.
    """
    plan = plan.fit(model.n_ctx)
    bench = _Bench(client, plan, model.n_ctx)
    await bench.count_words()
    found: list[Speed] = []
    for step, depth in enumerate(plan.depths):
        found += await bench.prefill(depth)
        _tell(on_step, 1 + step * (1 + len(plan.batches)))
        for number, batch in enumerate(plan.batches):
            speed = await bench.decode(depth, batch)
            if bandwidth and token_bytes:
                bound = token_bytes.bound(bandwidth, speed.depth, batch)
                speed = Speed(**(asdict(speed) | {"bound": bound}))
            found.append(speed)
            _tell(on_step, 2 + number + step * (1 + len(plan.batches)))
    return found


def _tell(on_step: Callable[[int], None] | None, done: int) -> None:
    if on_step:
        on_step(done)


class _Bench:
    """Requests whose prompts have about so many tokens."""

    def __init__(self, client: "EngineClient", plan: Plan, n_ctx: int) -> None:
        self._client, self._plan, self._n_ctx = client, plan, n_ctx
        self._per_word = 1.0
        """Tokens."""

    async def count_words(self) -> None:
        """Warm the model up, and find out how many tokens a word is."""
        n_words = max(1, min(_TRIAL_WORDS, self._n_ctx // 8))
        found = await self._ask(self._text(n_words), 1)
        self._per_word = found.usage.prompt_tokens / n_words or 1.0

    async def prefill(self, depth: int) -> list[Speed]:
        """The speed of reading behind `depth` tokens; nothing, where those are read again."""
        plan, runs = self._plan, []
        before = self._text(self._words(depth))
        n = reused = 0
        for number in range(plan.repeats):
            if depth:
                await self._ask(before, 1)
            # other words each time, or the cache would hold the last run's
            behind = self._text(self._words(plan.n_prefill), begin=3 * number + 1)
            found = await self._ask(f"{before} {behind}" if depth else behind, 1)
            n, reused = found.usage.prompt_tokens, found.usage.reused_tokens
            if depth and reused < _KNOWN_SHARE * depth:
                return []
            runs.append(found.timings.prefill_tokens_per_second)
        return [_speed("prefill", reused if depth else 0, 1, runs, n - reused)]

    async def decode(self, depth: int, batch: int) -> Speed:
        """The speed of writing behind `depth` tokens. What is done once, as choosing threads and
        room for so many answers, is done in a run that is not measured."""
        plan = self._plan
        prompt = self._text(self._words(depth) or 1)
        await self._ask(prompt, min(_WARM, plan.n_decode), batch)
        done = [await self._ask(prompt, plan.n_decode, batch) for _ in range(plan.repeats)]
        runs = [found.timings.decode_tokens_per_second for found in done]
        usage = done[-1].usage
        return _speed("decode", usage.prompt_tokens, batch, runs, usage.completion_tokens)

    def _words(self, n_tokens: int) -> int:
        return round(n_tokens / self._per_word)

    @staticmethod
    def _text(n_words: int, begin: int = 0) -> str:
        return " ".join(_WORDS[at % len(_WORDS)] for at in range(begin, begin + n_words))

    async def _ask(self, prompt: str, n_tokens: int, n: int = 1) -> Finished:
        params = SamplingParams(temperature=0.0, max_tokens=n_tokens, seed=1)
        async for event in self._client.generate(Generate(prompt=prompt, params=params, n=n)):
            if isinstance(event, Finished):
                return event
        raise AssertionError("a request ends with Finished")


def _speed(
    what: Literal["prefill", "decode"], depth: int, batch: int, runs: Sequence[float], n: int
) -> Speed:
    return Speed(what, depth, batch, median(runs), min(runs), max(runs), n)
