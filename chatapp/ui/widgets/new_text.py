"""A quiet mark at the bottom right of what one reads: below, new text has come."""

from textual.reactive import reactive
from textual.widgets import Static

from chatapp.ui.widgets.transcript import Transcript


class NewText(Static):
    """Seen when text comes while the reader is somewhere above; gone when they see the end."""

    DEFAULT_CSS = """
    NewText {
        layer: above;
        width: auto;
        height: 1;
        margin: 0 2 0 0;
        padding: 0 1;
        color: $text-accent;
        background: $panel;
        display: none;
        &.-shown { display: block; }
        &:hover { text-style: bold; }
    }
    """

    shown: reactive[bool] = reactive(False)

    def __init__(self, transcript: Transcript) -> None:
        super().__init__("↓ new text", markup=False)
        self._transcript = transcript

    def on_mount(self) -> None:
        """Follow the reader."""
        for fact in ("scroll_y", "virtual_size", "marked"):
            self.watch(self._transcript, fact, self._look, init=False)

    def note(self) -> None:
        """Text has come at the end."""
        if not self._transcript.sees_end:
            self.shown = True

    def forget(self) -> None:
        """Hide the mark, because another chat is shown."""
        self.shown = False

    def watch_shown(self, shown: bool) -> None:
        """Draw it, or not."""
        self.set_class(shown, "-shown")

    def _look(self) -> None:
        if self._transcript.sees_end:
            self.shown = False

    def on_click(self) -> None:
        """Scroll to the end of the chat, where the new text is."""
        self._transcript.go_to_end()
