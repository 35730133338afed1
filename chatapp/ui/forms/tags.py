"""A dialog for the tags of one chat, or of several."""

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, Static


class TagsForm(ModalScreen[str | None]):
    """Dismissed with the tags as they were written, or None."""

    CSS_PATH = "../screens/dialog.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss(None)", "Cancel")]

    def __init__(self, tags: str, count: int, known: str) -> None:
        """`tags` are those that all `count` chats have, `known` those that any chat has."""
        super().__init__()
        self._tags = tags
        self._count = count
        self._known = known

    def compose(self) -> ComposeResult:
        """One field, and which tags there are."""
        with Vertical(id="dialog") as dialog:
            dialog.border_title = "Tags" if self._count == 1 else f"Tags of {self._count} chats"
            dialog.border_subtitle = "Enter sets · Esc cancels"
            placeholder = "Words with spaces between"
            yield Input(value=self._tags, placeholder=placeholder, id="tags", compact=True)
            if self._known:
                yield Static(f"In use: {self._known}", id="dialog-note", markup=False)

    @on(Input.Submitted)
    def _set(self, event: Input.Submitted) -> None:
        self.dismiss(event.value)
