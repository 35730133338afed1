"""A dialog in which the model summarises the older turns of a chat. Esc stops it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Static

from chatapp.compaction import Progress
from chatapp.errors import ChatAppError
from chatapp.text import strip_controls
from chatapp.ui.wording import prefill_text

_SHOWN = 600
"""Characters of the summary's end that are shown while it is written."""

Make = Callable[[Callable[[Progress], object]], Awaitable[str]]

GIVEN_UP = "The summary was stopped. Everything is as it was."


class SummaryForm(ModalScreen[str | ChatAppError | None]):
    """Dismissed with the summary, with why there is none, or None when it was stopped."""

    CSS_PATH = "../screens/dialog.tcss"
    CSS = """
    SummaryForm { align: center middle; background: $background 60%; }
    SummaryForm #dialog { min-width: 20; }
    SummaryForm Static { height: auto; }
    SummaryForm #progress { color: $text-muted; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "stop", "Stop")]

    def __init__(self, n_messages: int, make: Make) -> None:
        super().__init__()
        self._n_messages = n_messages
        self._make = make
        self._work: asyncio.Task[str] | None = None

    def compose(self) -> ComposeResult:
        """How far it is, and what there is of it."""
        with Vertical(id="dialog") as dialog:
            dialog.border_title = f"Summarising {self._n_messages} messages"
            dialog.border_subtitle = "Esc stops and leaves everything as it was"
            yield Static("asking the model…", id="progress", markup=False)
            yield Static("", id="text", markup=False)

    def on_mount(self) -> None:
        """Have the summary made while its progress is shown."""
        self.run_worker(self._run())

    def action_stop(self) -> None:
        """No summary is wanted any more."""
        if self._work is not None:
            self._work.cancel()

    async def _run(self) -> None:
        self._work = asyncio.ensure_future(self._make(self._show))
        try:
            await asyncio.wait([self._work])
        finally:
            self._work.cancel()
        if self._work.cancelled():
            self.dismiss(None)
            return
        error = self._work.exception()
        if error is None:
            self.dismiss(self._work.result())
        elif isinstance(error, ChatAppError):
            self.dismiss(error)
        else:
            raise error

    def _show(self, progress: Progress) -> None:
        if not self.is_attached:
            return
        part = f"part {progress.part} of {progress.parts}: " if progress.parts > 1 else ""
        doing = prefill_text(progress.reading) if progress.reading else "writing the summary"
        self.query_one("#progress", Static).update(f"{part}{doing}")
        self.query_one("#text", Static).update(strip_controls(progress.text[-_SHOWN:]))
