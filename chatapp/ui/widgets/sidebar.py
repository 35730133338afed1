"""The list of conversations: pinned ones, then the newest first, paged and filtered.

Reads conversations only, never messages, in a thread. After an answer only the newest page is read
and laid over what is known, so that a change costs the same at any number of chats. What is chosen
or asked for goes to the screen as a message of `ChatList`.
"""

import asyncio
from collections.abc import Callable, Collection
from dataclasses import dataclass

from textual import on, work
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import Input, Static

from chatapp.errors import ChatAppError
from chatapp.store import Store
from chatapp.store.labels import clean_tag
from chatapp.store.rows import ConversationRow, is_temporary
from chatapp.ui.messages import Problem
from chatapp.ui.widgets.chat_list import ChatList
from chatapp.ui.widgets.filter_input import FilterInput

PAGE = 100
"""Conversations that are read at once."""

_PLACEHOLDER = "Filter: words, #tags"

COVERS = 60
"""In a terminal with fewer columns the list takes all of them while it is shown."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What the rows of the list are found with."""

    text: str = ""
    archived: bool = False

    @property
    def words(self) -> str:
        """What titles or messages contain."""
        return " ".join(word for word in self.text.split() if not word.startswith("#"))

    @property
    def tags(self) -> tuple[str, ...]:
        """What tags begin with."""
        tags = (clean_tag(word) for word in self.text.split() if word.startswith("#"))
        return tuple(tag for tag in tags if tag)


class Sidebar(Vertical):
    """Filter and list."""

    DEFAULT_CSS = """
    Sidebar {
        width: 40%; min-width: 30; max-width: 48;
        background: $surface; border-right: solid $panel;
    }
    Sidebar.-covers { width: 100%; max-width: 100%; border-right: none; }
    Sidebar Input { border: none; height: 1; padding: 0 1; background: $panel; }
    Sidebar #shelf { height: 1; padding: 0 1; color: $text-warning; display: none; }
    Sidebar.-archive #shelf { display: block; }
    Sidebar ChatList { padding: 0 0 0 1; height: 1fr;
        scrollbar-size-vertical: 1; scrollbar-gutter: stable; }
    """

    def __init__(
        self,
        store: Store,
        keys: Callable[[str], str],
        *,
        id: str | None = None,  # noqa: A002
    ) -> None:
        """`keys` gives the keys of a row of the keymap, for people."""
        super().__init__(id=id)
        self._keys = keys
        self.filter = FilterInput(placeholder=_PLACEHOLDER, id="chat-filter")
        self.chats = ChatList(id="chat-list")
        self._store = store
        self.archive = False
        """The archive is shown, not the chats."""
        self._asked = Asked()
        """What the rows that are shown were found with."""
        self._chooses = False
        """Enter was pressed before what it is for was found."""
        self._complete = False
        """Whether there is nothing behind the last row."""
        self._open_id: int | None = None
        self._gave_way = False
        """It was shown before the terminal became too narrow for it."""

    def compose(self) -> ComposeResult:
        """Filter above the list."""
        yield self.filter
        yield Static(f"The archive – {self._keys('show_archive')} shows the chats", id="shelf")
        yield self.chats

    def on_mount(self) -> None:
        """Be as wide as the terminal allows, from the first frame on."""
        self.set_class(self.app.size.width < COVERS, "-covers")

    def fit(self, columns: int) -> None:
        """The terminal is so wide. A list that would cover the chat unasked gives way until there
        is room again."""
        narrow = columns < COVERS
        if narrow and not self.covers and self.display and not self.has_keys:
            self.display, self._gave_way = False, True
        elif not narrow and self._gave_way:
            self.display, self._gave_way = True, False
            self.refresh_newest()
        self.set_class(narrow, "-covers")

    @property
    def covers(self) -> bool:
        """Nothing else is seen while the list is shown."""
        return self.has_class("-covers")

    @property
    def has_keys(self) -> bool:
        """The list or its filter has the focus."""
        return self.display and (self.chats.has_focus or self.filter.has_focus)

    def show_open(self, conversation_id: int | None) -> None:
        """Highlight this conversation, and bring the list up to date."""
        self._open_id = conversation_id
        self._show(list(self.chats.rows))
        self.refresh_newest()

    def drop(self, gone: Collection[int]) -> None:
        """Conversations were deleted, or are on the other shelf."""
        self._show([row for row in self.chats.rows if row.id not in gone])

    def put(self, row: ConversationRow) -> None:
        """A conversation was changed or brought back: it has its place by pin and age."""
        if is_temporary(row.id):
            return
        if row.archived != self.archive:
            self.drop({row.id})
            return
        rows = [known for known in self.chats.rows if known.id != row.id]
        place = sum(_rank(known) > _rank(row) for known in rows)
        if self._asked.text or (place == len(rows) and not self._complete):
            self.refresh_newest()  # whether it belongs here, only the store can say
        else:
            self._show([*rows[:place], row, *rows[place:]])

    def show_answering(self, conversation_id: int | None) -> None:
        """An answer is being written in this conversation, or in none."""
        if self.chats.answering != conversation_id:
            self.chats.answering = conversation_id
            self.chats.refresh()

    def show_drafts(self, conversation_ids: Collection[int]) -> None:
        """In these conversations something was begun and not sent."""
        self.chats.drafts = conversation_ids
        self.chats.refresh()

    def switch_shelf(self) -> None:
        """Show the archive, or the chats again."""
        self.archive = not self.archive
        self.set_class(self.archive, "-archive")
        self.filter.placeholder = "Filter the archive" if self.archive else _PLACEHOLDER
        self.chats.unmark()
        self.refresh_newest()

    def _show(self, rows: list[ConversationRow]) -> None:
        if self._asked.text:
            self.chats.empty_text = "Nothing is found."
        else:
            self.chats.empty_text = "The archive is empty." if self.archive else "No chats yet."
        self.chats.show(rows, self._open_id)
        if self._chooses and self._wanted() == self._asked:
            self._open_highlighted()
        if self.chats.shows_end and not self._complete:
            self._read_more()

    # Reading -----------------------------------------------------------------------------------

    def _wanted(self) -> Asked:
        return Asked(self.filter.value.strip(), self.archive)

    @work(exclusive=True, group="newest")
    async def refresh_newest(self) -> None:
        """Read the newest page and lay it over what is known."""
        asked = self._wanted()
        newest = await self._read(0, asked)
        if newest is None:
            return
        if asked != self._asked or len(newest) < PAGE:
            if asked != self._asked and self.chats.rows:
                self.chats.highlighted = 0
            self._asked, self._complete = asked, len(newest) < PAGE
            self._show(newest)
        else:
            self._show(lay_over(list(self.chats.rows), newest))

    @on(ChatList.EndSeen)
    def _page(self) -> None:
        if not self._complete:
            self._read_more()

    @work(exclusive=True, group="more")
    async def _read_more(self) -> None:
        asked, known = self._asked, list(self.chats.rows)
        more = await self._read(len(known), asked)
        if more is not None and asked == self._asked:
            self._complete = len(more) < PAGE
            known = list(self.chats.rows)
            ids = {row.id for row in known}
            self._show(known + [row for row in more if row.id not in ids])

    async def _read(self, offset: int, asked: Asked) -> list[ConversationRow] | None:
        """One page; None: it cannot be read, or nobody is there any more to see it."""
        try:
            rows = await asyncio.to_thread(
                self._store.list_conversations,
                PAGE,
                offset,
                asked.words,
                archived=asked.archived,
                tags=asked.tags,
            )
        except ChatAppError as error:
            self._chooses = False
            self.post_message(Problem(error))
            return None
        return rows if self.is_attached else None

    # Filter ------------------------------------------------------------------------------------

    @on(ChatList.Typed)
    def _go_to_filter(self, event: ChatList.Typed) -> None:
        self.filter.add(event.text)

    @on(Input.Changed, "#chat-filter")
    def _filter(self) -> None:
        self.chats.filtered = bool(self.filter.value)
        self.refresh_newest()

    @on(Input.Submitted, "#chat-filter")
    def _choose(self) -> None:
        """Open what is highlighted, as soon as that is what the filter finds."""
        if self._wanted() == self._asked:
            self._open_highlighted()
        else:
            self._chooses = True

    def _open_highlighted(self) -> None:
        """In the list's place: a message of the list that was made here would not rise to here."""
        self._chooses = False
        if (chosen := self.chats.chosen_id) is not None:
            self.post_message(ChatList.Chosen(chosen))
            self.filter.value = ""  # it has done what it was for

    @on(FilterInput.Stepped)
    def _step(self, event: FilterInput.Stepped) -> None:
        self.chats.focus()
        self.chats.call_later(self.chats.action_move, event.step)

    @on(FilterInput.Left)
    def _leave_filter(self, event: FilterInput.Left) -> None:
        event.stop()
        self.chats.focus()

    @on(ChatList.Left)
    def _empty_filter(self, event: ChatList.Left) -> None:
        """Escape in the list empties the filter first, then shows the chats, then leaves."""
        if self.filter.value or self.archive:
            event.stop()
            if self.filter.value:
                self.filter.value = ""
            else:
                self.switch_shelf()


def _rank(row: ConversationRow) -> tuple[bool, float, int]:
    """What the list is sorted by, the greatest first."""
    return row.pinned, row.updated_at, row.id


def lay_over(known: list[ConversationRow], newest: list[ConversationRow]) -> list[ConversationRow]:
    """`known` with its beginning replaced by the `newest` page. What is known to be as new as
    that, and is not in it, was deleted."""
    there = {row.id for row in newest}
    last = min(map(_rank, newest))
    return newest + [row for row in known if row.id not in there and _rank(row) < last]
