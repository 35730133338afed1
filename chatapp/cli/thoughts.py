"""What `chatapp ask` says on stderr of the thoughts before an answer: a line, or the thoughts.

The line grows while the model thinks, on a terminal only, and a last one says how long it took.
Thoughts that come behind the first words of the answer are in the history and in `--json`.
"""

import sys
import time

from chatapp.cli.progress import Progress
from chatapp.cli.table import format_duration
from chatapp.engine.protocol import Delta
from chatapp.text import ControlFilter


class Thoughts:
    """The thoughts of one answer as they come."""

    def __init__(self, progress: Progress, *, in_full: bool) -> None:
        """`in_full`: the thoughts themselves are written."""
        self._progress = progress
        self._in_full = in_full
        self._filter = ControlFilter()
        self._shown = 0
        self._ends_line = True
        self._n_tokens = 0
        self._began_at = 0.0
        self._over = False

    def take(self, delta: Delta, reasoning: str) -> None:
        """The model has thought on; `reasoning` is all it thought."""
        if self._over or not reasoning:
            return
        self._began_at = self._began_at or time.perf_counter()
        self._n_tokens += len(delta.tokens) or 1  # servers send a piece of text a token
        if not self._in_full:
            self._progress.show_thinking(self._n_tokens)
            return
        self._progress.clear()
        new, self._shown = reasoning[self._shown :], max(self._shown, len(reasoning))
        if new := self._filter.feed(new):
            self._write(new)

    def end(self) -> None:
        """The answer begins, or there will be none."""
        if self._over:
            return
        self._over = True
        self._progress.clear()
        if self._n_tokens:
            gap = "" if self._ends_line else "\n"
            seconds = time.perf_counter() - self._began_at
            spent = f"{seconds:.1f} s" if seconds < 60 else format_duration(seconds)
            self._write(f"{gap}chatapp: thought for {spent} ({self._n_tokens:,} tokens)\n")

    def _write(self, text: str) -> None:
        self._ends_line = text.endswith("\n")
        sys.stderr.write(text)
        sys.stderr.flush()
