"""What training says about itself while it runs: one line on stderr, never on stdout."""

import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Progress:
    """One report of a running stage."""

    stage: str
    step: int
    steps: int
    loss: float
    """Training loss in nats a token, averaged over the steps since the last report."""
    tokens_per_second: float
    seconds_left: float
    learning_rate: float
    val_loss: float | None = None
    """Set on reports that follow a measurement on held-out text."""
    mfu: float | None = None
    """The share of what the machine could compute; None where that is not known."""


class Reporter(Protocol):
    """Who is told. Called between steps, on the thread that trains."""

    def report(self, progress: Progress) -> None:
        """Take one report of how training goes."""

    def say(self, text: str) -> None:
        """Take one sentence for whoever watches."""


class Silent:
    """A reporter that says nothing."""

    def report(self, progress: Progress) -> None:
        """Take one report of how training goes."""

    def say(self, text: str) -> None:
        """Take one sentence for whoever watches."""


class StderrReporter:
    """A bar that redraws itself on a terminal; elsewhere a line every `every` seconds."""

    def __init__(self, every: float = 10.0) -> None:
        self._every = every
        self._last = 0.0
        self._terminal = sys.stderr.isatty()

    def report(self, progress: Progress) -> None:
        """Draw `progress`, unless the last drawing is too fresh."""
        now = time.monotonic()
        wait = 0.1 if self._terminal else self._every
        if progress.val_loss is None and progress.step < progress.steps and now - self._last < wait:
            return
        self._last = now
        lasting = progress.val_loss is not None or progress.step >= progress.steps
        start = "\r\x1b[K" if self._terminal else ""
        end = "\n" if lasting or not self._terminal else ""
        _write(f"{start}{describe(progress)}{end}")

    def say(self, text: str) -> None:
        """Write one sentence on its own line."""
        start = "\r\x1b[K" if self._terminal else ""
        _write(f"{start}{text}\n")


def _write(text: str) -> None:
    """To stderr; a terminal that was closed is no reason to stop."""
    with suppress(OSError):
        sys.stderr.write(text)
        sys.stderr.flush()


def describe(progress: Progress) -> str:
    """One line, at most 80 columns in practice."""
    filled = round(20 * progress.step / progress.steps)
    minutes, seconds = divmod(round(progress.seconds_left), 60)
    use = "" if progress.mfu is None else f" MFU {100 * progress.mfu:.0f}%"
    line = (
        f"{progress.stage} {'#' * filled}{'.' * (20 - filled)} {progress.step}/{progress.steps}"
        f" loss {progress.loss:.3f} {progress.tokens_per_second:.0f} tok/s{use}"
        f" {minutes}:{seconds:02d} left"
    )
    return line if progress.val_loss is None else f"{line} held-out {progress.val_loss:.3f}"
