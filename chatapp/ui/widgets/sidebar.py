"""The list of conversations: newest first, paged, filtered by title, delete with undo.

Reads titles only, never messages. What is chosen or asked for goes to the screen as a message.
"""

import asyncio
from dataclasses import dataclass
from datetime import datetime

from textual import on, work
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.widgets import Input, OptionList
from textual.widgets.option_list import Option

from chatapp.errors import ChatAppError
from chatapp.store import Store
from chatapp.store.rows import ConversationRow
from chatapp.ui.keymap import bindings
from chatapp.ui.messages import Problem
from chatapp.ui.wording import clean_line

PAGE = 100

ENTRY_CELLS = 29
"""Width of the sidebar without its border, margins and scrollbar."""


class ChatList(OptionList):
    """The list itself; its keys are bound here so that the filter keeps its own."""

    BINDINGS = bindings("sidebar")

    def action_delete(self) -> None:
        """Ask for the highlighted chat to be deleted."""
        chosen = self.chosen_id
        if chosen is not None:
            self.post_message(Sidebar.DeleteRequested(chosen))

    def action_undelete(self) -> None:
        """Ask for the last deleted chat."""
        self.post_message(Sidebar.UndeleteRequested())

    def action_filter(self) -> None:
        """Go to the filter field."""
        self.screen.query_one("#chat-filter", Input).focus()

    @property
    def chosen_id(self) -> int | None:
        """The highlighted conversation."""
        option = self.highlighted_option
        return int(option.id) if option is not None and option.id else None


class Sidebar(Vertical):
    """Filter and list."""

    DEFAULT_CSS = """
    Sidebar { width: 32; background: $surface; border-right: solid $panel; }
    Sidebar Input { border: none; height: 1; padding: 0 1; background: $panel; }
    Sidebar ChatList { border: none; padding: 0 0 0 1; height: 1fr; background: $surface;
        scrollbar-size-vertical: 1; scrollbar-gutter: stable; }
    Sidebar ChatList:focus { border: none; background-tint: $foreground 0%; }
    """

    @dataclass
    class Chosen(Message):
        """Open this conversation."""

        conversation_id: int

    @dataclass
    class DeleteRequested(Message):
        """Delete this conversation."""

        conversation_id: int

    @dataclass
    class UndeleteRequested(Message):
        """Bring back what was deleted last."""

    def __init__(self, store: Store, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._store = store
        self._count = 0
        self._complete = False
        self._open_id: int | None = None

    def compose(self) -> ComposeResult:
        """Filter above the list."""
        yield Input(placeholder="Filter chats", id="chat-filter", compact=True)
        yield ChatList(id="chat-list", markup=False)

    @property
    def chats(self) -> ChatList:
        """The list of conversations."""
        return self.query_one(ChatList)

    def show_open(self, conversation_id: int | None) -> None:
        """Read the list anew, with this conversation highlighted."""
        self._open_id = conversation_id
        self.reload()

    @work(exclusive=True, group="sidebar")
    async def reload(self) -> None:
        """Read the first page, or as much as was shown."""
        keep = self.chats.chosen_id if self.chats.has_focus else self._open_id
        index = self.chats.highlighted
        rows = await self._read(0, max(PAGE, self._count))
        if not self.query(ChatList):  # the app was left meanwhile
            return
        self.chats.clear_options()
        self._append(rows)
        ids = [row.id for row in rows]
        if keep in ids:
            self.chats.highlighted = ids.index(keep)
        elif ids and self.chats.has_focus:
            self.chats.highlighted = min(index or 0, len(ids) - 1)

    async def _read(self, offset: int, limit: int) -> list[ConversationRow]:
        query = self.query_one("#chat-filter", Input).value.strip()
        try:
            rows = await asyncio.to_thread(self._store.list_conversations, limit, offset, query)
        except ChatAppError as error:
            self.post_message(Problem(error))
            rows = []
        self._count = offset + len(rows)
        self._complete = len(rows) < limit
        return rows

    def _append(self, rows: list[ConversationRow]) -> None:
        now = datetime.now().astimezone()
        self.chats.add_options(
            Option(entry(row, now, row.id == self._open_id), id=str(row.id)) for row in rows
        )

    @on(Input.Changed, "#chat-filter")
    def _filter(self) -> None:
        self._count = 0
        self.reload()

    @on(Input.Submitted, "#chat-filter")
    def _leave_filter(self) -> None:
        self.chats.focus()
        if self.chats.option_count:
            self.chats.highlighted = 0

    @on(OptionList.OptionHighlighted)
    def _page(self, event: OptionList.OptionHighlighted) -> None:
        event.stop()
        if not self._complete and event.option_index >= self.chats.option_count - PAGE // 4:
            self._complete = True  # until the page says otherwise: one request at a time
            self._more()

    @work(exclusive=True, group="sidebar")
    async def _more(self) -> None:
        rows = await self._read(self._count, PAGE)
        if self.query(ChatList):
            self._append(rows)

    @on(OptionList.OptionSelected)
    def _choose(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        if event.option_id:
            self.post_message(self.Chosen(int(event.option_id)))


def entry(row: ConversationRow, now: datetime, is_open: bool) -> Content:
    """Title on the left, time on the right, `ENTRY_CELLS` together."""
    when = when_text(row.updated_at, now)
    title = Content(clean_line(row.title) or "Untitled").truncate(
        ENTRY_CELLS - len(when) - 1, ellipsis=True
    )
    gap = " " * max(1, ENTRY_CELLS - title.cell_length - len(when))
    if is_open:
        title = title.stylize("bold")
    return title + Content(gap) + Content.styled(when, "dim")


def when_text(timestamp: float, now: datetime) -> str:
    """`14:05` today, `Mon` this week, else `12 Nov` or `Nov 2024`."""
    then = datetime.fromtimestamp(timestamp).astimezone()
    days = (now.date() - then.date()).days
    if days <= 0:
        return then.strftime("%H:%M")
    if days < 7:
        return then.strftime("%a")
    return then.strftime("%d %b" if then.year == now.year else "%b %Y")
