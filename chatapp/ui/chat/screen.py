"""The chat screen: what stands where, and who is told what. The parts own the work.

Facts come back from workers as messages; each is handed to every part, which takes what concerns
it. A part's `action_…` methods are the screen's actions, so that keys, key bar and palette find
them. Nothing slow happens before the first paint: the model loads and the store is read after it.
"""

import asyncio
from collections.abc import Callable, Collection
from dataclasses import replace

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.events import DescendantFocus, Key, Paste, Resize
from textual.message import Message as Fact
from textual.screen import Screen
from textual.timer import Timer

from chatapp.commands.parsing import ECHO_DIRECTIVES
from chatapp.ui.chat.commands import Commands
from chatapp.ui.chat.desk import Desk
from chatapp.ui.chat.drafts import Drafts
from chatapp.ui.chat.parts import Parts
from chatapp.ui.draft import DraftFile
from chatapp.ui.fetches import FetchEnded, FetchMoved
from chatapp.ui.garbage import collect_now
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
    Informed,
    MessageStored,
    ModelFailed,
    ModelLoading,
    ModelReady,
    Notice,
    Problem,
    QueueChanged,
    SettingsChanged,
    TextReturned,
)
from chatapp.ui.setup import ChatSetup
from chatapp.ui.widgets.chat_list import ChatList
from chatapp.ui.widgets.find_bar import FindBar
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
from chatapp.ui.window_title import WindowTitle
from chatapp.ui.wording import clean_line, reading_time

SIDEBAR_MIN_COLUMNS = 100
"""Narrower terminals start without the sidebar."""

REDRAW_S = 0.5
"""The status line counts tokens this often: a frame costs as much for it as for the text."""


DRAFT_S = 0.5
"""What was typed is kept so soon."""


class ChatScreen(Screen[None]):
    """Where one chats."""

    BINDINGS = bindings("chat")
    AUTO_FOCUS = "#prompt"

    def __init__(self, setup: ChatSetup) -> None:
        super().__init__()
        self.setup = setup
        fallback = DraftFile(None if setup.temporary else setup.paths.draft)
        self.drafts = Drafts(setup.store, fallback, self._save_drafts_soon)
        """What was begun and not sent."""
        self.pane = ConversationPane(self.drafts, id="pane")
        """The open conversation."""
        self.desk = Desk(self, setup.config.keys, self._redraw_when)
        self.window_title = WindowTitle(setup.config.ui.window_title, self.desk.write_to_terminal)
        self.sidebar = Sidebar(setup.store, self.desk.keys, id="sidebar")
        """The list of conversations."""
        self.parts = parts = Parts(setup, self.desk, self.pane, self.sidebar, self.drafts)
        self.flow, self.status = parts.flow, parts.status
        self.acting, self.reading = parts.acting, parts.reading
        self.chats, self.removing, self.finding = parts.chats, parts.removing, parts.finding
        self.models, self.own, self.room = parts.models, parts.own, parts.room
        self.titling = parts.titling
        self.commands = Commands(
            parts.commands,
            self.desk,
            send=self._send_message,
            give_back=self.pane.put_before,
            ask_help=self._ask_help,
            passes=self._passing_words,
        )
        self.on_fact: Callable[[Fact], object] = lambda _: None
        """Told of every fact, for whoever tells it without a screen."""
        self._redraw: Timer | None = None
        self._saving: Timer | None = None
        for part in parts:
            for name in dir(part):
                if name.startswith("action_"):
                    setattr(self, name, getattr(part, name))

    def compose(self) -> ComposeResult:
        """List, conversation, status, hints."""
        with Horizontal(id="main"):
            yield self.sidebar
            yield self.pane
        yield StatusLine(id="status")
        yield HintLine(self.setup.config.keys, id="hints")

    def on_mount(self) -> None:
        """Leave everything slow for after the first paint."""
        self.window_title.follow(self)
        wide = self.app.size.width >= SIDEBAR_MIN_COLUMNS
        self.sidebar.display = wide and self.setup.config.ui.sidebar
        self.show_status()
        self.call_after_refresh(self._start)

    def on_unmount(self) -> None:
        """The window is called again what it was before."""
        self.window_title.give_back()

    def _start(self) -> None:
        self.models.begin()
        self.desk.work_on(self._recover_and_open(), group="open")
        if self.setup.problem:
            self.models.choose(f"{clean_line(self.setup.problem)} Esc keeps the built-in model.")

    async def _recover_and_open(self) -> None:
        self.desk.work_on(self.own.begin(), group="settings")
        interrupted = await asyncio.to_thread(self.setup.store.recover)
        if self.setup.conversation_id is not None:
            await self.flow.open(self.setup.conversation_id)
        else:
            self._bring_back((await self.drafts.fetch(None)).whole)
        self._bring_back(self.drafts.take_fallback())
        if self.sidebar.display:
            self.sidebar.show_open(self.setup.conversation_id)
        if interrupted:
            go_on = self.desk.keys("continue")
            self.desk.say(
                f"An answer was interrupted last time. Open its chat; {go_on} continues it."
            )
        self.desk.work_on(self.chats.purge_old(), group="purge")

    def _bring_back(self, draft: str) -> None:
        if draft:
            self.pane.put_before(draft)
            self.desk.say("What you were writing is back in the prompt.")

    @property
    def open_id(self) -> int | None:
        """The conversation on the screen."""
        return self.chats.open_id

    # What is written

    @on(PromptBox.Submitted)
    def _send(self, event: PromptBox.Submitted) -> None:
        if event.text.strip():
            self.commands.take(event.text)

    def _send_message(self, text: str) -> None:
        self.acting.send(text)
        self.models.load_again()

    def _ask_help(self, question: str) -> None:
        self.parts.knowing.ask(question)
        self.models.load_again()

    def _passing_words(self) -> Collection[str]:
        """The scripted backend obeys some words with a slash itself."""
        return ECHO_DIRECTIVES if self.setup.client.backend == "echo" else ()

    @on(PromptBox.Blank)
    def _ask_now(self) -> None:
        """Enter in an empty prompt, while a message of this chat waits for the model."""
        answering = self.flow.answering
        if answering.waiting and answering.busy_in == self.open_id:
            self.models.ask_now()

    @on(PromptBox.Stepped)
    def _take_back(self, event: PromptBox.Stepped) -> None:
        if event.step < 0:
            self.acting.take_back()

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

    def action_next_part(self) -> None:
        """From the prompt to the messages, the chats, and back."""
        self.focus_previous()

    def action_previous_part(self) -> None:
        """The other way round."""
        self.focus_next()

    def action_stop(self) -> None:
        """One step back."""
        self.titling.cancel()
        if not self.finding.close():
            self.acting.step_back()

    # What is asked for by click or in the list

    @on(ContinueRequested)
    def _continue(self) -> None:
        self.acting.action_continue()

    @on(SiblingRequested)
    def _sibling(self, event: SiblingRequested) -> None:
        self.acting.switch(event.message_id, event.step)

    @on(LinkClicked)
    def _show_link(self, event: LinkClicked) -> None:
        self.reading.show_link(event.href)

    @on(ChatList.Chosen)
    @on(ChatList.Asked)
    @on(ChatList.UndeleteRequested)
    @on(ChatList.ArchiveRequested)
    @on(ChatList.Left)
    def _do_in_list(self, wish: Fact) -> None:
        if not self.removing.do(wish):
            self.chats.do(wish)

    @on(FindBar.Asked)
    @on(FindBar.Stepped)
    @on(FindBar.Chosen)
    @on(FindBar.Closed)
    def _do_in_find_bar(self, wish: Fact) -> None:
        self.finding.do(wish)

    @on(ModelChoices.ModelChosen)
    def _load_chosen(self, event: ModelChoices.ModelChosen) -> None:
        self.models.switch_to(event.path)

    @on(ModelChoices.FetchChosen)
    def _fetch_chosen(self, event: ModelChoices.FetchChosen) -> None:
        self.models.fetch_first(event.repository, event.offer)

    # What is told

    @on(ModelLoading)
    @on(ModelReady)
    @on(ModelFailed)
    @on(ConversationOpened)
    @on(ConversationsChanged)
    @on(MessageStored)
    @on(Informed)
    @on(QueueChanged)
    @on(SettingsChanged)
    @on(AnswerWaiting)
    @on(AnswerAsked)
    @on(AnswerStarted)
    @on(AnswerPrefill)
    @on(AnswerText)
    @on(AnswerEnded)
    @on(TextReturned)
    @on(FetchMoved)
    @on(FetchEnded)
    def _take(self, fact: Fact) -> None:
        self.on_fact(fact)
        self.status.apply(fact)
        self.chats.take(fact)
        self.finding.take(fact)
        self.titling.take(fact)
        self.parts.temporary.take(fact)
        self.models.take(fact)
        self.parts.knowing.take(fact)
        self.parts.sides.take(fact)
        if isinstance(fact, AnswerEnded | ConversationOpened):
            self.call_after_refresh(collect_now)
        if isinstance(fact, AnswerEnded) and not self.app.app_focus:
            self._tell_end()
        self.room.take(fact)
        if isinstance(fact, QueueChanged):
            self.drafts.follow_queue(fact.queue)
        shown = [queued for queued in self.flow.queue if queued.conversation_id == self.open_id]
        self.pane.prompt.steps_first = bool(shown)
        if isinstance(fact, TextReturned | ConversationOpened):
            self.acting.show_editing()
        if isinstance(fact, SettingsChanged | ConversationOpened | ModelReady):
            self.status.line = replace(self.status.line, own=self.own.summary)
        self.desk.redraw(soon=isinstance(fact, AnswerText))

    @on(Transcript.Marked)
    def _follow_mark(self) -> None:
        self.reading.show_mark()

    @on(Notice)
    def _notify(self, event: Notice) -> None:
        text = clean_line(event.text)
        self.app.notify(text, timeout=reading_time(text), markup=False)

    @on(Problem)
    def _explain(self, event: Problem) -> None:
        self.desk.warn(event.error)

    def on_resize(self, event: Resize) -> None:
        """The list is as wide as the terminal allows."""
        self.sidebar.fit(event.size.width)

    def on_descendant_focus(self, event: DescendantFocus) -> None:
        """Show the keys of the part that has the focus."""
        hints = self.query_one(HintLine)
        hints.scope = "sidebar" if self.sidebar in event.widget.ancestors else "chat"
        if event.widget is self.sidebar.filter:
            hints.scope = "filter"
        if isinstance(event.widget, Transcript):
            hints.scope = "message"
            self.reading.enter()

    def _save_drafts_soon(self) -> None:
        if self._saving is None and self.is_attached:
            self._saving = self.set_timer(DRAFT_S, self._save_drafts)

    def _save_drafts(self) -> None:
        self._saving = None
        self.desk.work_on(self._save_drafts_now(), group="drafts")

    async def _save_drafts_now(self) -> None:
        await self.drafts.save()
        await self.chats.show_drafts()

    def _tell_end(self) -> None:
        """An answer has ended, and another window has the keys."""
        self.window_title.tell_end()
        if self.setup.config.ui.bell:
            self.app.bell()

    def _redraw_when(self, soon: bool) -> None:
        if not soon:
            self.show_status()
        elif self._redraw is None:
            self._redraw = self.set_timer(REDRAW_S, self.show_status)

    def show_status(self) -> None:
        """Draw the status line and the hints, and name the window."""
        if self._redraw is not None:
            self._redraw.stop()
            self._redraw = None
        self.query_one(StatusLine).facts = self.status.line
        self.query_one(HintLine).activity = self.status.activity
        chat = self.flow.conversation
        name = "temporary chat" if self.status.line.temporary else chat.title if chat else ""
        self.window_title.show(name)
