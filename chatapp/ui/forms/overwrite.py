"""A dialog that asks what becomes of a file that is there already."""

from typing import ClassVar, Literal

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

Way = Literal["beside", "replace"]


class OverwriteForm(ModalScreen[Way | None]):
    """Dismissed with `beside` for the free name, `replace` for the old file's; or None."""

    CSS_PATH = "../screens/dialog.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss(None)", "Cancel")]

    def __init__(self, path: str, free: str) -> None:
        """`free` is a name beside `path` that no file has."""
        super().__init__()
        self._path = path
        self._free = free

    def compose(self) -> ComposeResult:
        """The file, and the choice; nothing is lost by the first."""
        with Vertical(id="dialog") as dialog:
            dialog.border_title = "The file is there"
            dialog.border_subtitle = "Enter chooses · Esc cancels"
            yield Static(self._path, markup=False)
            yield OptionList(
                Option(f"Write {self._free}, beside it", id="beside"),
                Option("Replace it", id="replace"),
                markup=False,
            )

    @on(OptionList.OptionSelected)
    def _choose(self, event: OptionList.OptionSelected) -> None:
        self.dismiss("replace" if event.option.id == "replace" else "beside")
