"""Text that is written while one looks at it: filtered as one stream, read as Markdown in slices,
or shown as it was written.

`show` takes the whole text as it is now. What is new at its end is read at a flat cost; where the
end reads otherwise, no more than the open line is read again if that is enough, else all of it.
"""

from chatapp.text import ControlFilter, strip_controls
from chatapp.ui.markdown.document import StreamingMarkdown

SLICE = 16_384
"""Characters read at once; the rest waits for the next `read` (16 kB of prose take about 25 ms)."""

_LITTLE = 1_024
"""After reading more than this there is no time left for colouring."""


class GrowingText:
    """One text on the screen, and the document that is made of it."""

    def __init__(
        self, text: str = "", *, measure: int = 0, centred: bool = False, raw: bool = False
    ) -> None:
        self._raw = raw
        self._measure = measure
        self._centred = centred
        self._start_again()
        self.show(text)

    def _start_again(self) -> None:
        self.text = ""
        """All of it, as it came."""
        self.document = StreamingMarkdown(
            measure=self._measure, centred=self._centred, raw=self._raw
        )
        self._filter = ControlFilter()
        self._waiting = ""

    @property
    def is_behind(self) -> bool:
        """Whether the next `read` has something to do: text to read, code to colour."""
        return bool(self._waiting) or self.document.is_behind

    def show(self, text: str) -> None:
        """From now on it reads `text`; drawn after the next `read`."""
        if not text.startswith(self.text) and not self._take_back(text):
            self._start_again()
        self._waiting += self._filter.feed(text[len(self.text) :])
        self.text = text

    @property
    def raw(self) -> bool:
        """Whether it is shown as it was written."""
        return self._raw

    def set_raw(self, raw: bool) -> None:
        """Show it as it was written, or as Markdown; drawn after the next `read`, by another
        `document`."""
        if raw != self._raw:
            self._raw, text = raw, self.text
            self._start_again()
            self.show(text)

    def set_measure(self, measure: int, *, centred: bool = False) -> None:
        """How long a line of prose may be (0: as wide as the window), and whether it stands in the
        middle. Nothing is read again."""
        self._measure = self.document.measure = measure
        self._centred = self.document.centred = centred

    def row_of(self, offset: int, width: int) -> int:
        """The row of `document` that shows character `offset` of `text`."""
        return self.document.row_of(len(strip_controls(self.text[:offset])), width)

    def read(self) -> None:
        """Read what waits, up to `SLICE` characters."""
        text, self._waiting = self._waiting[:SLICE], self._waiting[SLICE:]
        self.document.feed(text)
        if len(text) <= _LITTLE:
            self.document.colour_more()

    def _take_back(self, text: str) -> bool:
        """Drop the end that `text` does not begin with, if it lies in the open line."""
        line = self.text.rpartition("\n")[2]
        kept = len(self.text) - len(line)
        if self._waiting or text[:kept] != self.text[:kept] or strip_controls(line) != line:
            return False
        pairs = zip(line, text[kept:], strict=False)
        same = next((at for at, (one, other) in enumerate(pairs) if one != other), None)
        at = min(len(line), len(text) - kept) if same is None else same
        if not self.document.take_back(len(line) - at):
            return False
        self.text = self.text[: kept + at]
        return True
