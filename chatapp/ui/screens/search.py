"""Search through every message; Enter goes to the conversation and the message."""

import asyncio
from datetime import datetime
from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from chatapp.errors import ChatAppError
from chatapp.store import Store
from chatapp.store.rows import HIT_END, HIT_START, SearchHit
from chatapp.ui.wording import clean_line, when_text

PAUSE_S = 0.12
"""Typing goes on for this long before the store is asked."""

LIMIT = 50


class SearchScreen(ModalScreen[SearchHit | None]):
    """Dismissed with the chosen message, or None."""

    CSS_PATH = "dialog.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,ctrl+f", "dismiss(None)", "Close", priority=True),
        Binding("down", "move(1)", "Next", show=False),
        Binding("up", "move(-1)", "Previous", show=False),
    ]
    AUTO_FOCUS = "#search-input"

    def __init__(self, store: Store, words: str = "") -> None:
        """`words` are looked for at once."""
        super().__init__()
        self._store = store
        self._words = words
        self._shown = ""
        """What the hits were found with."""
        self._chooses = False
        """Enter was pressed before what it is for was found."""
        self._hits: list[SearchHit] = []

    def compose(self) -> ComposeResult:
        """Field, hits, how many."""
        with Vertical(id="dialog") as dialog:
            dialog.border_title = "Search all chats"
            dialog.border_subtitle = "↑↓ choose · Enter opens · Esc closes"
            yield Input(
                value=self._words,
                placeholder='Words, or "an exact phrase"',
                id="search-input",
                compact=True,
                select_on_focus=False,
            )
            yield OptionList(id="search-hits", markup=False)
            yield Static("", id="dialog-note", markup=False)

    @on(Input.Changed)
    def _changed(self, event: Input.Changed) -> None:
        self._search(event.value)

    @work(exclusive=True)
    async def _search(self, query: str) -> None:
        await asyncio.sleep(0 if self._chooses else PAUSE_S)
        try:
            hits = await asyncio.to_thread(self._store.search, query, LIMIT)
        except ChatAppError as error:
            self._show([], clean_line(str(error)))
        else:
            self._show(hits, count_text(len(hits), query))
        self._shown = query
        if self._chooses:
            self._chooses = False
            self._open(0)

    def _show(self, hits: list[SearchHit], note: str) -> None:
        """Hits and list together, so that no row is left that stands for nothing."""
        self._hits = hits
        options = self.query_one("#search-hits", OptionList)
        options.clear_options()
        now = datetime.now().astimezone()
        options.add_options(Option(entry(hit, now)) for hit in hits)
        options.highlighted = 0 if hits else None
        self.query_one("#dialog-note", Static).update(note)

    def action_move(self, step: int) -> None:
        """Move among the hits while the field keeps the focus."""
        hits = self.query_one("#search-hits", OptionList)
        if step > 0:
            hits.action_cursor_down()
        else:
            hits.action_cursor_up()

    @on(Input.Submitted)
    def _open_highlighted(self, event: Input.Submitted) -> None:
        """A hit of these words, not of those before them."""
        if event.value != self._shown:
            self._chooses = True
            self._search(event.value)
        else:
            self._open(self.query_one("#search-hits", OptionList).highlighted)

    @on(OptionList.OptionSelected)
    def _open_selected(self, event: OptionList.OptionSelected) -> None:
        self._open(event.option_index)

    def _open(self, index: int | None) -> None:
        """A click may be older than the list: there may be no such hit any more."""
        if index is not None and index < len(self._hits):
            self.dismiss(self._hits[index])


def count_text(count: int, query: str) -> str:
    """How many were found."""
    if not query.strip():
        return ""
    if count == 0:
        return "Nothing found. Beginnings of words count, all words must occur."
    return f"The best {count}." if count == LIMIT else f"{count} found."


def entry(hit: SearchHit, now: datetime) -> Content:
    """Title and time above the snippet."""
    who = "you" if hit.role == "user" else hit.role
    head = Content.assemble(
        (clean_line(hit.title) or "Untitled", "bold"),
        (f"  {who} · {when_text(hit.created_at, now)}", "dim"),
    )
    return Content("\n").join([head, Content("  ") + snippet(hit.snippet)])


def snippet(text: str) -> Content:
    """The snippet with its hits marked."""
    content = Content("")
    rest = text
    while rest:
        before, _, rest = rest.partition(HIT_START)
        hit, _, rest = rest.partition(HIT_END)
        content += Content(_clean(before)) + Content.styled(_clean(hit), "bold $text-accent")
    return content


def _clean(text: str) -> str:
    """Like `clean_line`, but the spaces beside a hit stay."""
    line = clean_line(text)
    left = " " if text[:1].isspace() else ""
    right = " " if text[-1:].isspace() and line else ""
    return f"{left}{line}{right}"
