"""Text that is written while one looks at it: filtered as one stream, read as Markdown in slices.

`show` takes the whole text as it is now. What is new at its end is read at a flat cost; where the
end reads otherwise, no more than the open line is read again if that is enough, else all of it.
"""

from chatapp.text import ControlFilter, strip_controls
from chatapp.ui.markdown.document import StreamingMarkdown

SLICE = 16_384
"""Characters read at once; the rest waits for the next `read` (16 kB of prose take about 25 ms)."""


class GrowingText:
    """One text on the screen, and the document that is made of it."""

    def __init__(self, text: str = "") -> None:
        self.text = ""
        """All of it, as it came."""
        self.document = StreamingMarkdown()
        self._filter = ControlFilter()
        self._waiting = ""
        self.show(text)

    @property
    def is_behind(self) -> bool:
        """Whether text waits for the next `read`."""
        return bool(self._waiting)

    def show(self, text: str) -> None:
        """From now on it reads `text`; drawn after the next `read`."""
        if not text.startswith(self.text) and not self._take_back(text):
            self.text = ""
            self.document = StreamingMarkdown()
            self._filter = ControlFilter()
            self._waiting = ""
        self._waiting += self._filter.feed(text[len(self.text) :])
        self.text = text

    def read(self) -> None:
        """Read what waits, up to `SLICE` characters."""
        text, self._waiting = self._waiting[:SLICE], self._waiting[SLICE:]
        self.document.feed(text)

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
