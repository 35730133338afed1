"""The links of a message, each with all of its target; nothing is opened unasked."""

from collections.abc import Callable
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from chatapp.ui.wording import clean_line


class LinksScreen(ModalScreen[str | None]):
    """Dismissed with the address to open, or None."""

    CSS_PATH = "reading.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "dismiss(None)", "Close"),
        Binding("c", "copy", "Copy"),
    ]

    def __init__(self, links: list[str], *, copy: Callable[[str], object]) -> None:
        super().__init__()
        self._links = links
        self._copy = copy

    def compose(self) -> ComposeResult:
        """One row, or as many as it takes, a link."""
        with Vertical(id="reading-dialog") as dialog:
            dialog.border_title = "Link" if len(self._links) == 1 else f"{len(self._links)} links"
            dialog.border_subtitle = "Enter opens · C copies · Esc closes"
            yield OptionList(*(Option(clean_line(link)) for link in self._links), markup=False)

    def on_mount(self) -> None:
        """Enter opens the first."""
        self.query_one(OptionList).highlighted = 0

    @on(OptionList.OptionSelected)
    def _open(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(self._links[event.option_index])

    def action_copy(self) -> None:
        """Copy the address as it stands there."""
        index = self.query_one(OptionList).highlighted
        if index is not None:
            self._copy(self._links[index])
            self.dismiss(None)
