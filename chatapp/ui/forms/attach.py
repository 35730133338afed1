"""A dialog that asks whether files that a message names are put before the model."""

from collections.abc import Sequence
from typing import ClassVar, Literal

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from chatapp.gguf.size import size_text
from chatapp.material.mentions import Named
from chatapp.ui.wording import clean_line

Way = Literal["attach", "text"]

_SHOWN = 8
"""Files that are named."""


class AttachForm(ModalScreen[Way | None]):
    """Dismissed with `attach`, with `text` to send the names alone, or with None: do not send."""

    CSS_PATH = "../screens/dialog.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss(None)", "Cancel")]

    def __init__(self, files: Sequence[Named], host: str) -> None:
        """`host` is where the model runs; empty: on this machine."""
        super().__init__()
        self._files = files
        self._host = clean_line(host)

    def compose(self) -> ComposeResult:
        """The files, how large they are and where they would go; what tells nobody comes first."""
        one = len(self._files) == 1
        with Vertical(id="dialog") as dialog:
            dialog.border_title = "A file goes with it?" if one else "Files go with it?"
            dialog.border_subtitle = "Enter chooses · Esc goes back"
            lines = [
                f"{clean_line(str(file.path))}, {size_text(file.size)}"
                for file in self._files[:_SHOWN]
            ]
            if more := len(self._files) - _SHOWN:
                lines += [f"and {more} more"] if more > 0 else []
            where = f"to {self._host}" if self._host else "to the model on this machine"
            what = "this file, which" if one else "these files, which"
            lines.append(f"Your message names {what} would go {where}.")
            yield Static("\n".join(lines), markup=False)
            yield OptionList(
                Option("Send the text without " + ("it" if one else "them"), id="text"),
                Option("Put " + ("it" if one else "them") + " before the model", id="attach"),
                markup=False,
            )

    @on(OptionList.OptionSelected)
    def _choose(self, event: OptionList.OptionSelected) -> None:
        self.dismiss("attach" if event.option.id == "attach" else "text")
