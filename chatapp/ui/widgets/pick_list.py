"""A few rows above the prompt, one of them marked: what a mode of the prompt offers.

It takes no focus; the prompt moves its mark. It is as high as its rows, up to eight.
"""

from collections.abc import Callable, Sequence

from textual.content import Content
from textual.events import Click
from textual.geometry import Size
from textual.widget import Widget

from chatapp.ui.wording import clean_line

MAX_ROWS = 8


class PickList(Widget):
    """Rows of one line each."""

    DEFAULT_CSS = """
    PickList {
        display: none; height: auto; max-height: 33.4vh; padding: 0 1;
        border: round $border; background: $background;
        border-title-color: $foreground; border-subtitle-color: $foreground 70%;
    }
    """

    def __init__(self, chosen: Callable[[], object]) -> None:
        """`chosen` is called when a row was clicked, which is marked by then."""
        super().__init__()
        self._chosen = chosen
        self._rows: list[str] = []
        self._marked = 0

    @property
    def is_open(self) -> bool:
        """Whether it is drawn."""
        return self.display

    @property
    def marked(self) -> int:
        """The number of the marked row."""
        return self._marked

    def show(self, title: str, rows: Sequence[str], hint: str, marked: int = 0) -> None:
        """Draw these rows, one of them marked."""
        self.border_title = Content(clean_line(title))
        self.border_subtitle = Content(hint)
        self._rows, self._marked = [clean_line(row) for row in rows], marked
        self.display = True
        self.refresh(layout=True)

    def hide(self) -> None:
        """Draw nothing."""
        self.display = False

    def step(self, step: int) -> None:
        """Move the mark, round the ends."""
        if self._rows:
            self._marked = (self._marked + step) % len(self._rows)
            self.refresh()

    @property
    def _window(self) -> tuple[int, int]:
        """The first row that is drawn, and how many there is room for."""
        height = max(1, self.content_size.height)
        return max(0, min(self._marked - height + 1, len(self._rows) - height)), height

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:  # noqa: ARG002
        return min(len(self._rows), MAX_ROWS)

    def render(self) -> Content:
        """The rows around the mark."""
        first, height = self._window
        width = self.content_size.width
        lines = []
        for number, row in enumerate(self._rows[first : first + height], first):
            line = Content(row).truncate(width, ellipsis=True)
            if number == self._marked:
                line = line.pad_right(max(0, width - line.cell_length)).stylize("reverse")
            lines.append(line)
        return Content("\n").join(lines)

    def plain_entries(self) -> list[str]:
        """The rows, for whoever is told the screen line by line."""
        return self._rows

    def choose_entry(self, place: int) -> None:
        """Choose the row at a place, as Enter on it does."""
        self.step(place - self._marked)
        self._chosen()

    def on_click(self, event: Click) -> None:
        """Mark the row that was clicked."""
        event.stop()
        offset = event.get_content_offset(self)
        first, _ = self._window
        if offset is not None and first + offset.y < len(self._rows):
            self._marked = first + offset.y
            self.refresh()
            self._chosen()
