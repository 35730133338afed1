"""A list of conversations, one row each, of which only those in view are drawn.

Costs nothing per row that is not seen: ten thousand rows are taken over in a few milliseconds,
where Textual's OptionList held up the event loop for 0.4 s.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.events import Click, MouseMove
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

from chatapp.store.rows import ConversationRow
from chatapp.ui.keymap import bindings
from chatapp.ui.wording import clean_line, when_text


class ChatList(ScrollView, can_focus=True):
    """Shows `rows`; one of them is highlighted, one may be open."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "chat-list--highlighted",
        "chat-list--hovered",
    }

    DEFAULT_CSS = """
    ChatList {
        background: $surface; overflow-x: hidden;
        & > .chat-list--highlighted {
            color: $block-cursor-blurred-foreground; background: $block-cursor-blurred-background;
        }
        &:focus > .chat-list--highlighted {
            color: $block-cursor-foreground; background: $block-cursor-background;
        }
        & > .chat-list--hovered { background: $block-hover-background; }
    }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "move(-1)", "Chat above", show=False),
        Binding("down", "move(1)", "Chat below", show=False),
        Binding("pageup", "page(-1)", "Page up", show=False),
        Binding("pagedown", "page(1)", "Page down", show=False),
        Binding("home", "first", "First chat", show=False),
        Binding("end", "last", "Last chat", show=False),
        Binding("enter", "choose", "Open", show=False),
        *bindings("sidebar"),
    ]

    highlighted: reactive[int | None] = reactive(None)
    """Place of the row that the keys act on."""

    @dataclass
    class Chosen(Message):
        """Open this conversation."""

        conversation_id: int

    @dataclass
    class DeleteRequested(Message):
        """Delete this conversation."""

        conversation_id: int

    class UndeleteRequested(Message):
        """Bring back what was deleted last."""

    class FilterRequested(Message):
        """Go to the filter field."""

    class EndSeen(Message):
        """The last row has come into view, or is highlighted."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self._rows: list[ConversationRow] = []
        self._open_id: int | None = None
        self._hovered: int | None = None

    @property
    def rows(self) -> Sequence[ConversationRow]:
        """What is shown, from top to bottom."""
        return self._rows

    @property
    def chosen_id(self) -> int | None:
        """The highlighted conversation."""
        return None if self.highlighted is None else self._rows[self.highlighted].id

    def show(self, rows: list[ConversationRow], open_id: int | None) -> None:
        """Show these rows. The highlight stays with its conversation while the list has the focus;
        else it goes to the open one."""
        stays = self.has_focus and self.highlighted is not None
        kept = self.chosen_id if stays else open_id
        place = next((place for place, row in enumerate(rows) if row.id == kept), None)
        if place is None and self.has_focus and rows:
            place = min(self.highlighted or 0, len(rows) - 1)
        moved = place != self.highlighted
        self._rows, self._open_id = rows, open_id
        self.virtual_size = Size(1, len(rows))
        self.set_reactive(ChatList.highlighted, place)
        if moved:
            self._show_highlighted()
        if 0 < len(rows) <= self.size.height:
            self.post_message(self.EndSeen())
        self.refresh()

    def validate_highlighted(self, place: int | None) -> int | None:
        if place is None or not self._rows:
            return None
        return max(0, min(place, len(self._rows) - 1))

    def watch_highlighted(self) -> None:
        self._show_highlighted()
        if self.highlighted is not None and self.highlighted == len(self._rows) - 1:
            self.post_message(self.EndSeen())

    def _show_highlighted(self) -> None:
        if self.highlighted is not None:
            row = Region(0, self.highlighted, 1, 1)
            self.scroll_to_region(row, animate=False, force=True, immediate=True)

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        if new_value > old_value and new_value >= self.max_scroll_y:
            self.post_message(self.EndSeen())

    # Drawing -----------------------------------------------------------------------------------

    def render_line(self, y: int) -> Strip:
        width, place = self.scrollable_content_region.width, y + self.scroll_offset.y
        base = self.rich_style
        if place >= len(self._rows):
            return Strip.blank(width, base)
        row = self._rows[place]
        if place == self.highlighted:
            base += self.get_component_rich_style("chat-list--highlighted")
        elif place == self._hovered:
            base += self.get_component_rich_style("chat-list--hovered")
        if row.id == self._open_id:
            base += Style(bold=True)
        when = when_text(row.updated_at, datetime.now().astimezone())
        title = Content(clean_line(row.title) or "Untitled")
        title = title.truncate(max(width - len(when) - 1, 1), ellipsis=True)
        gap = " " * max(width - title.cell_length - len(when), 1)
        segments = [Segment(title.plain + gap, base), Segment(when, base + Style(dim=True))]
        return Strip(segments).adjust_cell_length(width, base)

    # Keys and mouse ----------------------------------------------------------------------------

    def action_move(self, step: int) -> None:
        """To the row above or below; from an end to the other."""
        if self._rows:
            first = 0 if step > 0 else len(self._rows) - 1
            place = first if self.highlighted is None else self.highlighted + step
            self.highlighted = place % len(self._rows)

    def action_page(self, step: int) -> None:
        """A page up or down."""
        self.highlighted = (self.highlighted or 0) + step * max(self.size.height - 1, 1)

    def action_first(self) -> None:
        """To the first row."""
        self.highlighted = 0

    def action_last(self) -> None:
        """To the last row that is loaded."""
        self.highlighted = len(self._rows) - 1

    def action_choose(self) -> None:
        """Open the highlighted chat."""
        if (chosen := self.chosen_id) is not None:
            self.post_message(self.Chosen(chosen))

    def action_delete(self) -> None:
        """Ask for the highlighted chat to be deleted."""
        if (chosen := self.chosen_id) is not None:
            self.post_message(self.DeleteRequested(chosen))

    def action_undelete(self) -> None:
        """Ask for the last deleted chat."""
        self.post_message(self.UndeleteRequested())

    def action_filter(self) -> None:
        """Ask for the filter field."""
        self.post_message(self.FilterRequested())

    def _place_at(self, y: int) -> int | None:
        place = y + self.scroll_offset.y
        return place if place < len(self._rows) else None

    def on_click(self, event: Click) -> None:
        """A click opens the chat under it."""
        place = self._place_at(event.y)
        if place is not None:
            self.highlighted = place
            self.action_choose()

    def on_mouse_move(self, event: MouseMove) -> None:
        self._hovered = self._place_at(event.y)
        self.refresh()

    def on_leave(self) -> None:
        self._hovered = None
        self.refresh()
