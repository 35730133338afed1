"""The open conversation: transcript or welcome, and the prompt with its draft.

Handles the facts about answers (`chatapp.ui.messages`) that concern the conversation it shows and
lets them rise to the screen. Owns which conversation the prompt is for, and what is being edited.
"""

from collections.abc import Callable
from dataclasses import dataclass

from textual import on
from textual.app import ComposeResult
from textual.containers import Container, Vertical, VerticalScroll
from textual.events import Click
from textual.widgets import ContentSwitcher, TextArea

from chatapp.store.rows import MessageRow
from chatapp.ui.chat.drafts import Drafts
from chatapp.ui.draft import Begun
from chatapp.ui.items import describe_parts, item_of, items_of, usual_keys
from chatapp.ui.messages import (
    AnswerEnded,
    AnswerPrefill,
    AnswerStarted,
    AnswerText,
    BranchCut,
    ConversationOpened,
    MessageStored,
    TextReturned,
)
from chatapp.ui.widgets.find_bar import FindBar
from chatapp.ui.widgets.item import MessageItem
from chatapp.ui.widgets.model_choices import ModelChoices
from chatapp.ui.widgets.new_text import NewText
from chatapp.ui.widgets.prompt import PromptBox
from chatapp.ui.widgets.transcript import Transcript
from chatapp.ui.widgets.welcome import Welcome, WelcomeText
from chatapp.ui.wording import prefill_text

PLACEHOLDER = "Write a message. Enter sends, Ctrl+J starts a new line."

TEMPORARY = "temporary chat: kept nowhere"
"""Stands at the edge of the prompt."""


@dataclass(frozen=True, slots=True)
class Composing:
    """The prompt's text becomes a new message."""


@dataclass(frozen=True, slots=True)
class Editing:
    """The prompt's text becomes another version of a message."""

    message_id: int
    draft: str
    """What was in the prompt before."""


Writing = Composing | Editing


class ConversationPane(Vertical):
    """One conversation on the screen."""

    DEFAULT_CSS = """
    ConversationPane { width: 1fr; min-width: 20; }
    ConversationPane #reading { height: 1fr; layers: default above; align: right bottom; }
    ConversationPane ContentSwitcher { height: 1fr; }
    ConversationPane Transcript { height: 1fr; }
    """

    def __init__(self, drafts: Drafts, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._drafts = drafts
        self._writes_to: int | None = None
        """The conversation that the prompt's text is for: another as soon as the user turns to it,
        which is before it has been read. None: the new chat."""
        self._left: Begun | None = None
        """What was written below the first message of a new chat that was left for another new one
        before that message was stored."""
        self.welcome = Welcome(id="welcome")
        self.transcript = Transcript(id="transcript")
        self.find_bar = FindBar(id="find-bar")
        self.new_text = NewText(self.transcript)
        self.prompt = PromptBox(placeholder=PLACEHOLDER, id="prompt")
        self.conversation_id: int | None = None
        self.writing: Writing = Composing()
        """What the prompt's text is to become."""
        self._streaming_id: int | None = None
        self.keys: Callable[[str], str] = usual_keys
        """The keys of a row of the keymap, for people."""
        self.count_context: Callable[[], int] = lambda: 0
        """The context of the model that is loaded, in tokens; 0: not known."""

    def _item_of(self, row: MessageRow) -> MessageItem:
        return item_of(row, keys=self.keys, n_ctx=self.count_context())

    def compose(self) -> ComposeResult:
        """Welcome and transcript share one place above the prompt."""
        with Container(id="reading"):
            with ContentSwitcher(initial="welcome"):
                yield self.welcome
                yield self.transcript
            yield self.new_text
        yield self.find_bar
        yield self.prompt

    @property
    def choices(self) -> ModelChoices:
        """The models that the welcome offers."""
        return self.welcome.choices

    @property
    def editing(self) -> int | None:
        """The message that the prompt's text will replace as a new branch."""
        return self.writing.message_id if isinstance(self.writing, Editing) else None

    @property
    def unsent(self) -> Begun:
        """What is being written, and the draft that waits meanwhile."""
        if isinstance(self.writing, Editing):
            return Begun(self.prompt.prompt, self.writing.message_id, self.writing.draft)
        return Begun(self.prompt.prompt)

    def turn_to(self, conversation_id: int | None) -> None:
        """What is written from now on is for this conversation; it has its own draft."""
        if conversation_id == self._writes_to:
            return
        self._drafts.put(self._writes_to, self.unsent)
        self.stop_editing()
        self._writes_to = conversation_id
        self._go_on_with(self._drafts.known(conversation_id))

    def write_to(self, conversation_id: int | None) -> None:
        """The keys are the prompt's, for a conversation that need not have been read yet."""
        self.turn_to(conversation_id)
        self.prompt.focus()

    def write_to_new(self, *, leaving: bool) -> None:
        """The keys are the prompt's, for a new chat.

        `leaving`: the first message of the new chat before it is on its way to the store, and what
        was written since belongs below it.
        """
        if leaving and self._writes_to is None and self._left is None:
            self._left = self.unsent
            self.stop_editing()
            self.prompt.set_prompt("")
        self.write_to(None)

    def turn_back(self) -> None:
        """The conversation that was turned to cannot be opened."""
        self.turn_to(self.conversation_id)

    def _go_on_with(self, begun: Begun) -> None:
        """Write on at what was begun, as the version of a message if it was one."""
        if begun.replaces is None:
            self.prompt.set_prompt(begun.whole)
        else:
            self.prompt.set_prompt(begun.waits)
            self._begin_editing(begun.replaces, begun.text)

    def put_before(self, text: str) -> None:
        """Put a text before what is being written."""
        since = self.prompt.prompt
        self.prompt.set_prompt(f"{text}\n{since}" if since else text)

    @on(Transcript.Marked)
    def _leave_keys(self, event: Transcript.Marked) -> None:
        marked = event.message_id is not None
        self.prompt.leaves = frozenset({"ctrl+e"} if marked else ())

    @on(TextArea.Changed)
    def _keep_draft(self) -> None:
        self._drafts.follow(self._writes_to, lambda: self.unsent)

    def start_editing(self, message_id: int, text: str) -> None:
        """Put an earlier message into the prompt; the draft waits."""
        self._begin_editing(message_id, text)
        self.prompt.focus()

    def _begin_editing(self, message_id: int, text: str) -> None:
        before = self.writing
        draft = before.draft if isinstance(before, Editing) else self.prompt.prompt
        self.writing = Editing(message_id, draft)
        self.prompt.set_prompt(text)
        self.prompt.add_class("-editing")

    def stop_editing(self) -> int | None:
        """Bring the draft back; the message that was edited, if one was."""
        writing = self.writing
        if not isinstance(writing, Editing):
            return None
        self.writing = Composing()
        self.prompt.remove_class("-editing")
        self.prompt.set_prompt(writing.draft)
        return writing.message_id

    def show_temporary(self, temporary: bool) -> None:
        """Say whether what is written here is kept."""
        self.prompt.set_class(temporary, "-temporary")
        self.prompt.border_title = TEMPORARY if temporary else ""
        self.welcome.show_temporary(temporary)

    def rest(self) -> None:
        """No model of the first run is chosen; keys go to the prompt."""
        self.choices.forget()
        self.prompt.focus()

    def scroll_page(self, step: int) -> None:
        """A page up (-1) or down (1) in what stands above the prompt."""
        shown = self.query_one(ContentSwitcher).visible_content
        if isinstance(shown, VerticalScroll):
            (shown.scroll_page_up if step < 0 else shown.scroll_page_down)(animate=False)

    def scroll_line(self, step: int) -> None:
        """A line up (-1) or down (1) in what stands above the prompt."""
        shown = self.query_one(ContentSwitcher).visible_content
        if isinstance(shown, VerticalScroll):
            (shown.scroll_up if step < 0 else shown.scroll_down)(animate=False)

    def on_click(self, event: Click) -> None:
        """Whatever is clicked, what is typed next goes to the prompt."""
        if event.button == 1:
            self.prompt.focus()

    @on(WelcomeText.ExampleChosen)
    def _offer(self, event: WelcomeText.ExampleChosen) -> None:
        self.prompt.set_prompt(event.text)
        self.prompt.focus()

    @on(PromptBox.Stepped)
    def _step(self, event: PromptBox.Stepped) -> None:
        if self.query_one(ContentSwitcher).current == "welcome":
            self.query_one(ModelChoices).step(event.step)

    @on(PromptBox.Blank)
    def _choose(self) -> None:
        if self.query_one(ContentSwitcher).current == "welcome":
            self.query_one(ModelChoices).choose()

    @on(ConversationOpened)
    def _show(self, event: ConversationOpened) -> None:
        opened = event.conversation.id if event.conversation else None
        rows = event.rows
        self.turn_to(opened)
        self._take_draft(event.draft)
        if opened is None and self._left:  # that message was not stored
            self.put_before(self._left.whole)
        self._left = None
        if self.editing is not None and all(row.id != self.editing for row in rows):
            written = self.unsent.whole  # the message is not here any more, what was written is
            self.stop_editing()
            self.prompt.set_prompt(written)
        self.conversation_id = opened
        self.new_text.forget()
        self._streaming_id = None
        self._show_transcript(bool(rows))
        answered = bool(rows) and rows[-1].status == "streaming"
        items = items_of(rows, answered=answered, keys=self.keys, n_ctx=self.count_context())
        self.prompt.earlier = [row.content for row in rows if row.role == "user"]
        if answered:
            self.transcript.show(items[:-1])
            self.transcript.begin_answer(items[-1])
            self._streaming_id = rows[-1].id
        else:
            self.transcript.show(items)
        if event.focus_id is not None:
            self.transcript.reveal(event.focus_id)

    def _take_draft(self, draft: Begun) -> None:
        """Bring back what an earlier run has left, before what was written since."""
        if draft.replaces is None or self.editing is not None:
            if draft:
                self.put_before(draft.whole)
        else:
            if draft.waits:
                self.put_before(draft.waits)
            self._begin_editing(draft.replaces, draft.text)

    @on(MessageStored)
    def _append(self, event: MessageStored) -> None:
        if not event.shown:
            return
        self.conversation_id = event.row.conversation_id
        if self._writes_to is None:
            self._drafts.begin(self.conversation_id)
            if self._left is None:
                self._writes_to = self.conversation_id
            else:
                self._drafts.put(self.conversation_id, self._left)
                self._left = None
            self._keep_draft()
        self._show_transcript(True)
        self.transcript.append(self._item_of(event.row))

    @on(BranchCut)
    def _cut(self, event: BranchCut) -> None:
        if event.message_id is None:
            self.transcript.show([])
        else:
            self.transcript.remove_after(event.message_id)

    @on(AnswerStarted)
    def _begin(self, event: AnswerStarted) -> None:
        parent_id = event.row.parent_id
        if event.conversation_id != self.conversation_id:
            return
        if parent_id is not None:
            if not self.transcript.holds(parent_id):  # another branch was opened meanwhile
                return
            self.transcript.remove_after(parent_id)
        self.transcript.begin_answer(self._item_of(event.row))
        self._streaming_id = event.row.id

    @on(AnswerPrefill)
    def _progress(self, event: AnswerPrefill) -> None:
        if event.message_id == self._streaming_id:
            self.transcript.set_progress(event.message_id, prefill_text(event.progress))

    @on(AnswerText)
    def _stream(self, event: AnswerText) -> None:
        if event.message_id != self._streaming_id:
            return
        state = event.state
        self.transcript.write(
            event.message_id, state.text, state.reasoning, describe_parts(state.parts)
        )
        self.new_text.note()

    @on(AnswerEnded)
    def _finish(self, event: AnswerEnded) -> None:
        row = event.row
        if event.conversation_id != self.conversation_id or row is None:
            return
        if row.id != self._streaming_id:
            if self.transcript.last_id == row.parent_id:  # else another branch is shown
                self.transcript.append(self._item_of(row))
        else:
            self.transcript.finish(row.id, self._item_of(row))
            self.new_text.note()
        self._streaming_id = None

    @on(TextReturned)
    def _take_returned(self, event: TextReturned) -> None:
        if event.conversation_id == self._writes_to:
            self.give_back(event.text, event.replaces)
            return
        known = self._drafts.known(event.conversation_id)
        if event.replaces is not None and known.replaces is None:
            begun = Begun(event.text, event.replaces, known.text)
        else:
            begun = known.behind([event.text])
        self._drafts.put(event.conversation_id, begun)

    def give_back(self, text: str, replaces: int | None) -> None:
        """Put a message that was not sent back into the prompt, before what was written since."""
        if replaces is not None:
            self.start_editing(replaces, text)
        else:
            self.put_before(text)

    def _show_transcript(self, shown: bool) -> None:
        self.query_one(ContentSwitcher).current = "transcript" if shown else "welcome"
