"""The training loop that pretraining and fine-tuning share.

Promises: a run that is interrupted and resumed gives the same weights, bit for bit, as one that
was not (same machine, same threads); Ctrl+C finishes the step, saves, and then raises
`KeyboardInterrupt`. May not write to stdout. Surprising: a batch depends on the step alone, so the
step number is the whole data position; only dropout's generator has to be stored.
"""

import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from chatapp.errors import ChatAppError
from chatapp.train.checkpoint import DAMAGED, Checkpoint, save_checkpoint
from chatapp.train.data import Batch
from chatapp.train.device import autocast, pick_device
from chatapp.train.model import ACTIVATION, GPT
from chatapp.train.progress import Progress, Reporter
from chatapp.train.schedule import learning_rate
from chatapp.train.settings import PretrainSettings


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of training: its settings, its batches, its measure and where it saves."""

    name: str
    settings: PretrainSettings
    batch: Callable[[int], Batch]
    """The batch of a step."""
    heldout: tuple[Batch, ...]
    folder: Path
    config: dict[str, Any] = field(default_factory=dict)


def make_optimizer(model: GPT, settings: PretrainSettings) -> torch.optim.AdamW:
    """AdamW with weight decay on matrices only, betas as in GPT-3 (0.9, 0.95)."""
    matrices = [weight for weight in model.parameters() if weight.dim() >= 2]
    vectors = [weight for weight in model.parameters() if weight.dim() < 2]
    groups = [
        {"params": matrices, "weight_decay": settings.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=settings.learning_rate, betas=(0.9, 0.95), fused=True)


@torch.no_grad()
def measure(model: GPT, batches: tuple[Batch, ...]) -> float:
    """Mean loss over held-out batches, in nats a token; NaN when there are none."""
    device = next(model.parameters()).device
    model.eval()
    losses = []
    for batch in batches:
        with autocast(device):
            losses.append(model.loss(batch.tokens.to(device), batch.targets.to(device)).item())
    model.train()
    return sum(losses) / len(losses) if losses else math.nan


def run_stage(
    stage: Stage, model: GPT, resume: Checkpoint | None, reporter: Reporter
) -> Checkpoint:
    """Train `model` in place from `resume` (or from step 0) to the end; the last checkpoint.

    Raises `KeyboardInterrupt` after a Ctrl+C, with the checkpoint written, and `ChatAppError` when
    the loss is no longer a number, with the last good checkpoint left in place.
    """
    device = pick_device()
    model.to(device).train()
    optimizer = make_optimizer(model, stage.settings)
    step, best = 0, math.inf
    torch.manual_seed(stage.settings.seed)
    if resume is not None:
        _restore(optimizer, resume)
        step, best = resume.iter_num, resume.best_val_loss
    with _interruptible() as interrupted:
        meter = _Meter(stage, reporter)
        while step < stage.settings.steps and not interrupted.is_set():
            rate = _take_step(stage, model, optimizer, step, meter)
            step += 1
            value = None
            if step % stage.settings.eval_every == 0 or step == stage.settings.steps:
                meter.check()
                value = measure(model, stage.heldout)
                best = min(best, value)
                save_checkpoint(_snapshot(stage, model, optimizer, step, best), stage.folder)
            meter.report(step, rate, value)
        checkpoint = _snapshot(stage, model, optimizer, step, best)
        if interrupted.is_set():
            save_checkpoint(checkpoint, stage.folder)
            reporter.say(f"Saved step {step} in {stage.folder}; --resume goes on from there.")
            raise KeyboardInterrupt
    return checkpoint


def _take_step(
    stage: Stage, model: GPT, optimizer: torch.optim.AdamW, step: int, meter: "_Meter"
) -> float:
    settings = stage.settings
    floor = settings.learning_rate * settings.floor
    rate = learning_rate(step, settings.steps, settings.learning_rate, floor, settings.warmup)
    for group in optimizer.param_groups:
        group["lr"] = rate
    batch = stage.batch(step)
    device = next(model.parameters()).device
    with autocast(device):
        loss = model.loss(batch.tokens.to(device), batch.targets.to(device), batch.offset)
    loss.backward()  # type: ignore[no-untyped-call]
    if settings.grad_clip:
        torch.nn.utils.clip_grad_norm_(model.parameters(), settings.grad_clip)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    meter.add(loss.detach(), batch.tokens.numel())
    return rate


class _Meter:
    """Loss and speed since the last report; the loss stays on the device until it is asked for."""

    def __init__(self, stage: Stage, reporter: Reporter) -> None:
        self._stage, self._reporter = stage, reporter
        self._losses: list[torch.Tensor] = []
        self._tokens = 0
        self._steps = 0
        self._since = time.monotonic()

    def add(self, loss: torch.Tensor, tokens: int) -> None:
        self._losses.append(loss)
        self._tokens += tokens
        self._steps += 1

    def check(self) -> None:
        if self._losses and not math.isfinite(self._losses[-1].item()):
            raise ChatAppError(
                f"{self._stage.name}: the loss is no longer a number.",
                "Lower learning_rate in the recipe and start again, or --resume.",
            )

    def report(self, step: int, rate: float, value: float | None) -> None:
        if self._steps < 10 and value is None and step < self._stage.settings.steps:
            return
        seconds = max(time.monotonic() - self._since, 1e-9)
        left = (self._stage.settings.steps - step) * seconds / self._steps
        loss = torch.stack(self._losses).mean().item()
        speed = self._tokens / seconds
        self._reporter.report(
            Progress(
                self._stage.name, step, self._stage.settings.steps, loss, speed, left, rate, value
            )
        )
        self._losses, self._tokens, self._steps = [], 0, 0
        self._since = time.monotonic()


def _snapshot(
    stage: Stage, model: GPT, optimizer: torch.optim.AdamW, step: int, best: float
) -> Checkpoint:
    return Checkpoint(
        model=model.state_dict(),
        optimizer=optimizer.state_dict(),
        model_args=model.args.as_dict(),
        iter_num=step,
        best_val_loss=best,
        config={**stage.config, "stage": stage.name, "activation": ACTIVATION},
        rng=_save_rng(),
    )


def _save_rng() -> dict[str, Any]:
    state: dict[str, Any] = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state()
    return state


def _restore(optimizer: torch.optim.AdamW, resume: Checkpoint) -> None:
    """The optimizer and the random generators as they were."""
    try:
        optimizer.load_state_dict(resume.optimizer)
        _restore_rng(resume.rng)
        whole = all(
            state[name].shape == weight.shape
            for weight, state in optimizer.state.items()
            for name in ("exp_avg", "exp_avg_sq")
        )
    except Exception:  # noqa: BLE001 -- PyTorch raises whatever it meets in a state that is not whole
        whole = False
    if not whole:
        raise ChatAppError("The checkpoint's optimizer state is not that of its model.", DAMAGED)


def _restore_rng(state: dict[str, Any]) -> None:
    if "cpu" in state:
        torch.set_rng_state(state["cpu"])
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])


@contextmanager
def _interruptible() -> Iterator[threading.Event]:
    """An event that Ctrl+C sets; a second Ctrl+C ends at once. Only in the main thread."""
    event = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield event
        return
    before = signal.getsignal(signal.SIGINT)

    def note(_number: int, _frame: object) -> None:
        event.set()
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, note)
    try:
        yield event
    finally:
        signal.signal(signal.SIGINT, before)
