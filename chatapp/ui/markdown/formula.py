r"""Mathematics that stands in lines of its own: `$$`, `\[`, `\begin{align}`, up to what closes it.

Nothing inside is Markdown: neither a `+` at the start of a line nor a backslash. A blank line ends
it as well, as in TeX; what was not closed is shown as it was written.
"""

import re
import sys

from chatapp.ui.markdown.blocks import PIECE, Block, Lead
from chatapp.ui.markdown.flow import Flow, Line, Run
from chatapp.ui.markdown.inline import write_formula
from chatapp.ui.markdown.maths import closing_of

_MAX_LINES = 100
_PUNCTUATION = re.compile(r"\s*[.,;:!?)]*\s*")


def opens_formula(line: str) -> bool:
    """Whether `line` is a formula, or begins one that goes on below."""
    line = line.strip()
    opening = closing_of(line)
    if opening is None:
        return False
    start, closing = opening
    end = line.find(closing, start)
    if end >= 0:
        return _PUNCTUATION.fullmatch(line, end + len(closing)) is not None and end > start
    return not line[start:].strip() or re.search(r"[\\^_=+<>{}]", line[start:]) is not None


class FormulaBlock(Block):
    """Lines of one formula."""

    kind = "formula"

    def __init__(self, lead: Lead, gap: int, first: str) -> None:
        super().__init__(lead, gap)
        opening = closing_of(first)
        assert opening is not None
        self._start, self._closing = opening
        self._lines = [first]
        self._flow = Flow()
        self._dirty = True

    @property
    def source(self) -> str:
        """The lines as they were written."""
        return "\n".join(self._lines)

    @property
    def is_whole(self) -> bool:
        """Whether it is closed."""
        return self._end() >= 0

    @property
    def is_full(self) -> bool:
        """Whether it is too long to be one formula."""
        return len(self._lines) >= _MAX_LINES or len(self._lines[-1]) > 4 * PIECE

    def split_line(self, text: str) -> tuple[str, str]:
        """The part of the next line that belongs to the formula, and what stands behind it."""
        end = text.find(self._closing)
        if end < 0:
            return text, ""
        punctuation = _PUNCTUATION.match(text, end + len(self._closing))
        end = punctuation.end() if punctuation else len(text)
        return text[:end].rstrip(), text[end:]

    def add_line(self, text: str) -> None:
        """The next line."""
        self._lines.append(text)
        self._dirty = True

    def extend_line(self, text: str) -> None:
        """More of the last line."""
        self._lines[-1] += text
        self._dirty = True

    def mark(self) -> object:
        return len(self._lines), self._lines[-1]

    def restore(self, mark: object) -> None:
        assert isinstance(mark, tuple)
        if mark != self.mark():
            count, last = mark
            del self._lines[count:]
            self._lines[-1] = last
            self._dirty = True

    def watch(self) -> None:
        self._read().steady = sys.maxsize

    def steady(self, width: int) -> int:
        return min(self._read().steady, self.height(width))

    def flows(self) -> list[Flow]:
        return [self._read()]

    def height(self, width: int) -> int:
        return self._read().height(self.inner_width(width))

    def line(self, y: int, width: int) -> Line:
        runs, joint = self._read().line(y, self.inner_width(width))
        return self.with_lead(y, Line(runs, 0, joint), width)

    def _end(self) -> int:
        line = self._lines[-1]
        start = self._start if len(self._lines) == 1 else 0
        end = line.find(self._closing, start)
        return end if end >= 0 and _PUNCTUATION.fullmatch(line, end + len(self._closing)) else -1

    def _read(self) -> Flow:
        if self._dirty:
            self._dirty = False
            self._flow.set_tail(self._runs())
        return self._flow

    def _runs(self) -> list[Run]:
        source, end = self.source, self._end()
        if end < 0:
            return [Run(source, "code")]
        end += len(source) - len(self._lines[-1])
        behind = end + len(self._closing)
        environment = self._closing.startswith("\\end")
        body = source[:behind] if environment else source[self._start : end]
        return [write_formula(source[:behind], body), Run(source[behind:].rstrip())]
