"""How long, in which batches and how fast a model is fine-tuned, for its chats.

Learning rates: Hu et al. 2021 for LoRA (2e-4); a tenth of it for all weights of a model that was
trained elsewhere, as is usual; more for small ones of ours, whose pretraining took more too.
"""

import math
from dataclasses import replace
from pathlib import Path

import torch

from chatapp.errors import UsageError
from chatapp.train.bases import Base, FolderBase
from chatapp.train.device import pick_device
from chatapp.train.examples import Examples
from chatapp.train.finetune import chat_stage
from chatapp.train.parallel import join
from chatapp.train.plan import Pace, choose_rate, say_bytes, say_time, time_steps
from chatapp.train.settings import FinetuneSettings
from chatapp.train.tuning_settings import Tuning

_EPOCHS = 3.0
_SHARE = 0.9
"""Of the minutes, for steps; the rest is for measuring and keeping."""
_MOST_BATCH = 8192
_BATCHES = 20
"""An epoch of many chats has about so many,"""
_ROWS = 8
"""and each of them holds about so many chats at least."""
_LORA_RATE = 2e-4
_FULL_RATE = 2e-5
_MEASURES = 8
"""Measurements, each with a checkpoint, in a run."""


def plan_tuning(tuning: Tuning, base: Base, examples: Examples) -> Tuning:
    """The run with all that was not said chosen; raises `UsageError` for too few minutes."""
    if tuning.settings is not None:
        return tuning
    least = examples.longest
    mean = examples.tokens // len(examples.train)
    batch = tuning.batch_tokens or min(_MOST_BATCH, max(_ROWS * mean, examples.tokens // _BATCHES))
    batch = max(batch, least)
    settings = FinetuneSettings(
        batch_tokens=batch,
        window=least,
        long_from=1.0,
        learning_rate=tuning.learning_rate or _choose_rate(tuning, base),
        weight_decay=0.0 if tuning.lora else 0.01,
        seed=tuning.seed,
        joined=0.0,
        steps=tuning.steps or _count_steps(tuning.epochs or _EPOCHS, examples, batch),
    )
    if tuning.minutes:
        pace = measure_tuning(settings, base, examples)
        seconds = join().mean(torch.tensor(pace.seconds)).item()  # all processes agree on it
        steps = int(tuning.minutes * 60 * _SHARE / seconds)
        if steps < 1:
            raise UsageError(
                f"{tuning.minutes:g} minutes are too short: a step takes {seconds:.1f} s.",
                "Give more minutes, or a smaller --batch.",
            )
        most = _count_steps(tuning.epochs, examples, batch) if tuning.epochs else steps
        settings = replace(settings, steps=min(steps, most))
    steps = settings.steps
    settings = replace(settings, warmup=min(50, steps // 10), eval_every=max(1, steps // _MEASURES))
    return replace(tuning, settings=settings)


def measure_tuning(settings: FinetuneSettings, base: Base, examples: Examples) -> Pace:
    """Time steps on this machine, on chats of a middle length."""
    block = base.model.args.block_size
    stage = chat_stage(settings, examples.train, (), block, Path())
    batches = [stage.batch(step) for step in range(9)]
    batches.sort(key=lambda batch: batch.tokens.numel())
    return time_steps(base.model, settings, batches[len(batches) // 2])


def describe_tuning(
    tuning: Tuning, base: Base, examples: Examples, pace: Pace | None = None
) -> list[str]:
    """What a run is, a line each; time where `pace` is given."""
    model, settings = base.model, tuning.settings
    assert settings is not None
    weights, trained = model.count_parameters(), model.count_trained()
    seen = settings.steps * settings.batch_tokens
    kind = f"LoRA of rank {tuning.lora.rank}" if tuning.lora else "all weights"
    said = {
        "model": f"{base.path}: {weights:,} parameters, {trained:,} trained ({kind})",
        "chats": f"{len(examples.train):,} ({examples.tokens:,} tokens, {examples.answered:,} of "
        f"them answers), {len(examples.held):,} held out",
        "steps": f"{settings.steps:,} of {settings.batch_tokens:,} tokens, about "
        f"{seen / examples.tokens:.1f} epochs, learning rate {settings.learning_rate:.2g}",
    }
    if pace is not None:
        said["time"] = (
            f"about {say_time(settings.steps * pace.seconds)}, {pace.tokens_per_second:,.0f} "
            f"tokens/s as measured on {pick_device().type}"
        )
        said["memory"] = f"{say_bytes(4 * weights + 12 * trained)} and what a step needs"
        said["disk"] = (
            f"{say_bytes(12 * trained)} to go on from, {say_bytes(4 * trained)} each for the last "
            f"and the best, {say_bytes(12 * trained)} more while one is written"
        )
    return [f"{name:8} {words}" for name, words in said.items()]


def _count_steps(epochs: float, examples: Examples, batch: int) -> int:
    return max(1, math.ceil(epochs * examples.tokens / batch))


def _choose_rate(tuning: Tuning, base: Base) -> float:
    if isinstance(base, FolderBase):
        return _LORA_RATE if tuning.lora else _FULL_RATE
    peak = choose_rate(base.model.count_parameters())
    return peak if tuning.lora else peak / 4
