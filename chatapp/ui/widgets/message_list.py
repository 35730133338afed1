"""Messages in a scroll, of which only a window has widgets.

Promises a flat cost: whatever the length of the chat, the newest `WINDOW` messages have widgets,
and more get them as the user nears the top. Text is read and drawn on a timer. The view sticks to
the end until the user scrolls away.
"""

from collections.abc import Sequence
from dataclasses import replace

from textual.containers import VerticalScroll
from textual.reactive import reactive
from textual.timer import Timer

from chatapp.ui.widgets.item import MessageItem
from chatapp.ui.widgets.message import MessageView

FLUSH_S = 0.04
"""Seconds between two drawings of streamed text."""

WINDOW = 40
"""Messages that have widgets when a chat is opened."""

_MORE = 20
"""Older messages that get widgets when the user nears the top."""

_NEAR_TOP = 4
"""Rows from the top at which older messages are wanted."""


class MessageList(VerticalScroll):
    """Shows messages, oldest first."""

    chosen: reactive[int | None] = reactive(None)
    """Id of the message that stands out."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self._items: list[MessageItem] = []
        self._views: dict[int, MessageView] = {}
        self._first = 0
        self._unflushed: set[int] = set()
        self._timer: Timer | None = None

    def on_mount(self) -> None:
        self._timer = self.set_interval(FLUSH_S, self.flush, pause=True)
        self._wake()
        self._stick()

    # Content -----------------------------------------------------------------------------------

    def show(self, messages: Sequence[MessageItem]) -> None:
        """Replace everything by `messages`, oldest first, and go to the end."""
        self._items = list(messages)
        self._views.clear()
        self._unflushed.clear()
        self.chosen = None
        self._first = max(len(self._items) - WINDOW, 0)
        with self.app.batch_update():
            self.remove_children()
            self.mount_all([self._make_view(item) for item in self._items[self._first :]])
        self.call_after_refresh(self._stick)

    def append(self, item: MessageItem) -> None:
        """Add a message at the end and go there."""
        self._items.append(item)
        self.mount(self._make_view(item))
        self._prune()
        self._stick()

    def remove_after(self, message_id: int) -> None:
        """Remove what follows a message."""
        index = next((i for i, item in enumerate(self._items) if item.id == message_id), None)
        if index is None:
            return
        gone, self._items = self._items[index + 1 :], self._items[: index + 1]
        views = [view for item in gone if (view := self._views.pop(item.id, None))]
        self._unflushed.difference_update(item.id for item in gone)
        if self.chosen is not None and self.chosen not in {item.id for item in self._items}:
            self.chosen = None
        if self._views:
            self.remove_children(views)
        else:
            self.show(self._items)

    def reveal(self, message_id: int) -> None:
        """Choose a message and bring it into view, however old it is."""
        if all(item.id != message_id for item in self._items):
            return
        while message_id not in self._views:
            self._load_older()
        self.chosen = message_id
        self.anchor(False)
        view = self._views[message_id]
        self.call_after_refresh(self.scroll_to_widget, view, animate=False, top=True)

    @property
    def items(self) -> list[MessageItem]:
        """All messages, with what has been streamed so far."""
        return [self.item(item.id) for item in self._items]

    def item(self, message_id: int) -> MessageItem:
        """A message with what has been streamed so far; KeyError if it is not shown."""
        for item in self._items:
            if item.id == message_id:
                view = self._views.get(message_id)
                streaming = view is not None and item.status == "streaming"
                return replace(item, content=view.content) if view and streaming else item
        raise KeyError(message_id)

    def flush(self) -> None:
        """Draw what was streamed since the last time."""
        for message_id in list(self._unflushed):
            view = self._views[message_id]
            view.flush()
            if not view.is_behind:
                self._unflushed.discard(message_id)
        if not self._unflushed and self._timer is not None:
            self._timer.pause()

    def watch_chosen(self, old: int | None, new: int | None) -> None:
        for message_id, is_chosen in ((old, False), (new, True)):
            view = self._views.get(message_id) if message_id is not None else None
            if view is not None:
                view.set_class(is_chosen, "-chosen")

    # Window ------------------------------------------------------------------------------------

    def _make_view(self, item: MessageItem) -> MessageView:
        view = MessageView(item)
        self._views[item.id] = view
        if view.is_behind:
            self._unflushed.add(item.id)
            self._wake()
        return view

    def _wake(self) -> None:
        if self._timer is not None and self._unflushed:
            self._timer.resume()

    def _replace_item(self, item: MessageItem) -> None:
        for index, known in enumerate(self._items):
            if known.id == item.id:
                self._items[index] = item
        view = self._views.get(item.id)
        if view is not None:
            view.set_item(item)
            if view.is_behind:
                self._unflushed.add(item.id)
                self._wake()

    def _prune(self) -> None:
        """Back to a window's size, at the end of which the user is about to be."""
        while len(self._views) > 2 * WINDOW:
            view = self._views.pop(self._items[self._first].id, None)
            self._first += 1
            if view is not None:
                self._unflushed.discard(view.item.id)
                view.remove()

    @property
    def _overflows(self) -> bool:
        return self.virtual_size.height > self.container_size.height

    def _stick(self) -> None:
        """Go to the end and stay there. Textual's anchor would push a chat that is shorter than
        the screen to its bottom, so it is dropped as soon as everything fits."""
        self.anchor(self._overflows)
        if not self._overflows:
            self.set_scroll(None, 0)

    def watch_virtual_size(self) -> None:
        if self._overflows != self.is_anchored:
            self._stick()

    def on_resize(self) -> None:
        self.watch_virtual_size()

    def _load_older(self) -> None:
        if not self._first:
            return
        shown = self.query_children(MessageView)
        width = shown.first().content_size.width if shown else 0
        start = max(self._first - _MORE, 0)
        views = [self._make_view(item) for item in self._items[start : self._first]]
        self._first = start
        self.mount_all(views, before=0 if shown else None)
        # What the user looks at stays where it is: the rows above are counted before the layout,
        # so no frame shows them elsewhere.
        rows = sum(view.count_lines(width) + 1 for view in views) if width else 0
        self.set_scroll(None, self.scroll_y + rows)

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        if new_value < min(old_value, _NEAR_TOP):
            self._load_older()
