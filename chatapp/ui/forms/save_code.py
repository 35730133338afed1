"""A dialog for the file that a block of code is saved in.

What is there is replaced only by a second Enter, after the form has said so.
"""

from pathlib import Path
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from chatapp.paths import sees, sees_file, sees_folder
from chatapp.ui.code_files import path_of
from chatapp.ui.widgets.path_input import PathInput
from chatapp.ui.wording import clean_line


class SaveForm(ModalScreen[Path | None]):
    """Dismissed with the file to write, or None."""

    CSS_PATH = "../screens/reading.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss(None)", "Cancel")]
    AUTO_FOCUS = "#save-path"

    def __init__(self, name: str, words: str) -> None:
        """`name` is suggested, for `words`: what the code is called in a sentence."""
        super().__init__()
        self._suggested = name
        self._words = words
        self._told: Path | None = None
        """The file that the form has said is there already."""

    def compose(self) -> ComposeResult:
        """The field, and what is to be known of that file."""
        with Vertical(id="reading-dialog") as dialog:
            dialog.border_title = f"Save {self._words}"
            dialog.border_subtitle = "Enter saves · Tab completes · Esc cancels"
            yield PathInput(value=self._suggested, id="save-path", select_on_focus=False)
            yield Static("", id="save-note", markup=False)

    def on_mount(self) -> None:
        """A name that was given is looked at, too."""
        self._problem(path_of(self._suggested))

    @on(Input.Changed)
    def _look(self, event: Input.Changed) -> None:
        if self._told != path_of(event.value):
            self.query_one("#save-note", Static).update("")
            self._told = None

    @on(Input.Submitted)
    def _save(self, event: Input.Submitted) -> None:
        if not event.value.strip():
            return
        path = path_of(event.value)
        told = self._told
        if not self._problem(path) or (told == path and sees_file(path)):
            self.dismiss(path)

    def _problem(self, path: Path) -> bool:
        """Whether something is to be said before `path` is written; it is said."""
        shown = clean_line(str(path))
        if sees_folder(path):
            note = f"{shown} is a folder."
        elif sees(path):
            note = f"{shown} is there already. Enter again replaces it."
        elif not sees_folder(path.parent):
            note = f"There is no folder {clean_line(str(path.parent))}."
        else:
            return False
        self._told = path
        self.query_one("#save-note", Static).update(note)
        return True
