"""A list of conversations by day, one row each, of which only those in view are drawn.

Costs nothing per row that is not seen: ten thousand rows are taken over in a few milliseconds,
where Textual's OptionList held up the event loop for 0.4 s. Letters that are typed here are for
the filter above.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Literal

from rich.segment import Segment
from rich.style import Style
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.events import Click, Key, MouseMove, Paste
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

from chatapp.store.rows import ConversationRow
from chatapp.ui.keymap import bindings
from chatapp.ui.widgets.chat_groups import Line, lay_out, short_when
from chatapp.ui.widgets.filter_input import is_typed
from chatapp.ui.wording import clean_line, when_text

Wish = Literal["delete", "tag", "pin", "archive"]


class ChatList(ScrollView, can_focus=True):
    """Shows `rows`; one is highlighted, one may be open, any number may be marked."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "chat-list--highlighted",
        "chat-list--hovered",
        "chat-list--heading",
        "chat-list--sign",
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
        & > .chat-list--heading { color: $text-muted; text-style: italic; }
        & > .chat-list--sign { color: $text-accent; text-style: bold; }
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
        Binding("escape", "leave", "Back", show=False),
        *bindings("sidebar"),
    ]

    highlighted: reactive[int | None] = reactive(None)
    """Place of the row that the keys act on."""

    @dataclass
    class Chosen(Message):
        """Open this conversation."""

        conversation_id: int

    @dataclass
    class Asked(Message):
        """Do something with these conversations: the marked ones, else the highlighted one."""

        what: Wish
        conversation_ids: tuple[int, ...]

    class UndeleteRequested(Message):
        """Bring back what was deleted last."""

    class ArchiveRequested(Message):
        """Show the archive, or the chats again."""

    @dataclass
    class Typed(Message):
        """Text for the filter; empty: go there."""

        text: str

    class Left(Message):
        """Escape, with nothing marked."""

    class EndSeen(Message):
        """The last row has come into view, or is highlighted."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self._rows: list[ConversationRow] = []
        self._lines: list[Line] = []
        self._line_of: list[int] = []
        """The line of each row."""
        self._open_id: int | None = None
        self._hovered: int | None = None
        self._marked: set[int] = set()
        self.answering: int | None = None
        """The conversation that an answer is being written in."""
        self.drafts: Collection[int] = ()
        """Conversations in which something was begun and not sent."""
        self.filtered = False
        """The filter is not empty."""
        self.empty_text = ""
        """What is said where there is no row."""

    @property
    def rows(self) -> Sequence[ConversationRow]:
        """What is shown, from top to bottom."""
        return self._rows

    @property
    def chosen_id(self) -> int | None:
        """The highlighted conversation."""
        return None if self.highlighted is None else self._rows[self.highlighted].id

    @property
    def selected(self) -> tuple[int, ...]:
        """What the keys act on: the marked conversations, else the highlighted one."""
        marked = tuple(row.id for row in self._rows if row.id in self._marked)
        return marked or (() if self.chosen_id is None else (self.chosen_id,))

    @property
    def marked(self) -> tuple[int, ...]:
        """The marked conversations, from top to bottom."""
        return tuple(row.id for row in self._rows if row.id in self._marked)

    def below(self, gone: Collection[int]) -> int | None:
        """The first conversation below the open one that is none of these, else the last above."""
        ids = [row.id for row in self._rows]
        if self._open_id not in ids:
            return None
        place = ids.index(self._open_id)
        near = [*ids[place:], *reversed(ids[:place])]
        return next((one for one in near if one not in gone), None)

    def show(self, rows: list[ConversationRow], open_id: int | None) -> None:
        """Show these rows. The highlight stays with its conversation while the list has the focus;
        else it goes to the open one."""
        stays = self.has_focus and self.highlighted is not None
        kept = self.chosen_id if stays else open_id
        place = next((place for place, row in enumerate(rows) if row.id == kept), None)
        if place is None and rows and (self.has_focus or self.filtered):
            place = min(self.highlighted or 0, len(rows) - 1)
        moved = place != self.highlighted
        self._rows, self._open_id = rows, open_id
        self._lines = lay_out(rows, datetime.now().astimezone())
        self._line_of = [at for at, line in enumerate(self._lines) if isinstance(line, int)]
        self._marked &= {row.id for row in rows} if self._marked else set()
        self.virtual_size = Size(1, len(self._lines))
        self.set_reactive(ChatList.highlighted, place)
        if moved:
            self._show_highlighted()
        self.refresh()

    @property
    def shows_end(self) -> bool:
        """The last row is in view without scrolling."""
        return 0 < len(self._lines) <= self.size.height

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
            at = self._line_of[self.highlighted]
            heading = int(at > 0 and isinstance(self._lines[at - 1], str))
            row = Region(0, at - heading, 1, 1 + heading)
            self.scroll_to_region(row, animate=False, force=True, immediate=True)

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        if new_value > old_value and new_value >= self.max_scroll_y:
            self.post_message(self.EndSeen())

    # Drawing -----------------------------------------------------------------------------------

    def render_line(self, y: int) -> Strip:
        width, at = self.scrollable_content_region.width, y + self.scroll_offset.y
        base = self.rich_style
        if at >= len(self._lines):
            text = self.empty_text if at == 0 else ""
            look = base + self.get_component_rich_style("chat-list--heading")
            return Strip([Segment(text, look)]).adjust_cell_length(width, base)
        line = self._lines[at]
        if isinstance(line, str):
            look = base + self.get_component_rich_style("chat-list--heading")
            return Strip([Segment(line, look)]).adjust_cell_length(width, base)
        return self._draw_row(line, width, base)

    def _draw_row(self, place: int, width: int, base: Style) -> Strip:
        row = self._rows[place]
        sign = self._sign(row)
        look = base + self.get_component_rich_style("chat-list--sign", partial=True)
        if place == self.highlighted:
            base += self.get_component_rich_style("chat-list--highlighted")
            look = base
        elif place == self._hovered:
            base += self.get_component_rich_style("chat-list--hovered")
            look = base + self.get_component_rich_style("chat-list--sign", partial=True)
        if row.id == self._open_id:
            base += Style(bold=True)
        title = Content(clean_line(row.title) or "Untitled")
        room = max(width - 2, 1)
        when = short_when(row, datetime.now().astimezone())
        tags = "".join(f" #{tag}" for tag in row.tags)
        tail = ""
        for more in (f" {when}", f"{tags} {when}"):  # what there is room for beside the title
            if title.cell_length + Content(more).cell_length < room:
                tail = more
        title = title.truncate(room, ellipsis=True)
        gap = " " * (room - title.cell_length - Content(tail).cell_length)
        segments = [
            Segment(f"{sign} ", look),
            Segment(title.plain + gap, base),
            Segment(tail, base + Style(dim=True)),
        ]
        return Strip(segments).adjust_cell_length(width, base)

    def _sign(self, row: ConversationRow) -> str:
        """What stands before a title: marked, answering, draft, open."""
        if row.id in self._marked:
            return "✓"
        if row.id == self.answering:
            return "●"
        if row.id in self.drafts and row.id != self._open_id:
            return "✎"
        return "▸" if row.id == self._open_id else " "

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

    def action_mark_chat(self) -> None:
        """Mark the highlighted chat and go on, or take its mark away."""
        if (chosen := self.chosen_id) is not None:
            self._marked ^= {chosen}
            self.highlighted = (self.highlighted or 0) + 1
            self.refresh()

    def action_extend(self, step: int) -> None:
        """Mark the highlighted chat and the one above or below, and go there."""
        if (chosen := self.chosen_id) is not None:
            self._marked.add(chosen)
            self.highlighted = (self.highlighted or 0) + step
            self._marked.add(self.chosen_id or chosen)
            self.refresh()

    def action_mark_all(self) -> None:
        """Mark every chat that is loaded."""
        self._marked = {row.id for row in self._rows}
        self.refresh()

    def unmark(self) -> None:
        """No chat is marked any more."""
        self._marked = set()
        self.refresh()

    def action_leave(self) -> None:
        """Take the marks away, or leave the list."""
        if self._marked:
            self.unmark()
        else:
            self.post_message(self.Left())

    def _ask(self, what: Wish) -> None:
        if chosen := self.selected:
            self.post_message(self.Asked(what, chosen))

    def action_delete(self) -> None:
        """Ask for chats to be deleted."""
        self._ask("delete")

    def action_tag(self) -> None:
        """Ask for the tags of the chosen chats to be changed."""
        self._ask("tag")

    def action_pin(self) -> None:
        """Ask for a pin, or for its end."""
        self._ask("pin")

    def action_archive(self) -> None:
        """Ask for chats to be archived, or taken out."""
        self._ask("archive")

    def action_show_archive(self) -> None:
        """Ask for the archive."""
        self.post_message(self.ArchiveRequested())

    def action_undelete(self) -> None:
        """Ask for what was deleted last."""
        self.post_message(self.UndeleteRequested())

    def action_filter(self) -> None:
        """Ask for the filter field."""
        self.post_message(self.Typed(""))

    def on_key(self, event: Key) -> None:
        """Letters are for the filter; in a list that is filtered, so is the letter of undo."""
        of_filter = self.filtered and event.character is not None and event.character.isalpha()
        if is_typed(self, event) or of_filter:
            event.stop()
            event.prevent_default()
            self.post_message(self.Typed(event.character or ""))

    def on_paste(self, event: Paste) -> None:
        """So is a paste."""
        event.stop()
        self.post_message(self.Typed(event.text))

    def _place_at(self, y: int) -> int | None:
        at = y + self.scroll_offset.y
        line = self._lines[at] if 0 <= at < len(self._lines) else None
        return line if isinstance(line, int) else None

    def on_click(self, event: Click) -> None:
        """A click opens the chat under it; with Ctrl it marks it."""
        place = self._place_at(event.y)
        if place is None:
            return
        self.highlighted = place
        if event.ctrl:
            self._marked ^= {self._rows[place].id}
            self.refresh()
        else:
            self.action_choose()

    def on_mouse_move(self, event: MouseMove) -> None:
        self._hovered = self._place_at(event.y)
        self.refresh()

    def on_leave(self) -> None:
        self._hovered = None
        self.refresh()

    # Told instead of drawn ---------------------------------------------------------------------

    def plain_entries(self) -> list[str]:
        """The titles, with what is drawn beside them."""
        now = datetime.now().astimezone()
        return [
            f"{clean_line(row.title) or 'Untitled'}, {when_text(row.updated_at, now)}"
            + (", open" if row.id == self._open_id else "")
            + (", pinned" if row.pinned else "")
            + (", marked" if row.id in self._marked else "")
            + "".join(f" #{tag}" for tag in row.tags)
            + (", here" if self.has_focus and row.id == self.chosen_id else "")
            for row in self._rows
        ]

    def choose_entry(self, place: int) -> None:
        """Open a chat by its place."""
        self.highlighted = place
        self.action_choose()
