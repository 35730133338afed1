"""The chat screen: sidebar, conversation, status, keys. Owns flow, downloads and model host.

Actions start work in workers; facts come back as messages and are shown here or in the pane.
Nothing slow happens before the first paint: the model loads and the store is read after it.
"""

import asyncio

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.events import DescendantFocus
from textual.message import Message as Fact
from textual.timer import Timer

from chatapp.store.rows import MessageRow
from chatapp.ui.chat_flow import ChatFlow
from chatapp.ui.chat_status import ChatStatus
from chatapp.ui.fetches import Fetches
from chatapp.ui.keymap import bindings
from chatapp.ui.messages import (
    AnswerAsked,
    AnswerEnded,
    AnswerPrefill,
    AnswerStarted,
    AnswerText,
    AnswerWaiting,
    ConversationOpened,
    ConversationsChanged,
    ModelFailed,
    ModelLoading,
    ModelReady,
    Notice,
    Problem,
    TextReturned,
)
from chatapp.ui.model_host import ModelHost
from chatapp.ui.screens.chat_models import ChatModelsScreen
from chatapp.ui.setup import ChatSetup
from chatapp.ui.widgets.hint_line import HintLine
from chatapp.ui.widgets.message_requests import (
    ContinueRequested,
    CopyRequested,
    EditRequested,
    LinkClicked,
    SiblingRequested,
)
from chatapp.ui.widgets.model_choices import ModelChoices
from chatapp.ui.widgets.pane import ConversationPane
from chatapp.ui.widgets.prompt import PromptBox
from chatapp.ui.widgets.sidebar import ChatList, Sidebar
from chatapp.ui.widgets.status_line import StatusLine
from chatapp.ui.widgets.welcome import Welcome, gather_facts
from chatapp.ui.wording import clean_line, explain

SIDEBAR_MIN_COLUMNS = 100
"""Narrower terminals start without the sidebar."""

REDRAW_S = 0.2
"""The status line counts tokens this often: at every token it cost as much as the text."""


class ChatScreen(ChatModelsScreen):
    """Where one chats."""

    CSS_PATH = "chat.tcss"
    BINDINGS = bindings("chat")
    AUTO_FOCUS = "#prompt"

    def __init__(self, setup: ChatSetup) -> None:
        super().__init__(setup)
        self._redraw: Timer | None = None
        self.status = ChatStatus(temporary=setup.temporary, offline=setup.offline)

    def compose(self) -> ComposeResult:
        """List, conversation, status, hints."""
        with Horizontal(id="main"):
            yield Sidebar(self.setup.store, id="sidebar")
            yield ConversationPane(id="pane")
        yield StatusLine(id="status")
        yield HintLine(self.setup.config.keys, id="hints")

    def on_mount(self) -> None:
        """Tie the flow to the pane; leave everything slow for after the first paint."""
        setup = self.setup
        self.flow = ChatFlow(
            setup.store,
            setup.client,
            params=setup.config.sampling,
            system=setup.config.chat.system,
            post=self.pane.post_message,
        )
        self.fetches = Fetches(setup.paths.models, self.post_message)
        self.host = ModelHost(setup.client, setup.config.engine, self.post_message)
        wide = self.app.size.width >= SIDEBAR_MIN_COLUMNS
        self.query_one(Sidebar).display = wide and setup.config.ui.sidebar
        self.show_status()
        self.query_one(Welcome).show(gather_facts(setup, None))
        self.call_after_refresh(self._start)

    def _start(self) -> None:
        self.run_worker(self.load_model(self.setup.model), group="model")
        self.work_on(self._recover_and_open(), group="open")

    async def _recover_and_open(self) -> None:
        interrupted = await asyncio.to_thread(self.setup.store.recover)
        if self.setup.conversation_id is not None:
            await self.flow.open(self.setup.conversation_id)
        if self.query_one(Sidebar).display:
            self.query_one(Sidebar).show_open(self.setup.conversation_id)
        if interrupted:
            self.post_message(
                Notice("An answer was interrupted last time. Open its chat; Ctrl+G continues it.")
            )

    # What is said

    @on(PromptBox.Submitted)
    def _send(self, event: PromptBox.Submitted) -> None:
        if not event.text.strip():
            return
        replaces = self.pane.editing
        if replaces is not None:
            self.pane.stop_editing()
            self._show_editing()
        self.work_on(self.flow.send(event.text, replaces), group="answer")
        self.load_again()

    def action_stop(self) -> None:
        """Leave editing, or stop the answer, or go back to the prompt."""
        if self.pane.editing is not None:
            self.pane.stop_editing()
            self._show_editing()
        elif self.flow.answering.busy:
            self.stop_answer()
        else:
            self.query_one(ModelChoices).forget()
            self.pane.prompt.focus()

    def stop_answer(self) -> None:
        """Stop the answer of this chat, or take its message back from waiting."""
        answering = self.flow.answering
        if answering.busy_in not in (None, self.open_id):
            self.post_message(Notice("That answer belongs to another chat: Esc stops it there."))
            return
        if answering.waiting:
            self.post_message(Notice("Your message is kept, unanswered. Ctrl+R asks again."))
        answering.stop()

    def action_regenerate(self) -> None:
        """Another answer beside the last one."""
        self.work_on(self.flow.regenerate(), group="answer")

    def action_continue(self) -> None:
        """Go on with the last answer."""
        self.work_on(self.flow.resume(), group="answer")

    @on(ContinueRequested)
    def _continue(self) -> None:
        self.action_continue()

    def action_edit(self) -> None:
        """Edit the focused message of the user, or the last one."""
        asked = [row for row in self.flow.rows if row.role == "user"]
        if not asked:
            self.post_message(Notice("There is no message of yours to edit yet."))
            return
        focused = self.pane.transcript.focused_message
        row = next((row for row in asked if row.id == focused), asked[-1])
        self._edit(row)

    @on(EditRequested)
    def _edit_requested(self, event: EditRequested) -> None:
        for row in self.flow.rows:
            if row.id == event.message_id and row.role == "user":
                self._edit(row)

    def _edit(self, row: MessageRow) -> None:
        self.pane.start_editing(row.id, row.content)
        self._show_editing()

    def action_sibling(self, step: int) -> None:
        """Show the next version of the focused message, or of the last that has several."""
        focused = self.pane.transcript.focused_message
        several = [row.id for row in self.flow.rows if row.sibling_count > 1]
        if several:
            message_id = focused if focused in several else several[-1]
            self.work_on(self.flow.switch(message_id, step), group="open")

    @on(SiblingRequested)
    def _sibling(self, event: SiblingRequested) -> None:
        self.work_on(self.flow.switch(event.message_id, event.step), group="open")

    def action_copy(self) -> None:
        """Copy the focused message, or the last answer."""
        focused = self.pane.transcript.focused_message
        rows = [row for row in self.flow.rows if row.id == focused]
        rows = rows or [row for row in self.flow.rows if row.role == "assistant"]
        if not rows:
            self.post_message(Notice("There is no answer to copy yet."))
            return
        self._copy(rows[-1].id)

    @on(CopyRequested)
    def _copy_requested(self, event: CopyRequested) -> None:
        self._copy(event.message_id)

    def _copy(self, message_id: int) -> None:
        text = self.pane.transcript.item(message_id).content
        self.app.copy_to_clipboard(text)
        self.post_message(Notice(f"Copied {len(text)} characters through the terminal (OSC 52)."))

    @on(LinkClicked)
    def _show_link(self, event: LinkClicked) -> None:
        self.app.copy_to_clipboard(event.href)
        self.post_message(Notice(f"Copied the link, it was not opened: {clean_line(event.href)}"))

    # What is shown

    @on(ModelLoading)
    @on(ModelReady)
    @on(ModelFailed)
    @on(ConversationOpened)
    @on(AnswerWaiting)
    @on(AnswerAsked)
    @on(AnswerStarted)
    @on(AnswerPrefill)
    @on(AnswerEnded)
    def _note(self, fact: Fact) -> None:
        self.status.apply(fact)
        self.show_status()

    @on(AnswerText)
    def _count(self, fact: AnswerText) -> None:
        self.status.apply(fact)
        self.show_status_soon()

    @on(Notice)
    def _notify(self, event: Notice) -> None:
        self.app.notify(clean_line(event.text), markup=False)

    @on(Problem)
    def _explain(self, event: Problem) -> None:
        self.app.notify(explain(event.error), severity="warning", timeout=12, markup=False)

    @on(TextReturned)
    @on(ConversationOpened)
    def _follow_editing(self) -> None:
        self._show_editing()

    @on(ConversationsChanged)
    def _relist(self) -> None:
        self.refresh_list()

    def on_descendant_focus(self, event: DescendantFocus) -> None:
        """Show the keys of the part that has the focus."""
        self.query_one(HintLine).scope = "sidebar" if isinstance(event.widget, ChatList) else "chat"

    def _show_editing(self) -> None:
        self.status.editing = self.pane.editing is not None
        self.show_status()

    def show_status_soon(self) -> None:
        """Draw the status line, a few times a second at most."""
        if self._redraw is None:
            self._redraw = self.set_timer(REDRAW_S, self.show_status)

    def show_status(self) -> None:
        """Draw the status line and the hints."""
        self._redraw = None
        self.query_one(StatusLine).facts = self.status.line
        self.query_one(HintLine).activity = self.status.activity
