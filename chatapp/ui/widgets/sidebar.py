"""The list of conversations: newest first, paged, filtered, delete with undo.

Reads conversations only, never messages, in a thread. After an answer only the newest page is read
and laid over what is known, so that a change costs the same at any number of chats. What is chosen
or asked for goes to the screen as a message of `ChatList`.
"""

import asyncio

from textual import on, work
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import Input

from chatapp.errors import ChatAppError
from chatapp.store import Store
from chatapp.store.rows import ConversationRow
from chatapp.ui.messages import Problem
from chatapp.ui.widgets.chat_list import ChatList

PAGE = 100
"""Conversations that are read at once."""


class Sidebar(Vertical):
    """Filter and list."""

    DEFAULT_CSS = """
    Sidebar { width: 32; background: $surface; border-right: solid $panel; }
    Sidebar Input { border: none; height: 1; padding: 0 1; background: $panel; }
    Sidebar ChatList { padding: 0 0 0 1; height: 1fr;
        scrollbar-size-vertical: 1; scrollbar-gutter: stable; }
    """

    def __init__(self, store: Store, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self.filter = Input(placeholder="Filter chats", id="chat-filter", compact=True)
        self.chats = ChatList(id="chat-list")
        self._store = store
        self._query = ""
        """What the rows that are shown were found with."""
        self._complete = False
        """Whether there is nothing behind the last row."""
        self._open_id: int | None = None

    def compose(self) -> ComposeResult:
        """Filter above the list."""
        yield self.filter
        yield self.chats

    def show_open(self, conversation_id: int | None) -> None:
        """Highlight this conversation, and bring the list up to date."""
        self._open_id = conversation_id
        self._show(list(self.chats.rows))
        self.refresh_newest()

    def drop(self, conversation_id: int) -> None:
        """A conversation was deleted."""
        self._show([row for row in self.chats.rows if row.id != conversation_id])

    def put(self, row: ConversationRow) -> None:
        """A conversation was renamed or brought back: it has its place by its age."""
        rows = [known for known in self.chats.rows if known.id != row.id]
        place = sum(_age(known) > _age(row) for known in rows)
        if self._query or (place == len(rows) and not self._complete):
            self.refresh_newest()  # whether it belongs here, only the store can say
        else:
            self._show([*rows[:place], row, *rows[place:]])

    def _show(self, rows: list[ConversationRow]) -> None:
        self.chats.show(rows, self._open_id)

    # Reading -----------------------------------------------------------------------------------

    @work(exclusive=True, group="newest")
    async def refresh_newest(self) -> None:
        """Read the newest page and lay it over what is known."""
        query = self.filter.value.strip()
        newest = await self._read(0, query)
        if newest is None:
            return
        if query != self._query or len(newest) < PAGE:
            self._query, self._complete = query, len(newest) < PAGE
            self._show(newest)
        else:
            self._show(lay_over(list(self.chats.rows), newest))

    @on(ChatList.EndSeen)
    def _page(self) -> None:
        if not self._complete:
            self._read_more()

    @work(exclusive=True, group="more")
    async def _read_more(self) -> None:
        query, known = self._query, list(self.chats.rows)
        more = await self._read(len(known), query)
        if more is not None and query == self._query:
            self._complete = len(more) < PAGE
            known = list(self.chats.rows)
            ids = {row.id for row in known}
            self._show(known + [row for row in more if row.id not in ids])

    async def _read(self, offset: int, query: str) -> list[ConversationRow] | None:
        """One page; None: it cannot be read, or nobody is there any more to see it."""
        try:
            rows = await asyncio.to_thread(self._store.list_conversations, PAGE, offset, query)
        except ChatAppError as error:
            self.post_message(Problem(error))
            return None
        return rows if self.is_attached else None

    # Filter ------------------------------------------------------------------------------------

    @on(ChatList.FilterRequested)
    def _go_to_filter(self) -> None:
        self.filter.focus()

    @on(Input.Changed, "#chat-filter")
    def _filter(self) -> None:
        self.refresh_newest()

    @on(Input.Submitted, "#chat-filter")
    def _leave_filter(self) -> None:
        self.chats.focus()
        self.chats.highlighted = 0


def _age(row: ConversationRow) -> tuple[float, int]:
    """What the list is sorted by, the greatest first."""
    return row.updated_at, row.id


def lay_over(known: list[ConversationRow], newest: list[ConversationRow]) -> list[ConversationRow]:
    """`known` with its beginning replaced by the `newest` page. What is known to be as new as
    that, and is not in it, was deleted."""
    there = {row.id for row in newest}
    last = min(map(_age, newest))
    return newest + [row for row in known if row.id not in there and _age(row) < last]
