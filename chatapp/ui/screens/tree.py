"""Every branch of a conversation as a tree; Enter shows the branch at a message.

Only the rows in view are drawn, so a thousand messages cost what thirty do.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.events import Click
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import reactive
from textual.screen import ModalScreen
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.widgets import Static

from chatapp.errors import ChatAppError
from chatapp.store import Store
from chatapp.ui.branches import Twig, draw_tree
from chatapp.ui.key_row import Key
from chatapp.ui.keymap import bindings, keys_in
from chatapp.ui.wording import clean_line, explain, when_text

_ROLES = {"user": "You", "assistant": "Assistant", "system": "System", "tool": "Tool"}
_UNUSUAL = {"stopped": "stopped", "interrupted": "interrupted", "failed": "failed"}


class BranchTree(ScrollView, can_focus=True):
    """Shows `twigs`; one is highlighted."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "tree--highlighted",
        "tree--shown",
        "tree--guide",
    }
    DEFAULT_CSS = """
    BranchTree {
        height: 1fr; background: $surface; overflow-x: hidden; scrollbar-size-vertical: 1;
        & > .tree--highlighted {
            color: $block-cursor-foreground; background: $block-cursor-background;
        }
        & > .tree--shown { color: $text-success; }
        & > .tree--guide { color: $text-muted; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "move(-1)", "Above", show=False),
        Binding("down", "move(1)", "Below", show=False),
        Binding("pageup", "page(-1)", "Page up", show=False),
        Binding("pagedown", "page(1)", "Page down", show=False),
        Binding("home", "edge(0)", "First", show=False),
        Binding("end", "edge(-1)", "Last", show=False),
        Binding("enter", "choose", "Show", show=False),
    ]

    highlighted: reactive[int] = reactive(0)

    @dataclass
    class Chosen(Message):
        """Show this message."""

        twig: Twig

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self.twigs: list[Twig] = []

    @property
    def chosen(self) -> Twig | None:
        """The highlighted message."""
        return self.twigs[self.highlighted] if self.twigs else None

    def show(self, twigs: list[Twig], at: int) -> None:
        """Show these, with the cursor at one of them."""
        self.twigs = twigs
        self.virtual_size = Size(1, len(twigs))
        self.highlighted = at
        self.call_after_refresh(self.watch_highlighted)
        self.refresh()

    def validate_highlighted(self, at: int) -> int:
        return max(0, min(at, len(self.twigs) - 1))

    def watch_highlighted(self) -> None:
        row = Region(0, self.highlighted, 1, 1)
        self.scroll_to_region(row, animate=False, force=True, immediate=True)
        self.refresh()

    def render_line(self, y: int) -> Strip:
        width, at = self.scrollable_content_region.width, y + self.scroll_offset.y
        base = self.rich_style
        if at >= len(self.twigs):
            return Strip.blank(width, base)
        twig = self.twigs[at]
        guide = base + self.get_component_rich_style("tree--guide", partial=True)
        shown = base + self.get_component_rich_style("tree--shown", partial=True)
        if at == self.highlighted:
            base = guide = shown = base + self.get_component_rich_style("tree--highlighted")
        row = twig.row
        notes = [twig.version, _UNUSUAL.get(row.status, "")]
        notes.append(when_text(row.created_at, datetime.now().astimezone()))
        tail = "  " + " · ".join(note for note in notes if note)
        text = Content(f"{_ROLES[row.role]}: {clean_line(row.text)}")
        room = width - 2 - len(twig.guide) - len(tail)
        if room < 12:
            room, tail = width - 2 - len(twig.guide), ""
        text = text.truncate(max(room, 1), ellipsis=True)
        gap = " " * max(room - text.cell_length, 0)
        bold = Style(bold=row.role == "user")
        segments = [
            Segment("▌ " if twig.is_shown else "  ", shown),
            Segment(twig.guide, guide),
            Segment(text.plain, (shown if twig.is_shown else base) + bold),
            Segment(gap + tail, guide),
        ]
        return Strip(segments).adjust_cell_length(width, base)

    def action_move(self, step: int) -> None:
        """To the row above or below."""
        self.highlighted += step

    def action_page(self, step: int) -> None:
        """A page up or down."""
        self.highlighted += step * max(self.size.height - 1, 1)

    def action_edge(self, at: int) -> None:
        """To the first row or the last."""
        self.highlighted = at % max(len(self.twigs), 1)

    def action_choose(self) -> None:
        """Show the highlighted message."""
        if self.chosen is not None:
            self.post_message(self.Chosen(self.chosen))

    def plain_entries(self) -> list[str]:
        """The messages, for whoever is told the screen line by line."""
        entries = []
        for twig in self.twigs:
            text = f"{_ROLES[twig.row.role]}: {clean_line(twig.row.text)}"
            version = f" (version {twig.version.replace('/', ' of ')})" if twig.version else ""
            entries.append(f"{text}{version}{', shown' if twig.is_shown else ''}")
        return entries

    def choose_entry(self, place: int) -> None:
        """Show one of them."""
        self.highlighted = place
        self.action_choose()

    def on_click(self, event: Click) -> None:
        """A click shows the message under it."""
        at = event.y + self.scroll_offset.y
        if at < len(self.twigs):
            self.highlighted = at
            self.action_choose()


class TreeScreen(ModalScreen[int | None]):
    """Dismissed with the message to show, or None."""

    CSS_PATH = "dialog.tcss"
    BINDINGS: ClassVar[list[BindingType]] = bindings("tree")
    AUTO_FOCUS = "#tree"

    def __init__(
        self,
        store: Store,
        conversation_id: int,
        *,
        at: int | None,
        keys: Callable[[str], str],
        delete: Callable[[Twig, bool], Awaitable[str]],
        undo: Callable[[], Awaitable[str]],
    ) -> None:
        """`at` is the message the cursor begins at; `keys` gives the keys of a row of the keymap,
        for people; `delete` deletes one (with all below it, if
        so said) and `undo` brings the last back, both give a sentence."""
        super().__init__()
        self._store = store
        self._conversation_id = conversation_id
        self._at = at
        self._keys = keys
        self._delete = delete
        self._undo = undo
        self.tree_view = BranchTree(id="tree")

    def compose(self) -> ComposeResult:
        """The tree, and what was done last."""
        with Vertical(id="dialog") as dialog:
            dialog.border_title = "Branches"
            *does, leaves = [self._hint(key) for key in keys_in("tree")]
            dialog.border_subtitle = " · ".join(["Enter shows", leaves, *does])
            yield self.tree_view
            yield Static("", id="dialog-note", markup=False)

    def _hint(self, key: Key) -> str:
        return f"{self._keys(key.id)} {key.label.lower()}"

    async def on_mount(self) -> None:
        """Read the tree."""
        await self._read(self._at)

    async def _read(self, at: int | None) -> None:
        try:
            row = await asyncio.to_thread(self._store.get_conversation, self._conversation_id)
            rows = await asyncio.to_thread(self._store.branches.outline, self._conversation_id)
        except ChatAppError as error:
            self._tell(explain(error))
            return
        twigs = draw_tree(rows, row.active_leaf_id)
        places = {twig.row.id: place for place, twig in enumerate(twigs)}
        place = places.get(at or 0)
        if place is None:
            place = min(self.tree_view.highlighted, max(len(twigs) - 1, 0))
        self.tree_view.show(twigs, place)
        if not twigs:
            self._tell("Nothing is left of this chat.")

    def _tell(self, sentence: str) -> None:
        self.query_one("#dialog-note", Static).update(sentence)

    @on(BranchTree.Chosen)
    def _show(self, event: BranchTree.Chosen) -> None:
        self.dismiss(event.twig.row.id)

    async def action_tree_delete(self, with_branch: bool) -> None:
        """Delete the highlighted message; with its branch: and all below it."""
        if (twig := self.tree_view.chosen) is not None:
            await self._change(lambda: self._delete(twig, with_branch), None)

    async def action_tree_undo(self) -> None:
        """Bring back what was deleted last."""
        await self._change(self._undo, None)

    async def _change(self, does: Callable[[], Awaitable[str]], at: int | None) -> None:
        try:
            said = await does()
        except ChatAppError as error:
            said = explain(error)
        await self._read(at)
        self._tell(said)
