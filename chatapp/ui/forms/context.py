"""A dialog that shows what fills the context."""

from collections.abc import Awaitable, Callable
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from chatapp.errors import ChatAppError
from chatapp.ui.wording import explain

_FRAME = 6
"""Columns of the dialog's frame, its padding and its scroll bar."""


class ContextForm(ModalScreen[None]):
    """Shows the lines that `count` gives for a width.

    An answer that is being written ends before that.
    """

    CSS_PATH = "../screens/dialog.tcss"
    CSS = """
    ContextForm { align: center middle; background: $background 60%; }
    ContextForm #dialog { min-width: 20; }
    ContextForm VerticalScroll { height: auto; max-height: 100%; }
    ContextForm Static { height: auto; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,enter", "dismiss(None)", "Close"),
    ]

    def __init__(self, count: Callable[[int], Awaitable[list[str]]], *, waits: bool) -> None:
        """`waits`: an answer is being written, and the count has to wait for its end."""
        super().__init__()
        self._count = count
        self._waits = waits

    def compose(self) -> ComposeResult:
        """One text."""
        text = "Counted when the answer has ended…" if self._waits else "Counting…"
        with Vertical(id="dialog") as dialog:
            dialog.border_title = "Context"
            dialog.border_subtitle = "Esc closes"
            with VerticalScroll():
                yield Static(text, id="meter", markup=False)

    def on_mount(self) -> None:
        """Count beside the screen."""
        self.run_worker(self._show())

    async def _show(self) -> None:
        try:
            text = "\n".join(await self._count(self.app.size.width * 9 // 10 - _FRAME))
        except ChatAppError as error:
            text = explain(error)
        self.query_one("#meter", Static).update(text)
