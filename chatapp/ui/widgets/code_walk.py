"""Blocks of code in a chat, from one to the next, whether their messages have widgets or not."""

import re
from functools import lru_cache
from typing import NamedTuple

from textual.geometry import Region

from chatapp.text import strip_controls
from chatapp.ui.markdown.document import StreamingMarkdown
from chatapp.ui.markdown.places import Code
from chatapp.ui.widgets.item import MessageItem
from chatapp.ui.widgets.window import Window

_MAY_HAVE_CODE = re.compile(r"```|~~~|^(?: {4}|\t)|[>*+-](?: {5}|\t)", re.MULTILINE)
"""What every block of code has in its source. Most messages have none and are not read."""


class CodePlace(NamedTuple):
    """A block of code in a chat."""

    message_id: int
    number: int
    """Of those of its message, from 0."""


class CodeBlock(NamedTuple):
    """A block of code with what its name can be guessed from."""

    language: str
    """The first word behind the fence, or ""."""
    source: str
    near: str
    """What stands before it, on the screen."""


def find_blocks(item: MessageItem) -> tuple[CodeBlock, ...]:
    """The blocks of code of a message. What a user writes is shown as written and has none."""
    if item.role == "user" or not _MAY_HAVE_CODE.search(item.content):
        return ()
    return _read(item.content)


@lru_cache(maxsize=8)
def _read(content: str) -> tuple[CodeBlock, ...]:
    document = StreamingMarkdown(strip_controls(content))
    document.finish()
    return tuple(_describe(document, code) for code in document.code_blocks())


def _describe(document: StreamingMarkdown, code: Code) -> CodeBlock:
    before = document.blocks[code.block - 1].texts() if code.block else []
    return CodeBlock(code.language, code.source, before[-1] if before else "")


class CodeCursor:
    """The block of code that is marked in a window of messages."""

    def __init__(self, window: Window) -> None:
        self._window = window
        self.place: CodePlace | None = None

    def number_in(self, message_id: int) -> int | None:
        """The marked block of a message, if it is that one's."""
        place = self.place
        return place.number if place is not None and place.message_id == message_id else None

    def find(self, step: int, start: int) -> CodePlace | None:
        """The next block (1) or the one before (-1); with none marked, the first or last of the
        message `start` or beyond it. None: there is none."""
        branch, place = self._window.branch, self.place
        message_id = start if place is None else place.message_id
        index, count = branch.place_of(message_id), len(find_blocks(branch.item(message_id)))
        number = _end(count, step) if place is None else place.number + step
        while not 0 <= number < count:
            index += step
            if not 0 <= index < len(branch):
                return None
            message_id = branch.id_at(index)
            count = len(find_blocks(branch.item(message_id)))
            number = _end(count, step)
        return CodePlace(message_id, number)

    def move_to(self, place: CodePlace | None) -> None:
        """Mark another block, or none."""
        before, self.place = self.place, place
        for one in (before, place):
            if one is not None and (view := self._window.view(one.message_id)) is not None:
                view.mark_code(self.number_in(one.message_id))

    def region(self) -> Region | None:
        """Where the marked block is drawn, among all the messages."""
        if self.place is None or (view := self._window.view(self.place.message_id)) is None:
            return None
        rows = view.code_rows(self.place.number)
        if rows is None:
            return None
        return Region(0, view.virtual_region.y + rows[0], 1, rows[1] - rows[0] + 1)


def _end(count: int, step: int) -> int:
    """The block that one comes to first; for none, one that is not there."""
    return 0 if step > 0 else count - 1
