"""How large a model, a batch and a run should be, for a text, a machine and some minutes.

Promises figures that were measured on this machine: steps of the model itself are timed before
anything is said. Sources: Hoffmann et al. 2022 (about twenty tokens for each weight), fewer for
small models, as nanoGPT's two recipes for characters have them (two and eight); learning rates of
Brown et al. 2020 (GPT-3), table 2.1, continued to smaller models.
"""

import math
import time
from dataclasses import dataclass, replace

import torch

from chatapp.errors import ChatAppError, UsageError
from chatapp.gguf.main_memory import memory_bytes
from chatapp.train.data import Batch
from chatapp.train.device import pick_device
from chatapp.train.flops import find_peak
from chatapp.train.language_model import LanguageModel
from chatapp.train.optimizers import Optimizers
from chatapp.train.parallel import Ranks
from chatapp.train.progress import Reporter
from chatapp.train.reading import count_bytes
from chatapp.train.settings import PretrainSettings, Recipe
from chatapp.train.shapes import Args, count, make_model, size_for
from chatapp.train.stepping import Stepper
from chatapp.train.wishes import Wishes

_FEWEST, _MOST, _LARGE = 5, 20, 100e6
"""Tokens for each weight, in the smallest models and from so many parameters on."""
_MOST_EPOCHS = 10
"""More readings of a text teach little; a smaller model is then not better either."""
_USE = 0.3
"""Of what the machine can multiply, a first guess, before a step is timed."""
_SHARE = 0.9
"""Of the minutes, for steps; the rest is for measuring and keeping."""
_ROW = 1024
"""The longest context that is chosen unasked."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast training is here."""

    seconds: float
    """A step."""
    tokens: int
    """In it."""

    @property
    def tokens_per_second(self) -> float:
        """How many tokens a second this machine trains on."""
        return self.tokens / self.seconds


def plan(recipe: Recipe, wishes: Wishes, reporter: Reporter) -> Recipe:
    """The recipe with what was not wished chosen so that training takes `wishes.minutes`.

    Raises `UsageError` when that is too short for a few steps.
    """
    assert wishes.minutes is not None
    budget = wishes.minutes * 60 * _SHARE
    text = count_tokens(recipe)
    if not (wishes.vocab_size or wishes.tokenizer or recipe.characters):
        recipe = replace(recipe, model=replace(recipe.model, vocab_size=_choose_vocab(text)))
    if wishes.size is None:
        recipe = _choose_size(recipe, wishes, text, budget)
    recipe = _choose_batch(recipe, wishes, budget, measure_pace(recipe))
    pace = measure_pace(recipe)
    steps = int(budget / pace.seconds)
    if steps < 20:
        raise UsageError(
            f"{wishes.minutes:g} minutes are too short: a step takes {pace.seconds:.1f} s here.",
            "Give more minutes, or a smaller --size.",
        )
    peak = wishes.learning_rate or choose_rate(count(recipe.model))
    epochs = steps * recipe.pretrain.batch_tokens / max(1, text)
    if wishes.dropout is None:
        dropout = 0.2 if epochs > 10 else 0.1 if epochs > 3 else 0.0
        recipe = replace(recipe, model=replace(recipe.model, dropout=dropout))
    stage = replace(
        recipe.pretrain,
        steps=steps,
        learning_rate=peak,
        warmup=min(200, max(5, steps // 20)),
        eval_every=max(10, steps // 10),
    )
    recipe = replace(recipe, pretrain=stage)
    for line in describe_run(recipe, pace):
        reporter.say(line)
    return recipe


def describe_run(recipe: Recipe, pace: Pace | None = None) -> list[str]:
    """What a run would be, a line each: model, data, time, memory, disk."""
    pace = pace or measure_pace(recipe)
    stage, args = recipe.pretrain, recipe.model
    weights, text = count(args), count_tokens(recipe)
    seen = stage.steps * stage.batch_tokens
    width = 2 if args.vocab_size <= 1 << 16 else 4
    tokens = say_bytes(width * text)
    last, best = say_bytes(12 * weights), say_bytes(4 * weights)
    said = {
        "model": f"{weights:,} parameters: {args.n_layer} layers of {args.n_embd}, "
        f"{args.n_head} heads, context {args.block_size}",
        "data": f"about {text:,} tokens; {seen:,} are seen, {seen / max(1, text):.1f} epochs",
        "steps": f"{stage.steps:,} of {stage.batch_tokens:,} tokens, learning rate "
        f"{stage.learning_rate:.2g}, {stage.optimizer}, dropout {args.dropout:g}",
        "time": f"about {say_time(stage.steps * pace.seconds)}, "
        f"{pace.tokens_per_second:,.0f} tokens/s as measured on {pick_device().type}",
        "memory": f"{say_bytes(16 * weights)} and what a step needs",
        "disk": f"{tokens} of tokens, {last} for the last checkpoint, {best} for the best one, "
        f"{last} more while one is written",
    }
    return [f"{name:8} {words}" for name, words in said.items()]


def count_tokens(recipe: Recipe) -> int:
    """About how many tokens the recipe's text has, by its bytes."""
    size = sum(int(count_bytes(one.path) * max(1.0, one.repeat)) for one in recipe.text)
    packed = sum(count_bytes(one.path) for one in recipe.text if one.path.suffix == ".gz")
    return int((size + 2 * packed) / (1.0 if recipe.characters else _bytes_per_token(recipe.model)))


def check_memory(args: Args) -> None:
    """Raise `ChatAppError` where a model of this shape cannot be trained in the memory that is
    free: the system would end the process without a word. On a GPU it says so itself."""
    weights = count(args)
    needed = (16 if pick_device().type == "cpu" else 4) * weights
    free, _ = memory_bytes()
    if free and needed > free:
        raise ChatAppError(
            f"Training {weights:,} parameters needs {say_bytes(needed)} of memory at least, and "
            f"{say_bytes(free)} are free.",
            "Take a smaller --size.",
        )


def measure_pace(recipe: Recipe, seconds: float = 2.0) -> Pace:
    """Time steps of the recipe's model on this machine, on random tokens, for some seconds."""
    stage, args = recipe.pretrain, recipe.model
    check_memory(args)
    window = min(stage.window, args.block_size, stage.batch_tokens)
    rows = max(1, stage.batch_tokens // window)
    draw = torch.Generator().manual_seed(0)
    tokens = torch.randint(args.vocab_size, (rows, window), generator=draw)
    return time_steps(make_model(args), stage, Batch(tokens, tokens), seconds)


def time_steps(
    model: LanguageModel, stage: PretrainSettings, batch: Batch, seconds: float = 2.0
) -> Pace:
    """Time steps on one batch for some seconds; the weights stay as they are."""
    model.to(pick_device()).train()
    optimizers = Optimizers(model, stage)
    stepper = Stepper(model, lambda _text: None, Ranks())
    times: list[float] = []
    while not times or (sum(times) < seconds and len(times) < 20):
        began = time.perf_counter()
        stepper.backward(batch).item()
        optimizers.step(0.0)
        next(model.parameters()).sum().item()  # a GPU answers when it has done all before
        times.append(time.perf_counter() - began)
    rest = sorted(times[1:] or times)  # the first one also warms up
    return Pace(rest[len(rest) // 2], batch.tokens.numel())


def choose_rate(weights: int) -> float:
    """The peak learning rate for a model of so many parameters: 6e-4 at 124 million."""
    return min(3e-3, 6e-4 * math.pow(124e6 / weights, 0.23))


def _choose_size(recipe: Recipe, wishes: Wishes, text: int, budget: float) -> Recipe:
    operations = find_peak(pick_device()) * _USE * budget
    ideal = 0.0
    for _ in range(2):  # a guess, and a better one after a step was timed
        each = _FEWEST + (_MOST - _FEWEST) * min(1.0, ideal / _LARGE)
        ideal = math.sqrt(operations / (6 * each))
        ideal = min(ideal, _MOST_EPOCHS * text, 1.5e9)
        args = recipe.model
        smallest = 2.5 * args.vocab_size * 32
        context = wishes.context or _choose_context(ideal, recipe.characters)
        args = size_for(replace(args, block_size=context), max(ideal, smallest, 100_000))
        stage = replace(
            recipe.pretrain,
            window=context,
            long_from=1.0,
            batch_tokens=max(context, wishes.batch_tokens or 4096),
        )
        recipe = replace(recipe, model=args, pretrain=stage)
        pace = measure_pace(recipe, 1.0)
        operations = 6 * count(args) * pace.tokens_per_second * budget
    return recipe


def _choose_context(weights: float, characters: bool) -> int:
    longest = _ROW if not characters else 256
    return min(
        longest, 64 if weights < 5e5 else 128 if weights < 3e6 else 256 if weights < 2e7 else 1024
    )


def _choose_batch(recipe: Recipe, wishes: Wishes, budget: float, pace: Pace) -> Recipe:
    """A batch that leaves about two thousand steps, of at most half a million tokens."""
    if wishes.batch_tokens:
        return recipe
    window = recipe.pretrain.window
    wanted = pace.tokens_per_second * budget / 2000
    tokens = min(1 << 19, max(768, window, wanted))
    rows = max(1, round(tokens / window))
    return replace(recipe, pretrain=replace(recipe.pretrain, batch_tokens=rows * window))


def _choose_vocab(text: int) -> int:
    """Tokens of a vocabulary that a text of so many (in 4096) can fill with examples."""
    return 1024 if text < 500_000 else 4096 if text < 20_000_000 else 16_384


def _bytes_per_token(args: Args) -> float:
    """Of English, about, measured for 1,024 and 16,384 tokens."""
    return 2.4 + 0.4 * max(0.0, math.log2(args.vocab_size / 1024))


def say_time(seconds: float) -> str:
    """A length of time in words."""
    if seconds < 90:
        return f"{seconds:.0f} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 5400 else f"{seconds / 3600:.1f} hours"


def say_bytes(size: float) -> str:
    """A number of bytes as people say it, such as 1.2 GB."""
    if size < 1e6:
        return f"{size / 1e3:.0f} kB"
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"
