"""A dialog for a conversation's title."""

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input


class RenameForm(ModalScreen[str | None]):
    """Dismissed with the new title, or None."""

    CSS_PATH = "../screens/dialog.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss(None)", "Cancel")]

    def __init__(self, title: str) -> None:
        super().__init__()
        self._title = title

    def compose(self) -> ComposeResult:
        """One field, its text selected."""
        with Vertical(id="dialog") as dialog:
            dialog.border_title = "Rename chat"
            dialog.border_subtitle = "Enter renames · Esc cancels"
            yield Input(value=self._title, max_length=200, id="title", compact=True)

    @on(Input.Submitted)
    def _rename(self, event: Input.Submitted) -> None:
        self.dismiss(event.value.strip() or None)
