"""The messages of the shown line of a conversation, oldest first.

Promises a flat cost: whatever the length of the chat, at most a window of messages has widgets,
and streamed text is drawn on a timer, not per token. The view sticks to the end until the user
scrolls away. Calls about a message that is not shown are ignored, because an answer may still
stream for a chat that the user has left. It opens no links and changes no data: it posts what the
user asks for.
"""

from dataclasses import replace
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.events import Click

from chatapp.ui.widgets import message_requests
from chatapp.ui.widgets.item import MessageItem
from chatapp.ui.widgets.message import MessageView
from chatapp.ui.widgets.message_list import MessageList


class Transcript(MessageList, can_focus=True):
    """Shows messages; one of them may be chosen by keyboard or click."""

    DEFAULT_CSS = """
    Transcript {
        background: $background;
        scrollbar-size-vertical: 1;
        padding: 0 1;
    }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "choose(-1)", "Message above", id="message-above", show=False),
        Binding("down", "choose(1)", "Message below", id="message-below", show=False),
        Binding("left", "sibling(-1)", "Previous alternative", id="message-previous", show=False),
        Binding("right", "sibling(1)", "Next alternative", id="message-next", show=False),
        Binding("e", "edit", "Edit", id="message-edit", show=False),
        Binding("c,y", "copy", "Copy", id="message-copy", show=False),
        Binding("g", "continue", "Continue", id="message-continue", show=False),
        Binding("t", "fold", "Show thinking", id="message-thinking", show=False),
        Binding("pageup", "page(-1)", "Page up", id="transcript-page-up", show=False),
        Binding("pagedown", "page(1)", "Page down", id="transcript-page-down", show=False),
        Binding("home", "first", "Older messages", id="transcript-home", show=False),
        Binding("end", "last", "To the end", id="transcript-end", show=False),
    ]

    HELP = "The conversation. Up and down choose a message, E edits it, C copies it."

    EditRequested = message_requests.EditRequested
    ContinueRequested = message_requests.ContinueRequested
    CopyRequested = message_requests.CopyRequested
    SiblingRequested = message_requests.SiblingRequested
    LinkClicked = message_requests.LinkClicked

    # Streaming ---------------------------------------------------------------------------------

    def begin_answer(self, item: MessageItem) -> None:
        """Show an answer that is about to stream; one that is shown already goes on."""
        if any(known.id == item.id for known in self._items):
            self._replace_item(item)
            self._stick()
        else:
            self.append(item)

    def stream(self, message_id: int, text: str, reasoning: str = "") -> None:
        """More text of an answer, drawn within a few hundredths of a second."""
        view = self._views.get(message_id)
        if view is not None:
            view.add(text, reasoning)
            self._unflushed.add(message_id)
            self._wake()

    def set_progress(self, message_id: int, text: str) -> None:
        """A line in place of the answer until it starts."""
        view = self._views.get(message_id)
        if view is not None:
            view.set_progress(text)

    def finish(self, message_id: int, item: MessageItem) -> None:
        """An answer has ended; `item` is how it is kept."""
        self._replace_item(replace(item, id=message_id))

    @property
    def focused_message(self) -> int | None:
        """Id of the chosen message."""
        return self.chosen

    # Choosing ----------------------------------------------------------------------------------

    def action_choose(self, step: int) -> None:
        """Choose the message above or below; below the last one, none."""
        ids = [item.id for item in self._items]
        if not ids:
            return
        index = ids.index(self.chosen) + step if self.chosen in ids else len(ids) - 1
        if index >= len(ids):
            self.action_last()
            return
        self.chosen = ids[max(index, 0)]
        if self.chosen not in self._views:
            self._load_older()
        self.scroll_to_widget(self._views[self.chosen], animate=False)

    def action_page(self, step: int) -> None:
        """Scroll a page."""
        (self.scroll_page_up if step < 0 else self.scroll_page_down)(animate=False)

    def action_first(self) -> None:
        """Go to the top of what is loaded; more is loaded there."""
        self.scroll_home(animate=False)

    def action_last(self) -> None:
        """Go to the end and stay there."""
        self.chosen = None
        self._stick()

    def _wanted(self) -> int | None:
        """The chosen message, or else the last one."""
        return self.chosen if self.chosen is not None or not self._items else self._items[-1].id

    def action_sibling(self, step: int) -> None:
        """Ask for another alternative."""
        if (wanted := self._wanted()) is not None:
            self.post_message(self.SiblingRequested(wanted, step))

    def action_edit(self) -> None:
        """Ask to change the chosen message."""
        if (wanted := self._wanted()) is not None:
            self.post_message(self.EditRequested(wanted))

    def action_copy(self) -> None:
        """Ask for the chosen message's text."""
        if (wanted := self._wanted()) is not None:
            self.post_message(self.CopyRequested(wanted))

    def action_continue(self) -> None:
        """Ask for the rest of the chosen answer."""
        if (wanted := self._wanted()) is not None:
            self.post_message(self.ContinueRequested(wanted))

    def action_fold(self) -> None:
        """Show or hide the chosen answer's thinking."""
        wanted = self._wanted()
        if wanted is not None and wanted in self._views:
            self._views[wanted].action_fold()

    def on_click(self, event: Click) -> None:
        """A click chooses the message under it."""
        if isinstance(event.widget, MessageView):
            self.chosen = event.widget.item.id
