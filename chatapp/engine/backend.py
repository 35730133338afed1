"""What the worker needs of anything that can generate text or make embeddings.

A backend runs in the engine process, one request at a time, on the worker's main thread. It
emits events while it works and looks at `cancelled` between small pieces of work. It
raises `ChatAppError`s; the worker turns them into `Failed`.
"""

import threading
from collections.abc import Callable
from typing import Protocol

from chatapp.engine.embedding import Embed, Embedded
from chatapp.engine.protocol import (
    Event,
    Finished,
    Generate,
    LoadOptions,
    Measure,
    Measured,
    ModelDescription,
)
from chatapp.engine.scoring import Score, Scored

Emit = Callable[[Event], None]


class Cancellation(threading.Event):
    """Set when a request is cancelled; also calls `on_set` in the thread that sets it."""

    def __init__(self) -> None:
        super().__init__()
        self.answer_now = threading.Event()
        """Set when the thought is to end and the answer to begin."""
        self.on_set: Callable[[], None] | None = None

    def set(self) -> None:
        """Cancel the request that this belongs to."""
        super().set()
        if on_set := self.on_set:
            on_set()


class Backend(Protocol):
    """Loads one model at a time and computes with it."""

    name: str
    version: str

    def load(self, options: LoadOptions, report: Callable[[float], None]) -> ModelDescription:
        """Replace the loaded model. `report` takes the fraction done, 0 to 1."""

    def generate(self, request: Generate, emit: Emit, cancelled: Cancellation) -> Finished:
        """Emit `PrefillProgress` and `Delta`s, return how it ended."""

    def measure(self, request: Measure) -> Measured:
        """Count the tokens of a prompt without computing it."""

    def embed(self, request: Embed) -> Embedded:
        """Make an embedding of each text; `UsageError` where the model was not loaded for it."""

    def score(self, request: Score, emit: Emit, cancelled: Cancellation) -> Scored:
        """Emit `ScoreProgress`, return how likely the text is; `UsageError` where it cannot say."""

    def unload(self) -> None:
        """Free the model; without one, do nothing."""
