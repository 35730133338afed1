"""The chat screen: sidebar, conversation, status, keys. Owns flow, downloads and model host.

Actions start work in workers; facts come back as messages and are shown here or in the pane.
Nothing slow happens before the first paint: the model loads and the store is read after it.
"""

import asyncio

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.events import DescendantFocus, Key, Paste
from textual.message import Message as Fact
from textual.timer import Timer

from chatapp.engine.chat.files import template_for
from chatapp.layers import Layers
from chatapp.ui.chat_flow import ChatFlow
from chatapp.ui.chat_status import ChatStatus
from chatapp.ui.fetches import Fetches
from chatapp.ui.keymap import bindings, key_of, shown_keys
from chatapp.ui.messages import (
    AnswerAsked,
    AnswerEnded,
    AnswerPrefill,
    AnswerStarted,
    AnswerText,
    AnswerWaiting,
    ConversationOpened,
    ConversationsChanged,
    MessageStored,
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
from chatapp.ui.widgets.chat_list import ChatList
from chatapp.ui.widgets.hint_line import HintLine
from chatapp.ui.widgets.message_requests import (
    ContinueRequested,
    LinkClicked,
    SiblingRequested,
)
from chatapp.ui.widgets.model_choices import ModelChoices
from chatapp.ui.widgets.pane import ConversationPane
from chatapp.ui.widgets.prompt import PromptBox
from chatapp.ui.widgets.sidebar import Sidebar
from chatapp.ui.widgets.status_line import StatusLine
from chatapp.ui.widgets.transcript import Transcript
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
        self.status = ChatStatus(
            temporary=setup.temporary,
            offline=setup.offline,
            answer_now=shown_keys(key_of("answer_now"), setup.config.keys),
        )

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
            params=Layers(settings=setup.config.sampling),
            chat=setup.config.chat,
            post=self.pane.post_message,
        )
        self.fetches = Fetches(setup.paths.models, self.post_message)
        self.host = ModelHost(
            setup.client,
            setup.config.engine,
            lambda path: template_for(path, setup.config.templates, setup.paths.config),
            self.post_message,
        )
        self.pane.prompt.may_send = self._may_send
        wide = self.app.size.width >= SIDEBAR_MIN_COLUMNS
        self.query_one(Sidebar).display = wide and setup.config.ui.sidebar
        self.show_status()
        self.query_one(Welcome).show(gather_facts(setup, None))
        self.call_after_refresh(self._start)

    def _start(self) -> None:
        self.run_worker(self.load_model(self.setup.model), group="model")
        self.work_on(self._recover_and_open(), group="open")
        if self.setup.problem:
            self.choose_model(f"{clean_line(self.setup.problem)} Esc keeps the built-in model.")

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
        self.work_on(self.purge_old(), group="purge")

    # What is said

    @on(PromptBox.Submitted)
    def _send(self, event: PromptBox.Submitted) -> None:
        if not event.text.strip():
            return
        replaces = self.pane.editing
        if replaces is not None:
            self.pane.stop_editing()
            self._show_editing()
        self.pane.transcript.marked = None
        self.work_on(self.flow.send(event.text, replaces), group="answer")
        self.load_again()

    def _may_send(self) -> bool:
        """Whether a message can be sent now; if not, it is said why, and the text stays."""
        if not self.flow.answering.busy:
            return True
        self.post_message(Notice(self.flow.why_busy()))
        self.load_again()
        return False

    def on_key(self, event: Key) -> None:
        """A letter that no part of the screen has taken goes to the prompt."""
        if event.is_printable and event.character and event.key not in self.active_bindings:
            event.stop()
            event.prevent_default()
            self.pane.prompt.type(event.character)

    def on_paste(self, event: Paste) -> None:
        """So does a paste."""
        event.stop()
        self.pane.prompt.type(event.text)

    def action_stop(self) -> None:
        """One step back: the mark, editing, the answer, and then to the prompt."""
        if self.pane.transcript.marked is not None:
            self.pane.transcript.marked = None
        elif self.pane.editing is not None:
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

    def action_answer_now(self) -> None:
        """End the thought of the answer that is written in this chat."""
        answering = self.flow.answering
        if not answering.busy or answering.waiting:
            self.post_message(Notice("No model is thinking now."))
        elif answering.busy_in not in (None, self.open_id):
            self.post_message(Notice("That answer belongs to another chat: open it first."))
        elif self.status.line.host:
            self.post_message(Notice("A server cannot be told to answer now. Esc stops it."))
        elif self.status.speaks:
            self.post_message(Notice("The model is not thinking, it answers."))
        else:
            answering.answer_now()
            self.status.hurried = True
            self.show_status()

    def action_regenerate(self) -> None:
        """Another answer beside the last one."""
        self.pane.transcript.marked = None
        self.work_on(self.flow.regenerate(), group="answer")

    def action_continue(self) -> None:
        """Go on with the last answer."""
        self.pane.transcript.marked = None
        self.work_on(self.flow.resume(), group="answer")

    @on(ContinueRequested)
    def _continue(self) -> None:
        self.action_continue()

    def action_edit(self) -> None:
        """Edit the marked message of the user, or what a marked answer answers, or the last one."""
        asked = [row for row in self.flow.rows if row.role == "user"]
        if not asked:
            self.post_message(Notice("There is no message of yours to edit yet."))
            return
        marked = self.pane.transcript.marked
        before = [
            row for row in asked if marked is None or row.id <= marked
        ]  # a child's id is greater
        row = before[-1] if before else asked[0]
        self.pane.transcript.marked = None
        self.pane.start_editing(row.id, row.content)
        self._show_editing()

    def action_sibling(self, step: int) -> None:
        """Show the next version of the marked message, or of the last that has several."""
        marked = self.pane.transcript.marked
        several = [row.id for row in self.flow.rows if row.sibling_count > 1]
        if several:
            message_id = marked if marked in several else several[-1]
            self.work_on(self.flow.switch(message_id, step), group="open")

    @on(SiblingRequested)
    def _sibling(self, event: SiblingRequested) -> None:
        self.work_on(self.flow.switch(event.message_id, event.step), group="open")

    def action_copy(self) -> None:
        """Copy the marked message, or the last answer."""
        message_id = self._marked_or_answer()
        if message_id is None:
            self.post_message(Notice("There is no answer to copy yet."))
            return
        what = "the last answer" if self.pane.transcript.marked is None else "the marked message"
        text = self.pane.transcript.item(message_id).content
        self.app.copy_to_clipboard(text)
        size = f"{len(self.app.clipboard)} characters"
        self.post_message(Notice(f"Copied {what}, {size}, through the terminal (OSC 52)."))

    def action_thinking(self) -> None:
        """Show or hide the thinking of the marked message, or of the last answer."""
        message_id = self._marked_or_answer()
        if message_id is not None:
            self.pane.transcript.fold(message_id)

    def _marked_or_answer(self) -> int | None:
        marked = self.pane.transcript.marked
        answers = [row.id for row in self.flow.rows if row.role == "assistant"]
        return marked if marked is not None else answers[-1] if answers else None

    def action_mark(self, step: int) -> None:
        """Mark the message above or below."""
        self.pane.transcript.mark_next(step)

    def action_scroll_page(self, step: int) -> None:
        """Scroll the conversation."""
        self.pane.scroll_page(step)

    def action_oldest(self) -> None:
        """Go to the first message."""
        self.pane.transcript.go_to_start()

    def action_newest(self) -> None:
        """Go to the end."""
        self.pane.transcript.marked = None
        self.pane.transcript.go_to_end()

    @on(LinkClicked)
    def _show_link(self, event: LinkClicked) -> None:
        self.app.copy_to_clipboard(event.href)
        self.post_message(Notice(f"Copied the link, it was not opened: {clean_line(event.href)}"))

    # What is shown

    @on(ModelLoading)
    @on(ModelReady)
    @on(ModelFailed)
    @on(ConversationOpened)
    @on(MessageStored)
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

    @on(Transcript.Marked)
    def _follow_mark(self, event: Transcript.Marked) -> None:
        self.status.marked = event.message_id is not None
        self.show_status()

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
