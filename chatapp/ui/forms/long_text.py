"""A dialog with a field for a text of several lines: a system prompt, a grammar, a schema."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Static, TextArea

from chatapp.errors import ChatAppError
from chatapp.ui.editor import edit_text
from chatapp.ui.wording import clean_line, explain


class LongTextForm(ModalScreen[str | None]):
    """Dismissed with the text, or None where it stays as it was."""

    CSS_PATH = "../screens/dialog.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "Cancel", priority=True),
        Binding("ctrl+s", "keep", "Keep", priority=True),
        Binding("ctrl+o", "edit", "Editor", priority=True),
    ]
    AUTO_FOCUS = "#long-text"

    def __init__(self, name: str, text: str, help_: str) -> None:
        super().__init__()
        self._name = name
        self._text = text
        self._help = help_
        self._warned = False

    def compose(self) -> ComposeResult:
        """The text, and what it is for."""
        with Vertical(id="dialog") as dialog:
            dialog.border_title = self._name
            dialog.border_subtitle = "Ctrl+S keeps · Ctrl+O your editor · Esc cancels"
            yield TextArea(self._text, id="long-text", tab_behavior="indent")
            yield Static(clean_line(self._help), id="dialog-note", markup=False)

    def action_keep(self) -> None:
        """Take the text."""
        self.dismiss(self.query_one(TextArea).text)

    async def action_edit(self) -> None:
        """Write it in the user's own editor."""
        area = self.query_one(TextArea)
        try:
            area.text = await edit_text(self.app, area.text)
        except ChatAppError as error:
            self.query_one("#dialog-note", Static).update(clean_line(explain(error)))

    def action_leave(self) -> None:
        """Leave the text as it was; what was changed is thrown away at the second Esc."""
        if self.query_one(TextArea).text == self._text or self._warned:
            self.dismiss(None)
            return
        self._warned = True
        note = "The text was changed. Ctrl+S keeps it; Esc again throws the change away."
        self.query_one("#dialog-note", Static).update(note)
