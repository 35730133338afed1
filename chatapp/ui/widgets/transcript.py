"""The messages of the shown branch of a conversation, oldest first.

Promises a flat cost: whatever the length of the chat, at most a window of messages has widgets
(`Window`), and streamed text is drawn on a timer, not per token. The view sticks to the end until
the user scrolls away. Calls about a message that is not shown are ignored, because an answer may
still stream for a chat that the user has left. While it has the focus, which no click gives it, its
letters are commands (`message_keymap`); else keys are the prompt's and the screen's. It opens no
links and changes no data: it posts what the user asks for.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from textual.events import Click, Key
from textual.message import Message
from textual.reactive import reactive
from textual.timer import Timer

from chatapp.ui.keymap import bindings
from chatapp.ui.widgets import message_requests
from chatapp.ui.widgets.branch import Branch
from chatapp.ui.widgets.code_walk import CodeCursor, CodePlace
from chatapp.ui.widgets.end_scroll import EndScroll
from chatapp.ui.widgets.hits import Looked
from chatapp.ui.widgets.item import MessageItem
from chatapp.ui.widgets.look import Look
from chatapp.ui.widgets.message import MessageView
from chatapp.ui.widgets.window import Window

FLUSH_S = 0.04
"""Seconds between two drawings of streamed text."""


class Transcript(EndScroll, can_focus=True, inherit_bindings=False):
    """Shows messages; one of them may be marked, by key or by click, and a block of code in it."""

    FOCUS_ON_CLICK = False
    BINDINGS = bindings("message")

    DEFAULT_CSS = """
    Transcript {
        background: $background;
        scrollbar-size-vertical: 1;
        padding: 0 1;
        scrollbar-color: $foreground 20%;
        scrollbar-color-hover: $foreground 40%;
        scrollbar-color-active: $primary;
        scrollbar-background: $background;
        scrollbar-background-hover: $background;
        scrollbar-background-active: $background;
    }
    """

    marked: reactive[int | None] = reactive(None)
    """Id of the message that stands out: keys that act on a message act on this one."""

    @dataclass
    class Marked(Message):
        """Another message is marked, or none."""

        message_id: int | None

    ContinueRequested = message_requests.ContinueRequested
    SiblingRequested = message_requests.SiblingRequested
    LinkClicked = message_requests.LinkClicked

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self.look = Look()
        """How messages are drawn that are shown from now on."""
        self.raw = False
        """Whether answers are shown as they were written."""
        self._window = Window(self, self._make_view)
        self.code = CodeCursor(self._window)
        """The block of code that keys for code act on; it is one of the marked message."""
        self._looked = Looked()
        self._unflushed: set[int] = set()
        self._timer: Timer | None = None

    def on_mount(self) -> None:
        self._timer = self.set_interval(FLUSH_S, self.flush, pause=True)
        self._wake()
        self._stick()

    # Content -----------------------------------------------------------------------------------

    @property
    def _branch(self) -> Branch:
        return self._window.branch

    def show(self, messages: Sequence[MessageItem]) -> None:
        """Replace everything by `messages`, oldest first, and go to the end."""
        self._window.branch = Branch(messages)
        self._unflushed.clear()
        self.marked = None
        self._window.open_end()
        self._follows = True
        self.call_after_refresh(self._stick_if_followed)

    def append(self, item: MessageItem) -> None:
        """Add a message at the end and go there."""
        at_end = self._window.at_end
        self._branch.put(item)
        if at_end:
            self._window.grow_at_end()
            self._stick()
        else:
            self.go_to_end()
        self._tell_fold_key()

    def remove_after(self, message_id: int) -> None:
        """Remove what follows a message."""
        gone = self._branch.cut_after(message_id)
        self._unflushed.difference_update(gone)
        if self.marked not in self._branch:
            self.marked = None
        self._window.forget(gone)
        self._tell_fold_key()

    @property
    def items(self) -> list[MessageItem]:
        """All messages, with what has been streamed so far."""
        return [self.item(self._branch.id_at(place)) for place in range(len(self._branch))]

    def holds(self, message_id: int) -> bool:
        """Whether a message is on the shown branch."""
        return message_id in self._branch

    @property
    def last_id(self) -> int | None:
        """The last message of the shown branch; None: there is none."""
        return self._branch.id_at(len(self._branch) - 1) if len(self._branch) else None

    def item(self, message_id: int) -> MessageItem:
        """A message with what has been streamed so far; KeyError if it is not in this chat."""
        return self._branch.item(message_id)

    # Streaming ---------------------------------------------------------------------------------

    def begin_answer(self, item: MessageItem) -> None:
        """Show an answer that is about to stream; one that is shown already goes on."""
        if item.id in self._branch:
            self._replace(item)
            self.go_to_end()
        else:
            self.append(item)

    def write(
        self, message_id: int, content: str, reasoning: str = "", attached: tuple[str, ...] = ()
    ) -> None:
        """What an answer says so far, drawn within a few hundredths of a second."""
        if not self._branch.write(message_id, content, reasoning, attached):
            return
        view = self._window.view(message_id)
        if view is not None:
            view.write(content, reasoning, attached)
            self._unflushed.add(message_id)
            self._wake()

    def set_progress(self, message_id: int, text: str) -> None:
        """A line in place of the answer until it starts."""
        self._branch.set_progress(message_id, text)
        if (view := self._window.view(message_id)) is not None:
            view.set_progress(text)

    def finish(self, message_id: int, item: MessageItem) -> None:
        """An answer has ended; `item` is how it is kept."""
        if message_id in self._branch:
            self._replace(replace(item, id=message_id))

    def flush(self) -> None:
        """Draw what was streamed since the last time."""
        for message_id in list(self._unflushed):
            view = self._window.view(message_id)
            if view is not None:
                self._flush_view(view)
            if view is None or not view.is_behind:
                self._unflushed.discard(message_id)
        if not self._unflushed and self._timer is not None:
            self._timer.pause()

    def _flush_view(self, view: MessageView) -> None:
        """A message above what the user looks at grows without moving that."""
        width = view.content_size.width
        rows = view.count_lines(width) if width else 0
        view.flush()
        if rows and view.virtual_region.bottom <= self.scroll_y and not self._sticks:
            self.set_scroll(None, self.scroll_y + view.count_lines(width) - rows)

    def _replace(self, item: MessageItem) -> None:
        self._branch.put(item)
        view = self._window.view(item.id)
        if view is not None:
            view.set_item(item)
            self._note_behind(view)

    def _make_view(self, message_id: int) -> MessageView:
        view = MessageView(self._branch.item(message_id), self.look, raw=self.raw)
        view.set_class(message_id == self.marked, "-marked")
        view.tell_key(message_id == self._folds)
        view.mark_code(self.code.number_in(message_id))
        view.look_for(self._looked)
        if progress := self._branch.progress_of(message_id):
            view.set_progress(progress)
        self._note_behind(view)
        return view

    def _note_behind(self, view: MessageView) -> None:
        if view.is_behind:
            self._unflushed.add(view.item.id)
            self._wake()

    def _wake(self) -> None:
        if self._timer is not None and self._unflushed:
            self._timer.resume()

    # Looking -----------------------------------------------------------------------------------

    def reveal(self, message_id: int) -> None:
        """Mark a message and bring it to the top of the view, however old it is."""
        if message_id in self._branch:
            self.marked = message_id
            self._look_at(message_id, top=True)

    def go_to_end(self) -> None:
        """Go to the end and stay there."""
        if not self._window.at_end:
            self._window.open_end()
        self._follows = True
        self.call_after_refresh(self._stick_if_followed)

    def go_to_start(self) -> None:
        """Go to the first message."""
        self._leave_end()
        if not self._window.at_start:
            self._window.open_at(0)
        self.call_after_refresh(self.scroll_home, animate=False)

    def mark_next(self, step: int, *, stay: bool = False) -> None:
        """Mark the message above (-1) or below (1); with none marked, the lowest in view. Below
        the last message none is marked, or (`stay`) the last."""
        if not len(self._branch):
            return
        if self.marked is None:
            place = self._branch.place_of(self._window.lowest(self._bottom))
        else:
            place = max(self._branch.place_of(self.marked) + step, 0)
        if place >= len(self._branch):
            self.marked = self.marked if stay else None
            self.go_to_end()
        else:
            self.marked = self._branch.id_at(place)
            if not self._window.is_within(self.marked, self.scroll_y, self._bottom):
                self._look_at(self.marked, top=False)

    def _look_at(self, message_id: int, *, top: bool) -> None:
        self._turn_to(message_id)

        def look() -> None:
            view = self._window.view(message_id)
            if view is not None:
                self.scroll_to_widget(view, animate=False, top=top)

        self.call_after_refresh(look)

    def _turn_to(self, message_id: int) -> None:
        self._leave_end()
        if self._window.view(message_id) is None:
            self._window.open_at(self._branch.place_of(message_id))

    def look_for(self, looked: Looked) -> None:
        """Make words stand out; go to the hit that is looked at, if there is one."""
        self._looked = looked
        for view in self._window.views:
            view.look_for(looked)
        message_id = looked.message_id
        if message_id is not None and message_id in self._branch:
            self._turn_to(message_id)
            self.call_after_refresh(self._look_at_hit, looked)

    def _look_at_hit(self, looked: Looked) -> None:
        """Bring a hit into view, a third from the top; in a long text, once it has been read."""
        view = self._window.view(looked.message_id) if looked.message_id is not None else None
        if view is None or looked is not self._looked:
            return
        row = view.row_of_hit(looked.number)
        if row is not None:
            at = view.virtual_region.y + row
            top, page = self.scroll_y, self.container_size.height
            if not top <= at < top + page - 1:
                self.scroll_to(y=max(at - page // 3, 0), animate=False, force=True)
        elif view.is_behind:
            self.set_timer(FLUSH_S, lambda: self._look_at_hit(looked))
        else:
            self.scroll_to_widget(view, animate=False, top=True)

    def first_in_view(self) -> int | None:
        """The first message of which something is seen; None: there is none."""
        views = list(self._window.views)
        seen = [view for view in views if view.virtual_region.bottom > self.scroll_y]
        return (seen or views)[0].item.id if views else None

    def fold(self, message_id: int) -> None:
        """Show or hide what was thought before an answer."""
        view = self._window.view(message_id)
        if view is not None:
            view.action_fold()

    def walk_code(self, step: int) -> bool:
        """Mark the next block of code (1) or the one before (-1), in any message; with none marked,
        from the marked message or the lowest in view. False: there is none."""
        if self.last_id is None:
            return False
        found = self.code.find(step, self.marked or self._window.lowest(self._bottom))
        if found is not None:
            self.mark_code(found)
        return found is not None

    def mark_code(self, place: CodePlace | None) -> None:
        """Mark a block of code and its message, and bring it into view; None: no block."""
        self.code.move_to(place)
        if place is None:
            return
        self.marked = place.message_id
        self._turn_to(place.message_id)
        self.call_after_refresh(self._look_at_code)
        self.post_message(self.Marked(self.marked))

    def _look_at_code(self) -> None:
        if (region := self.code.region()) is not None:
            region = region._replace(height=min(region.height, self.container_size.height))
            self.scroll_to_region(region, animate=False, force=True)

    @property
    def _bottom(self) -> float:
        return self.scroll_y + self.container_size.height

    @property
    def _folds(self) -> int | None:
        """The message whose thought the key shows and hides."""
        return self.last_id if self.marked is None else self.marked

    def _tell_fold_key(self) -> None:
        for view in self._window.views:
            view.tell_key(view.item.id == self._folds)

    def set_raw(self, raw: bool) -> None:
        """Show answers as they were written from now on, or as Markdown."""
        self.raw = raw
        for view in self._window.views:
            self.set_raw_of(view.item.id, raw)

    def set_raw_of(self, message_id: int, raw: bool | None = None) -> None:
        """One of them; None: the other way."""
        if (view := self._window.view(message_id)) is not None:
            view.set_raw(not view.raw if raw is None else raw)
            self._note_behind(view)

    @property
    def sees_end(self) -> bool:
        """Whether the reader sees the end of the last message."""
        return self._window.at_end and self.scroll_y >= self.max_scroll_y

    def on_key(self, event: Key) -> None:
        """A letter that is no command here is none of the prompt's either."""
        if event.is_printable and event.key not in self.screen.active_bindings:
            event.stop()
            event.prevent_default()

    def watch_marked(self, old: int | None, new: int | None) -> None:
        if self.code.place is not None and self.code.place.message_id != new:
            self.mark_code(None)
        self._tell_fold_key()
        for message_id in (old, new):
            view = self._window.view(message_id) if message_id is not None else None
            if view is not None:
                view.set_class(message_id == new, "-marked")
        self.post_message(self.Marked(new))

    def on_click(self, event: Click) -> None:
        """A click marks the message under it."""
        if isinstance(event.widget, MessageView):
            self.marked = event.widget.item.id

    # Scrolling ---------------------------------------------------------------------------------

    def watch_virtual_size(self) -> None:
        super().watch_virtual_size()
        self._shift()

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        self._shift(round(new_value - old_value))

    def _shift(self, moved: int = 0) -> None:
        if self._window.shift(moved):
            if self._follows and not self._window.at_end:
                self._leave_end()
        elif moved > 0 and self.scroll_y >= self.max_scroll_y and not self._follows:
            self._stick()
