"""A line on stderr that says what takes time, drawn only when stderr is a terminal."""

import math
import sys
import time
from typing import TYPE_CHECKING

from chatapp.cli.table import format_duration
from chatapp.gguf.size import size_text
from chatapp.text import strip_controls

if TYPE_CHECKING:
    from chatapp.engine.protocol import LoadProgress
    from chatapp.engine.scoring import ScoreProgress
    from chatapp.library.fetching import Progress as Fetch

_CLEAR = "\r\x1b[K"


class Progress:
    """The one line that is rewritten and in the end gone."""

    def __init__(self) -> None:
        self._on = sys.stderr.isatty()
        self._shown = False
        self._began: float | None = None

    def show_load(self, progress: "LoadProgress") -> None:
        """How much of the model is loaded, or converted before that."""
        self._show(f"{progress.doing} the model {progress.fraction:.0%}")

    def show_prefill(self, done: int, total: int) -> None:
        """How many tokens of the prompt are read."""
        self._show(f"reading the prompt {done:,}/{total:,}")

    def show_thinking(self, n_tokens: int) -> None:
        """The model thinks aloud, so many tokens by now; that is no part of the answer."""
        self._show(f"thinking… {n_tokens:,} tokens")

    def show_embedded(self, done: int, total: int) -> None:
        """How many texts have an embedding."""
        self._show(f"embedding {done:,}/{total:,}")

    def show_scored(self, event: "ScoreProgress") -> None:
        """How much of a text a model has read, what its perplexity is so far, how long it takes."""
        left = self._estimate(event.done, event.total)
        parts = [f"reading {event.done:,}/{event.total:,} tokens"]
        if event.n_scored:
            so_far = math.exp(min(-event.logprob / event.n_scored, 700.0))
            parts.append(f"perplexity {so_far:.4f}")
        parts.append(f"{format_duration(left)} left")
        self._show(" · ".join(parts))

    def show_answered(self, done: int, total: int) -> None:
        """How many examples have an answer, and how long the others take."""
        left = self._estimate(done, total)
        behind = f" · {format_duration(left)} left" if done else ""
        self._show(f"answered {done:,}/{total:,}{behind}")

    def show_pieces(self, done: int, total: int) -> None:
        """How many pieces of a text were read."""
        behind = f" · {format_duration(self._estimate(done, total))} left" if done else ""
        self._show(f"reading piece {done + 1:,}/{total:,}{behind}")

    def show_measured(self, done: int, total: int) -> None:
        """How many speeds were measured."""
        self._show(f"measuring {done}/{total}")

    def show_copy(self, done: int, total: int) -> None:
        """Bytes that are copied, of all."""
        self._show(f"copying {done / max(total, 1):.0%}")

    def show_import(self, conversations: int, messages: int) -> None:
        """Conversations and messages that came in by now."""
        self._show(f"importing · {conversations:,} conversations, {messages:,} messages")

    def show_fetch(self, fetch: "Fetch") -> None:
        """Bytes that have come, how fast, how long it will take; or what is waited for."""
        share = f"{fetch.done / max(fetch.total, 1):.0%}"
        if fetch.note:
            self._show(f"fetching {share} · {strip_controls(fetch.note)} Trying again.")
            return
        parts = [f"fetching {share}", f"{size_text(fetch.done)} of {size_text(fetch.total)}"]
        if fetch.rate:
            parts.append(f"{size_text(int(fetch.rate))}/s")
        if fetch.seconds_left is not None:
            parts.append(f"{format_duration(fetch.seconds_left)} left")
        self._show(" · ".join(parts))

    def notice(self, sentences: list[str]) -> None:
        """Lines that stay, in a log too: what must be known of the model."""
        self.clear()
        for sentence in sentences:
            sys.stderr.write(f"chatapp: {strip_controls(sentence)}\n")

    def clear(self) -> None:
        """Take the line away."""
        if self._shown:
            sys.stderr.write(_CLEAR)
            sys.stderr.flush()
            self._shown = False

    def _estimate(self, done: int, total: int) -> float:
        """Seconds that are left, from how long it took since this was first asked."""
        now = time.monotonic()
        if self._began is None:
            self._began = now - 1e-3
        return (now - self._began) * (total / max(done, 1) - 1)

    def _show(self, text: str) -> None:
        if self._on:
            sys.stderr.write(f"{_CLEAR}{text}")
            sys.stderr.flush()
            self._shown = True
