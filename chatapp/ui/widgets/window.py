"""The part of a branch that has widgets: a window that is opened anywhere and shifted at its ends.

Promises a flat cost: however long the branch and wherever one looks, at most `MAX` messages have
widgets, unless the terminal is so high that more are seen. What the user looks at stays where it
is when the window shifts: the rows above are counted before the layout, so no frame shows them
elsewhere.
"""

from collections.abc import Callable, Iterable

from textual.containers import VerticalScroll

from chatapp.ui.widgets.branch import Branch
from chatapp.ui.widgets.message import MessageView

SIZE = 24
"""Messages that have widgets when a window is opened."""

STEP = 12
"""Messages that are added when the user nears an end of the window."""

MAX = SIZE + STEP

_ABOVE = 6
"""Of the messages of a window that is opened at a message, those before it."""


class Window:
    """Messages `first` to `last` (not included) of `branch`, as children of `scroll`."""

    def __init__(self, scroll: VerticalScroll, make: Callable[[int], MessageView]) -> None:
        self._scroll = scroll
        self._make = make
        """The widget of a message, by its id."""
        self.branch = Branch()
        self.first = 0
        self.last = 0
        self._shifting = False
        self._views: dict[int, MessageView] = {}
        """By message, in the order of the branch."""

    def __len__(self) -> int:
        return len(self._views)

    @property
    def at_start(self) -> bool:
        """Nothing comes before it."""
        return self.first == 0

    @property
    def at_end(self) -> bool:
        """Nothing follows it."""
        return self.last == len(self.branch)

    @property
    def views(self) -> Iterable[MessageView]:
        """The widgets, oldest message first."""
        return self._views.values()

    def view(self, message_id: int) -> MessageView | None:
        """The widget of a message, if it has one now."""
        return self._views.get(message_id)

    def is_within(self, message_id: int, top: float, bottom: float) -> bool:
        """Whether a message is drawn as a whole between two rows."""
        view = self.view(message_id)
        if view is None or not view.virtual_region.height:
            return False
        return top <= view.virtual_region.y and view.virtual_region.bottom <= bottom

    def lowest(self, bottom: float) -> int:
        """The last message that ends above a row, else the last that there is."""
        views = list(self.views)
        above = [view for view in views if view.virtual_region.bottom <= bottom]
        return (above or views)[-1].item.id

    def open_at(self, place: int) -> None:
        """Look at a place, whatever was looked at before."""
        self.first = max(min(place - _ABOVE, len(self.branch) - SIZE), 0)
        self.last = min(self.first + SIZE, len(self.branch))
        with self._scroll.app.batch_update():
            self._remove(list(self._views))
            self._scroll.mount_all(self._add(self.first, self.last))

    def open_end(self) -> None:
        """Look at the newest messages."""
        self.open_at(len(self.branch))

    def grow_at_end(self) -> None:
        """Give a widget to the message that was just added to the branch."""
        self._scroll.mount_all(self._add(self.last, len(self.branch)))
        self.last = len(self.branch)
        if len(self) > MAX:
            self._drop_above(self._scroll.virtual_size.height - 2 * self._scroll.size.height)

    def shift(self, moved: int) -> bool:
        """Shift when less than a page is left before the end that the user moves to, or when it
        does not fill the view. False: there was no need. `moved`: rows that were scrolled."""
        scroll = self._scroll
        page = scroll.container_size.height
        if self._shifting or not page or not len(self):
            return True
        down = scroll.max_scroll_y - scroll.scroll_y
        up = scroll.scroll_y if moved < 0 else scroll.max_scroll_y
        if up < page and moved <= 0 and not self.at_start:
            shift = self.shift_up
        elif down < page and moved > 0 and not self.at_end:
            shift = self.shift_down
        else:
            return False
        self._shifting = True  # one shift a layout: until then, positions are those of before
        shift()
        scroll.call_after_refresh(self._end_shift)
        return True

    def _end_shift(self) -> None:
        self._shifting = False

    def shift_up(self) -> None:
        """Older messages come in above; what is far below goes out."""
        start = max(self.first - STEP, 0)
        kept = self._views
        self._views = {}
        added = self._add(start, self.first)
        self._views |= kept
        width = next((view.content_size.width for view in kept.values()), 0)
        rows = sum(view.count_lines(width) + 1 for view in added) if width else 0
        self.first = start
        self._scroll.mount_all(added, before=0 if kept else None)
        self._drop_below(self._scroll.scroll_y + 2 * self._scroll.size.height)
        self._scroll.set_scroll(None, self._scroll.scroll_y + rows)

    def shift_down(self) -> None:
        """Newer messages come in below; what is far above goes out."""
        end = min(self.last + STEP, len(self.branch))
        self._scroll.mount_all(self._add(self.last, end))
        self.last = end
        rows = self._drop_above(self._scroll.scroll_y - self._scroll.size.height)
        self._scroll.set_scroll(None, self._scroll.scroll_y - rows)

    def forget(self, message_ids: Iterable[int]) -> None:
        """These messages, the last ones, have left the branch."""
        self._remove([one for one in message_ids if one in self._views])
        self.last = min(self.last, len(self.branch))
        self.first = min(self.first, self.last)
        if len(self) < STEP and not self.at_start:
            self.open_end()

    def _add(self, start: int, end: int) -> list[MessageView]:
        ids = [self.branch.id_at(place) for place in range(start, end)]
        for message_id in ids:
            self._views[message_id] = self._make(message_id)
        return [self._views[message_id] for message_id in ids]

    def _drop_below(self, row: float) -> None:
        """Back to `MAX` messages, at the cost of those that begin below `row`."""
        for message_id in reversed(list(self._views)):
            if len(self) <= MAX or self._views[message_id].virtual_region.y < row:
                break
            self._remove([message_id])
            self.last -= 1

    def _drop_above(self, row: float) -> int:
        """The same for those that end above `row`; how many rows they took."""
        rows = 0
        for message_id in list(self._views):
            region = self._views[message_id].virtual_region
            if len(self) <= MAX or region.bottom >= row:
                break
            self._remove([message_id])
            self.first += 1
            rows += region.height + 1
        return rows

    def _remove(self, message_ids: Iterable[int]) -> None:
        for message_id in message_ids:
            view = self._views.pop(message_id)
            view.display = False  # out of the layout at once; the removal takes a while
            view.remove()
