"""Several answers to one question, side by side: read, while they are written too, and one kept.

In a wide terminal they stand in columns, as many as are readable, in a narrow one alone; the keys
left and right go through all of them. Nothing is stored here: it is dismissed with the answer that
is kept, or None. The answers go on being written when it is closed.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.events import Click, Key, Resize
from textual.screen import ModalScreen
from textual.widgets import Static

from chatapp.answer import AnswerState
from chatapp.store.rows import MessageRow
from chatapp.ui.items import describe_parts, item_of
from chatapp.ui.keymap import bindings
from chatapp.ui.widgets.end_scroll import EndScroll
from chatapp.ui.widgets.item import MessageItem
from chatapp.ui.widgets.look import Look
from chatapp.ui.widgets.message import MessageView
from chatapp.ui.wording import clean_line

FLUSH_S = 0.04
WIDE = 100
"""Narrower terminals show one answer at a time."""
COLUMN = 38
"""Cells of the narrowest column in which prose and code can still be read."""
_ROOMY = 60
"""From here on the line of keys has room for every word."""
_BY_DIGIT = 9


class Side(EndScroll, can_focus=False):
    """One of the answers."""

    DEFAULT_CSS = """
    Side {
        width: 1fr; height: 1fr; border: round $foreground 30%; scrollbar-size-vertical: 1;
        border-title-color: $text-muted;
        &.-chosen { border: round $primary; border-title-color: $text; }
        & > MessageView { margin: 0; }
    }
    """

    def __init__(self, row: MessageRow, look: Look, choose: Callable[[int], object]) -> None:
        """`choose` is called with the message when it is clicked."""
        super().__init__()
        self.row = row
        self.view = MessageView(_item(row), look)
        self._choose = choose

    def compose(self) -> ComposeResult:
        """The message."""
        yield self.view

    def on_mount(self) -> None:
        """What is written is followed, what was written is read from its beginning."""
        if self.row.status != "streaming":
            self._leave_end()

    @property
    def number(self) -> int:
        """Which version of the answer it is, from 1."""
        return self.row.sibling_index + 1

    def put(self, row: MessageRow) -> None:
        """This is how it stands now."""
        self.row = row
        self.view.set_item(_item(row))

    def on_click(self, event: Click) -> None:
        """Mark the answer that was clicked."""
        if event.button == 1:
            self._choose(self.row.id)


class SidesScreen(ModalScreen[int | None]):
    """Dismissed with the answer to keep, or None: what is shown stays."""

    CSS_PATH = "sides.tcss"
    BINDINGS: ClassVar[list[BindingType]] = bindings("sides")

    def __init__(
        self,
        rows: Sequence[MessageRow],
        *,
        shown: int,
        question: str,
        look: Look,
        keys: Callable[[str], str],
    ) -> None:
        """`shown` is the answer that the chat shows; `keys` gives the keys of a row of the keymap,
        for people."""
        super().__init__()
        self._question = clean_line(question)
        self._look = replace(look, measure=0)
        self._keys = keys
        self._shown = shown
        self._sides = [Side(row, self._look, self._mark) for row in rows]
        self._marked = next((at for at, row in enumerate(rows) if row.id == shown), 0)
        self._first = self._marked
        """The first that is in view."""
        self._unflushed: set[Side] = set(self._sides)

    def compose(self) -> ComposeResult:
        """The answers, and what is going on."""
        with Vertical(id="sides"):
            yield Horizontal(*self._sides, id="sides-row")
            yield Static("", id="sides-note", markup=False)

    def on_mount(self) -> None:
        """Begin to draw what is written, a few times a second."""
        self.set_interval(FLUSH_S, self._flush)
        self._lay_out()

    def on_resize(self, _event: Resize) -> None:
        """Show as many answers beside each other as the new width holds."""
        self._lay_out()

    @property
    def marked(self) -> MessageRow:
        """The answer that Enter keeps."""
        return self._sides[self._marked].row

    @property
    def in_view(self) -> list[Side]:
        """The answers that are seen."""
        return [side for side in self._sides if side.display]

    @property
    def sides(self) -> Sequence[Side]:
        """All of them, the oldest first."""
        return self._sides

    # What becomes of them

    def write(self, message_id: int, state: AnswerState) -> None:
        """Show what an answer that is being written says by now."""
        if (side := self._find(message_id)) is not None and side.row.status == "streaming":
            side.view.write(state.text, state.reasoning, describe_parts(state.parts))
            self._unflushed.add(side)

    def set_progress(self, text: str) -> None:
        """Say how far the prompt is read, where no word has come yet."""
        for side in self._sides:
            if side.row.status == "streaming":
                side.view.set_progress(text)

    def put(self, rows: Sequence[MessageRow]) -> None:
        """How they stand now; one that is not among them has gone, and at least one is."""
        marked = self.marked.id
        by_id = {row.id: row for row in rows}
        for side in self._sides:
            if side.row.id in by_id:
                side.put(by_id[side.row.id])
                self._unflushed.add(side)
            else:
                side.remove()
        self._sides = [side for side in self._sides if side.row.id in by_id]
        ids = [side.row.id for side in self._sides]
        self._marked = ids.index(marked) if marked in ids else 0
        self._lay_out()

    def _find(self, message_id: int) -> Side | None:
        return next((side for side in self._sides if side.row.id == message_id), None)

    def _flush(self) -> None:
        for side in list(self._unflushed):
            if side.view.is_attached:
                side.view.flush()
            if not side.view.is_behind:
                self._unflushed.discard(side)

    # Which are seen

    def _lay_out(self) -> None:
        count = len(self._sides)
        wide = self.size.width >= WIDE
        fit = min(max(self.size.width // COLUMN, 2), count) if wide else 1
        self._first = max(min(self._first, self._marked), self._marked - fit + 1, 0)
        self._first = min(self._first, count - fit)
        for at, side in enumerate(self._sides):
            side.display = self._first <= at < self._first + fit
            side.set_class(at == self._marked, "-chosen")
            place = f"{side.number} of {count}" if fit < count else str(side.number)
            side.border_title = f"{place} · shown" if side.row.id == self._shown else place
        if self.is_mounted:
            self._describe(count)

    def _describe(self, count: int) -> None:
        box = self.query_one("#sides", Vertical)
        what = "1 answer" if count == 1 else f"{count} answers"
        box.border_title = f"{what} · {self._question}" if self._question else what
        keep, left, right = map(self._keys, ("keep_answer", "side_left", "side_right"))
        digits = f" or {self._sides[0].number}–{self._sides[-1].number}" if count > 1 else ""
        marks = f"{left} {right}" + (" marks" if self.size.width >= _ROOMY else "")
        back = f"{self._keys('leave_sides')} closes"
        box.border_subtitle = f"{keep}{digits} keeps · {marks} · {back}"
        writing = any(side.row.status == "streaming" for side in self._sides)
        note = self.query_one("#sides-note", Static)
        note.display = writing
        note.update(f"being written – {self._keys('interrupt')} stops all")

    # Keys

    def _mark(self, message_id: int) -> None:
        self._marked = [side.row.id for side in self._sides].index(message_id)
        self._lay_out()

    def on_key(self, event: Key) -> None:
        """A digit keeps the answer of that number."""
        if not (event.character and event.character.isdecimal()):
            return
        event.stop()
        for side in self._sides:
            if side.number == int(event.character) <= _BY_DIGIT:
                self.dismiss(side.row.id)

    def action_keep_answer(self) -> None:
        """Close, and have the chat show the marked answer."""
        self.dismiss(self.marked.id)

    def action_step_side(self, step: int) -> None:
        """Mark the next one, or the one before."""
        self._marked = max(0, min(self._marked + step, len(self._sides) - 1))
        self._lay_out()

    def action_scroll_side(self, lines: int) -> None:
        """Scroll the marked one by lines."""
        side = self._sides[self._marked]
        side.scroll_relative(y=lines, animate=False)
        if lines < 0:
            side.release_anchor()

    def action_page_side(self, step: int) -> None:
        """Scroll the marked one by a page."""
        page = self._sides[self._marked].container_size.height - 1
        self.action_scroll_side(step * max(page, 1))

    def action_fold_side(self) -> None:
        """Show or hide what was thought before the marked one."""
        self._sides[self._marked].view.action_fold()

    def action_leave_sides(self) -> None:
        """Close; the chat shows what it showed."""
        self.dismiss(None)


def _item(row: MessageRow) -> MessageItem:
    """The answer without what a click could do here."""
    item = replace(item_of(row), sibling_count=1)
    if row.status not in ("stopped", "interrupted"):
        return item
    note = f"{row.status} · {item.note}" if item.note else row.status
    return replace(item, status="complete", note=note)
