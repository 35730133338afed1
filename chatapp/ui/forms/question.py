"""A dialog that asks yes or no; what loses nothing is chosen until one moves."""

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from chatapp.ui.wording import clean_line


class Question(ModalScreen[bool]):
    """Dismissed with True for `yes`."""

    CSS_PATH = "../screens/dialog.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss(False)", "Cancel")]

    def __init__(self, title: str, sentence: str, *, yes: str, no: str) -> None:
        super().__init__()
        self._title = title
        self._sentence = clean_line(sentence)
        self._yes, self._no = yes, no

    def compose(self) -> ComposeResult:
        """What is asked, and the two answers."""
        with Vertical(id="dialog") as dialog:
            dialog.border_title = self._title
            dialog.border_subtitle = "Enter chooses · Esc cancels"
            yield Static(self._sentence, markup=False)
            yield OptionList(Option(self._no, id="no"), Option(self._yes, id="yes"))

    @on(OptionList.OptionSelected)
    def _choose(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(event.option.id == "yes")
