"""What is known of a running stage: loss and speed since the last report, on screen and on disk.

Promises `log.jsonl` in the stage's folder, an object for each report, in which a run that was
killed and goes on has every step once. The loss stays on the device until it is asked for.
"""

import json
import math
import time
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from chatapp.errors import ChatAppError
from chatapp.train.parallel import Ranks
from chatapp.train.progress import Progress, Reporter

LOG_FILE = "log.jsonl"
EVERY = 10
"""Steps between reports."""


class Log:
    """The reports of a run, a line of `log.jsonl` each."""

    def __init__(self, folder: Path, step: int) -> None:
        """Goes on after `step`: lines of later steps, which are taken again, are removed."""
        self._path = folder / LOG_FILE
        lines = [line for line in read_log(folder) if line["step"] <= step] if step else []
        folder.mkdir(parents=True, exist_ok=True)
        with suppress(OSError):  # a log is no reason to stop
            self._path.write_text("".join(f"{json.dumps(line)}\n" for line in lines), "utf-8")

    def add(self, progress: Progress) -> None:
        """Append a report to the file; raises `OSError`."""
        line = {name: value for name, value in asdict(progress).items() if value is not None}
        with suppress(OSError), self._path.open("a", encoding="utf-8") as file:
            file.write(f"{json.dumps(line)}\n")


def read_log(folder: Path) -> list[dict[str, Any]]:
    """The reports in a folder's log, as far as they are whole."""
    found = []
    with suppress(OSError, UnicodeDecodeError):
        for line in (folder / LOG_FILE).read_text("utf-8").splitlines():
            with suppress(ValueError, RecursionError):
                entry = json.loads(line)
                if isinstance(entry, dict) and isinstance(entry.get("step"), int):
                    found.append(entry)
    return found


class Meter:
    """Loss and speed since the last report."""

    def __init__(
        self, name: str, steps: int, reporter: Reporter, log: Log | None, ranks: Ranks
    ) -> None:
        self._name, self._steps, self._ranks = name, steps, ranks
        self._reporter, self._log = reporter, log
        self._losses: list[torch.Tensor] = []
        self._tokens = 0
        self._flops = 0.0
        self._since = time.monotonic()
        self.peak = 0.0
        """Operations a second that the machine could do; 0 is unknown."""

    def add(self, loss: torch.Tensor, tokens: int, flops: float) -> None:
        """Count a training step: its loss, tokens and operations."""
        self._losses.append(loss)
        self._tokens += tokens
        self._flops += flops

    def check(self) -> None:
        """Raise `ChatAppError` when the last loss is no number."""
        if self._losses and not math.isfinite(self._ranks.mean(self._losses[-1]).item()):
            raise self.broken()

    def broken(self) -> ChatAppError:
        """What is said when the loss is no number."""
        return ChatAppError(
            f"{self._name}: the loss is no longer a number. The last good checkpoint is kept.",
            "Lower the learning rate and start again, or --resume.",
        )

    def report(self, step: int, rate: float, value: float | None) -> None:
        """Say how it goes, every so many steps, after a measurement and at the end."""
        if not self._losses or (step % EVERY and value is None and step < self._steps):
            return
        seconds = max(time.monotonic() - self._since, 1e-9)
        loss = self._ranks.mean(torch.stack(self._losses).mean()).item()
        if self.peak:  # it was measured in a moment: other programs may have been busy
            self.peak = max(self.peak, self._flops / seconds)
        progress = Progress(
            stage=self._name,
            step=step,
            steps=self._steps,
            loss=loss,
            tokens_per_second=self._tokens / seconds,
            seconds_left=(self._steps - step) * seconds / len(self._losses),
            learning_rate=rate,
            val_loss=None if value is None or math.isnan(value) else value,
            mfu=self._flops / seconds / self.peak if self.peak else None,
        )
        if not math.isfinite(loss):
            raise self.broken()
        self._reporter.report(progress)
        if self._log is not None:
            self._log.add(progress)
        self._losses, self._tokens, self._flops = [], 0, 0.0
        self._since = time.monotonic()

    def pause(self, seconds: float) -> None:
        """What took so long was no training."""
        self._since += seconds
