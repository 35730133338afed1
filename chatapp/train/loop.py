"""The training loop that pretraining and fine-tuning share.

Promises: a run that is interrupted and resumed gives the same weights, bit for bit, as one that
was not (same machine, same threads); Ctrl+C and SIGTERM finish the step, save, and then raise as
they would have. May not write to stdout. Surprising: a batch depends on the step alone, so the
step number is the whole data position; only dropout's generator has to be stored.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from chatapp.errors import ChatAppError
from chatapp.train.checkpoint import DAMAGED, Checkpoint
from chatapp.train.data import Batch
from chatapp.train.device import autocast, pick_device
from chatapp.train.flops import find_peak, per_token
from chatapp.train.keeping import keep, keep_best
from chatapp.train.language_model import LanguageModel
from chatapp.train.metering import Log, Meter
from chatapp.train.model import ACTIVATION
from chatapp.train.optimizers import Optimizers
from chatapp.train.parallel import gather, join
from chatapp.train.progress import Reporter
from chatapp.train.schedule import learning_rate
from chatapp.train.settings import PretrainSettings
from chatapp.train.stepping import Stepper, count_targets, divide
from chatapp.train.stopping import command_to_go_on, listen, say_when_stopped


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of training: its settings, its batches, its measure and where it saves."""

    name: str
    settings: PretrainSettings
    batch: Callable[[int], Batch]
    """The batch of a step."""
    heldout: tuple[Batch, ...]
    folder: Path
    home: Path
    """The folder of the whole run, by which it is resumed."""
    config: dict[str, Any] = field(default_factory=dict)
    sample: Callable[[LanguageModel], str] | None = None
    """What is said of the model after a measurement: a text that it has written, or nothing."""
    publish: Callable[[Checkpoint], None] | None = None
    """Writes the best model in the form it is used in; without it `best/` gets a checkpoint."""


@torch.no_grad()
def measure(model: LanguageModel, batches: tuple[Batch, ...], rows: int = 0) -> float:
    """Mean loss over held-out batches, in nats a token; NaN when there are none.

    `rows` is how many are taken at once, as in `Stepper`.
    """
    device = next(model.parameters()).device
    model.eval()
    total, count = 0.0, 0
    for part in (part for batch in batches for part in divide(batch, rows)):
        if not (wanted := count_targets(part)):
            continue
        inputs = part.tokens.to(device), part.targets.to(device)
        with autocast(device):
            loss = model.loss(*inputs, part.offset, part.masked).item()
        total += loss * wanted
        count += wanted
    model.train()
    return total / count if count else math.nan


def run_stage(
    stage: Stage, model: LanguageModel, resume: Checkpoint | None, reporter: Reporter
) -> Checkpoint:
    """Train `model` in place from `resume` (or from step 0) to the end; the last checkpoint.

    Raises `KeyboardInterrupt` after a Ctrl+C, `SystemExit` after a SIGTERM or a hang-up, with the
    checkpoint written, and `ChatAppError` when the loss is no longer a number, with the last good
    checkpoint left in place.
    """
    with listen() as stop:
        run = Run(stage, model, resume, reporter)
        begun = run.step
        while run.step < stage.settings.steps:
            if run.ranks.any(stop.number > 0):
                if run.step == begun:
                    with say_when_stopped(reporter.say):
                        stop.leave()
                run.keep()
                reporter.say(f"Saved step {run.step}. To go on: {command_to_go_on(stage.home)}")
                stop.leave()
            run.advance()
        if stop.number:  # in the last step, which is kept
            reporter.say(f"Saved step {run.step}. To end it: {command_to_go_on(stage.home)}")
            stop.leave()
        return run.snapshot()


class Run:
    """One stage of training while it runs: its model, optimizer and step."""

    def __init__(
        self, stage: Stage, model: LanguageModel, resume: Checkpoint | None, reporter: Reporter
    ) -> None:
        self.stage, self.model, self.reporter = stage, model, reporter
        self.ranks = join()
        device = pick_device()
        model.to(device).train()
        self.flops = per_token(model, stage.settings.window)
        self.ranks.shard(model)
        self.optimizers = Optimizers(model, stage.settings)
        self.step, self.best, self.best_step = 0, math.inf, 0
        torch.manual_seed(stage.settings.seed)
        rows = 0
        if resume is not None:
            _restore(self.optimizers, resume)
            self.step, self.best = resume.iter_num, resume.best_val_loss
            self.best_step = resume.best_step
            rows = resume.config.get("rows", 0)
        self.stepper = Stepper(model, reporter.say, self.ranks, rows if type(rows) is int else 0)
        if stage.settings.compile:
            self.stepper.loss = torch.compile(model.loss)
        log = None if self.ranks.rank else Log(stage.folder, self.step)
        self.meter = Meter(stage.name, stage.settings.steps, reporter, log, self.ranks)
        self.meter.peak = find_peak(device) * self.ranks.world

    def advance(self) -> None:
        """Take one step; measure, keep and report when it is time."""
        settings = self.stage.settings
        floor = settings.learning_rate * settings.floor
        rate = learning_rate(
            self.step, settings.steps, settings.learning_rate, floor, settings.warmup
        )
        batch = self.stage.batch(self.step)
        loss = self.stepper.backward(batch)
        if settings.grad_clip:
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), settings.grad_clip)
        self.optimizers.step(rate)
        tokens = batch.tokens.numel()
        self.meter.add(loss, tokens, tokens * self.flops)
        self.step += 1
        last = self.step == settings.steps
        value = None
        if self.step % settings.eval_every == 0 or last:
            value = self._evaluate()
        self.meter.report(self.step, rate, value)

    def _evaluate(self) -> float:
        """Measure on held-out text, and keep the checkpoint of a step whose loss is a number."""
        self.meter.check()
        began = time.monotonic()
        value = self.ranks.mean(
            torch.tensor(measure(self.model, self.stage.heldout, self.stepper.rows))
        ).item()
        if self.stage.heldout and not math.isfinite(value):
            raise self.meter.broken()
        better = value < self.best
        if better:
            self.best, self.best_step = value, self.step
        self.keep(better)
        if self.stage.sample is not None:
            self.model.eval()
            if said := self.stage.sample(self.model):
                self.reporter.say(said)
            self.model.train()
        self.meter.pause(time.monotonic() - began)
        return value

    def keep(self, best: bool = False) -> None:
        """Write the checkpoint of this step."""
        self.meter.check()
        checkpoint = self.snapshot()
        if not self.ranks.rank:
            keep(checkpoint, self.stage.folder, self.stage.home)
            if best and self.stage.publish is not None:
                self.stage.publish(checkpoint)
            elif best:
                keep_best(checkpoint, self.stage.folder, self.stage.home)

    def snapshot(self) -> Checkpoint:
        """A checkpoint of this step: all that going on from it needs."""
        config = {**self.stage.config, "stage": self.stage.name, "activation": ACTIVATION}
        return Checkpoint(
            model=gather(self.model.kept_state()),
            optimizer=gather(self.optimizers.state_dict()),
            model_args=self.model.args.as_dict(),
            iter_num=self.step,
            best_val_loss=self.best,
            best_step=self.best_step,
            config={**config, "rows": self.stepper.rows},
            rng=_save_rng(),
        )


def _save_rng() -> dict[str, Any]:
    state: dict[str, Any] = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state()
    return state


def _restore(optimizers: Optimizers, resume: Checkpoint) -> None:
    """The optimizer and the random generators as they were."""
    optimizers.load(resume.optimizer)
    try:
        _restore_rng(resume.rng)
    except Exception as error:  # PyTorch raises whatever it meets in a state that is not whole
        raise ChatAppError("The checkpoint's random state is no such state.", DAMAGED) from error


def _restore_rng(state: dict[str, Any]) -> None:
    if "cpu" in state:
        torch.set_rng_state(state["cpu"])
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])
