"""Text as it was written, line by line: what `BlockReader` does for Markdown, without Markdown."""

import sys

from chatapp.ui.markdown.blocks import Block
from chatapp.ui.markdown.flow import Flow, Line, Run


class RawBlock(Block):
    """A line of the source, wrapped."""

    kind = "raw"

    def __init__(self, text: str) -> None:
        super().__init__()
        self._text = ""
        self._flow = Flow()
        self.extend(text)

    def extend(self, text: str) -> None:
        """More of the line."""
        self._text += text
        self._flow.set_tail([Run(self._text.expandtabs(4))])

    def mark(self) -> object:
        return self._text

    def restore(self, mark: object) -> None:
        if mark != self._text:
            self._text = ""
            self.extend(str(mark))

    def watch(self) -> None:
        self._flow.steady = sys.maxsize

    def steady(self, width: int) -> int:
        return min(self._flow.steady, self.height(width))

    def flows(self) -> list[Flow]:
        return [self._flow]

    def height(self, width: int) -> int:
        return self._flow.height(width)

    def line(self, y: int, width: int) -> Line:
        runs, joint = self._flow.line(y, width)
        return Line(runs, 0, joint)


class RawReader:
    """Makes a block of every line."""

    in_table = False

    def __init__(self, blocks: list[Block]) -> None:
        self._blocks = blocks
        self.line_number = 0
        """Of the line that is read, in the source."""

    def save(self) -> object:
        """The state between two lines, for `restore`."""
        return len(self._blocks), self._blocks[-1].mark() if self._blocks else None

    def restore(self, saved: object) -> None:
        """Take back what was read since `save`; `None`: nothing to take back."""
        if saved is not None:
            assert isinstance(saved, tuple)
            count, mark = saved
            del self._blocks[count:]
            if self._blocks:
                self._blocks[-1].restore(mark)
        if self._blocks:
            self._blocks[-1].watch()

    def is_undecided(self, text: str) -> bool:  # noqa: ARG002 - as in BlockReader
        """Nothing is: a line is what it is."""
        return False

    def read_line(self, text: str, *, complete: bool = True) -> None:  # noqa: ARG002
        """A line, without its line break."""
        block = RawBlock(text)
        block.source_line = self.line_number
        self._blocks.append(block)

    def continue_line(self, text: str) -> None:
        """More of the line that was read last."""
        block = self._blocks[-1]
        assert isinstance(block, RawBlock)
        block.extend(text)

    def settle(self) -> None:
        """What was read stays."""

    def close(self) -> None:
        """Nothing more is added."""
