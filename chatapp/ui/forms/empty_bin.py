"""A dialog that asks whether deleted conversations are to be removed for good."""

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option


class EmptyBinForm(ModalScreen[bool]):
    """Dismissed with True when `count` conversations are to be removed for good."""

    CSS_PATH = "../screens/dialog.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss(False)", "Cancel")]

    def __init__(self, count: int) -> None:
        super().__init__()
        self._count = count

    def compose(self) -> ComposeResult:
        """What will happen, and the choice; keeping is chosen until one moves."""
        chats = "1 deleted chat" if self._count == 1 else f"{self._count} deleted chats"
        with Vertical(id="dialog") as dialog:
            dialog.border_title = "Empty bin"
            dialog.border_subtitle = "Enter chooses · Esc cancels"
            yield Static(
                f"{chats} will be removed for good, with every trace in the history file.",
                markup=False,
            )
            yield OptionList(Option("Keep", id="keep"), Option("Remove for good", id="remove"))

    @on(OptionList.OptionSelected)
    def _choose(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(event.option.id == "remove")
