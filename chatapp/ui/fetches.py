"""Downloads of models, beside everything else: each in a thread, several at once, each can pause.

A thread only posts messages; what it fetched is kept on the disk whatever becomes of it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from textual.message import Message

from chatapp.errors import ChatAppError, HubError
from chatapp.gguf.size import size_text
from chatapp.ui.wording import clean_line

if TYPE_CHECKING:
    from chatapp.library.fetching import Progress
    from chatapp.library.offers import Offer, Repository

_END_S = 1.0


@dataclass
class FetchMoved(Message):
    """A download has come further."""

    fetch: Fetch


@dataclass
class FetchEnded(Message):
    """A download is whole (`path`), failed (`error`), or paused (neither)."""

    fetch: Fetch
    path: Path | None = None
    error: ChatAppError | None = None


@dataclass
class Fetch:
    """One download. Written by its thread, read by the screen."""

    repository: Repository
    offer: Offer
    progress: Progress | None = None
    running: bool = True
    done: bool = False
    """It is whole."""
    began: float = field(default_factory=time.monotonic)
    error: str = ""
    cancel: threading.Event = field(default_factory=threading.Event)

    @property
    def text(self) -> str:
        """`small-GGUF Q8_0  45 %  1.2 GB of 2.5 GB · 30 MB/s · 42 s left`."""
        name = f"{clean_line(self.repository.name)} {clean_line(self.offer.name)}"
        if self.error:
            return f"{name}  {clean_line(self.error)}"
        progress = self.progress
        if progress is None:
            return f"{name}  begins"
        parts = [f"{name}  {progress.done / max(progress.total, 1):.0%}"]
        parts.append(f"{size_text(progress.done)} of {size_text(progress.total)}")
        if self.done:
            return f"{name}  {size_text(progress.total)}"
        if not self.running:
            return " · ".join([*parts, "paused"])
        if progress.note:
            return " · ".join([*parts, clean_line(progress.note)])
        if progress.seconds_left is not None:
            parts += [f"{size_text(int(progress.rate))}/s", _time(progress.seconds_left)]
        return " · ".join(parts)

    @property
    def short(self) -> str:
        """`45 % · 42 s left`, for the status line."""
        progress = self.progress
        if progress is None:
            return "begins"
        share = f"{progress.done / max(progress.total, 1):.0%}"
        left = progress.seconds_left
        return share if left is None or progress.note else f"{share} · {_time(left)}"


class Fetches:
    """Every download of this run."""

    def __init__(self, folder: Path, post: Callable[[Message], object]) -> None:
        self._folder = folder
        self._post = post
        self._threads: list[threading.Thread] = []
        self.all: list[Fetch] = []

    @property
    def running(self) -> list[Fetch]:
        """Those that go on now."""
        return [fetch for fetch in self.all if fetch.running]

    def start(self, repository: Repository, offer: Offer) -> Fetch:
        """Fetch it, or go on with it. What runs already is returned as it is."""
        for fetch in self.all:
            if fetch.repository.id == repository.id and fetch.offer.name == offer.name:
                if fetch.running:
                    return fetch
                self.all.remove(fetch)
                break
        fetch = Fetch(repository, offer)
        self.all.append(fetch)
        thread = threading.Thread(target=self._run, args=(fetch,), name="fetch", daemon=True)
        self._threads.append(thread)
        thread.start()
        return fetch

    def toggle(self, fetch: Fetch) -> Fetch:
        """Pause it, or go on with it, which is another one. What is whole stays as it is."""
        if fetch.running:
            fetch.cancel.set()
        elif not fetch.done:
            return self.start(fetch.repository, fetch.offer)
        return fetch

    def stop(self) -> None:
        """Pause all; every byte that came is on the disk."""
        for fetch in self.running:
            fetch.cancel.set()
        for thread in self._threads:
            thread.join(_END_S)

    def _run(self, fetch: Fetch) -> None:
        from chatapp.library.fetching import Cancelled
        from chatapp.library.pulling import pull_model

        def report(progress: Progress) -> None:
            fetch.progress = progress
            self._post(FetchMoved(fetch))

        ended = FetchEnded(fetch)
        try:
            ended.path = pull_model(
                fetch.repository,
                fetch.offer,
                self._folder,
                report=report,
                is_cancelled=fetch.cancel.is_set,
            )
        except Cancelled:
            pass
        except ChatAppError as error:
            ended.error = error
        except Exception as error:  # noqa: BLE001 -- a thread's fault must reach the screen
            ended.error = HubError(f"The download failed: {type(error).__name__}: {error}.")
        if ended.error is not None:
            fetch.error = ended.error.message
        fetch.running, fetch.done = False, ended.path is not None
        if ended.path is not None:
            self.all.remove(fetch)
        self._post(ended)


def _time(seconds: float) -> str:
    return f"{seconds:.0f} s left" if seconds < 90 else f"{seconds / 60:.0f} min left"
