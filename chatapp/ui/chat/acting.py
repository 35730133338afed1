"""What the keys for a message do, and to which one: the marked message, or the last answer.

That one notion, `Target`, is what copying, editing, asking again and walking through versions act
on. It is drawn as a mark, and every sentence that tells what was done names it.
"""

import asyncio
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from chatapp.errors import UsageError
from chatapp.store.rows import MessageRow
from chatapp.ui.chat.answering import Waiting
from chatapp.ui.chat.attaching import Attaching
from chatapp.ui.chat.commands import Does
from chatapp.ui.chat.desk import Desk
from chatapp.ui.chat.flow import ChatFlow
from chatapp.ui.chat.status import ChatStatus, Speaks
from chatapp.ui.messages import as_written
from chatapp.ui.widgets.pane import ConversationPane
from chatapp.ui.wording import when_text

SEVERAL = 3
"""Answers that are asked for where nobody says how many."""
MOST_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class Target:
    """A message that something is done with."""

    row: MessageRow

    @property
    def words(self) -> str:
        """What it is called in a sentence: `the answer of 11:42`."""
        return name_message(self.row)


def name_message(row: MessageRow) -> str:
    """A message in a sentence: `the answer of 11:42`, `your message of 12 Nov`."""
    return name_said(row.role, row.created_at)


def name_said(role: str, created_at: float) -> str:
    """The same, of what was said in a role at a time."""
    when = when_text(created_at, datetime.now().astimezone())
    kinds = {"user": "your message", "assistant": "the answer", "tool": "the tool's result"}
    return f"{kinds.get(role, 'the system message')} of {when}"


def _read_count(args: str) -> int:
    """How many answers `/regenerate` is to ask for."""
    n = int(args or 1)
    if n > MOST_AT_ONCE:
        raise UsageError(
            f"{n} answers at once are too many.", f"/regenerate takes {MOST_AT_ONCE} at most."
        )
    return n


class Acting:
    """Everything one does with the messages of the open conversation."""

    def __init__(
        self,
        flow: ChatFlow,
        desk: Desk,
        status: ChatStatus,
        pane: ConversationPane,
    ) -> None:
        self._flow = flow
        self._desk = desk
        self._status = status
        self._pane = pane
        self._attaching = Attaching(flow, desk, status, pane.prompt.named)
        self._sending = asyncio.Lock()
        """One message after the other is looked at, in the order in which they were sent."""
        self.asks = False
        """A message is not sent before a question is answered."""
        self.commands: dict[str, Does] = {
            "regenerate": lambda args: self._ask_again(_read_count(args)),
            "continue": lambda _: self.action_continue(),
        }

    # Which one

    @property
    def rows(self) -> list[MessageRow]:
        """The messages that are shown, oldest first."""
        return self._flow.rows

    @property
    def marked(self) -> MessageRow | None:
        """The message that the user marked."""
        marked = self._pane.transcript.marked
        return next((row for row in self._flow.rows if row.id == marked), None)

    def target(self, *roles: str) -> Target | None:
        """The marked message, else the last one of one of the roles; without roles, of any."""
        if (row := self.marked) is not None:
            return Target(row)
        rows = [row for row in self._flow.rows if not roles or row.role in roles]
        return Target(rows[-1]) if rows else None

    def unmark(self) -> None:
        """No message is marked any more; what is typed next goes to the prompt."""
        self._pane.transcript.marked = None
        if self._pane.transcript.has_focus:
            self._pane.prompt.focus()

    def action_mark(self, step: int) -> None:
        """Mark the message above or below."""
        self._pane.transcript.mark_next(step)

    # Sending and stopping

    def send(self, text: str, *, known: bool = False) -> None:
        """Send what was written, as another version of what is being edited; ask before a file
        goes with it that the user need not have meant. `known`: with what chatapp knows of it."""
        if self._sending.locked() or self._attaching.may_name(text):
            self._desk.work_on(self._look_and_send(text, known), group="answer")
        else:
            self._send(text, known=known)

    def _send(self, text: str, *refused: Path, known: bool) -> None:
        replaces = self._pane.stop_editing()
        self.show_editing()
        self.unmark()
        self._desk.work_on(self._flow.send(text, replaces, *refused, known=known), group="answer")

    async def _look_and_send(self, text: str, known: bool) -> None:
        async with self._sending:
            refused: tuple[Path, ...] = ()
            if doubtful := await self._attaching.find_doubtful(text, self._pane.editing):
                written = as_written(text, known=known)
                self._pane.put_before(written)  # it is kept in the prompt, however this ends
                self.asks = True
                try:
                    chosen = await self._attaching.ask(doubtful)
                finally:
                    self.asks = False
                if chosen is None:
                    return
                refused = chosen
                since = self._pane.prompt.prompt.removeprefix(written)
                self._pane.prompt.set_prompt(since.removeprefix("\n"))
            self._send(text, *refused, known=known)

    def show_editing(self) -> None:
        """The hint line names what is being edited."""
        editing = self._pane.editing
        rows = (row for row in self._flow.rows if row.id == editing)
        self._status.editing = next((name_message(row) for row in rows), "")
        self._desk.redraw()

    def take_back(self) -> bool:
        """Put the message that waits last back into the prompt. False: none waits here."""
        queued = self._flow.take_back()
        if queued is not None:
            self._pane.give_back(queued.written, queued.replaces)
            self.show_editing()
        return queued is not None

    def step_back(self) -> None:
        """One step back: the mark, editing, the answer, and then to the prompt."""
        if self._pane.transcript.marked is not None or self._pane.transcript.has_focus:
            self.unmark()
        elif self._pane.editing is not None:
            self._pane.stop_editing()
            self.show_editing()
        elif self._flow.answering.busy:
            self.stop()
        else:
            self._pane.rest()

    def stop(self) -> bool:
        """Stop the answer of this chat, or take its message back from waiting. False: the answer
        is another chat's."""
        answering = self._flow.answering
        if self._is_elsewhere:
            self._desk.say("The answer belongs to another chat: Esc stops it there.")
            return False
        waits = answering.state
        if isinstance(waits, Waiting) and waits.given_up:
            self._desk.say(waits.given_up)
        elif answering.waiting:
            self._desk.say(
                f"Your message is kept, unanswered. {self._desk.keys('regenerate')} asks again."
            )
        answering.stop()
        return True

    @property
    def _is_elsewhere(self) -> bool:
        shown = self._flow.conversation.id if self._flow.conversation else None
        return self._flow.answering.busy_in not in (None, shown)

    @property
    def can_stop(self) -> bool:
        """An answer of this chat is being written or waited for."""
        return self._flow.answering.busy and not self._is_elsewhere

    def action_answer_now(self) -> None:
        """End the thought of the answer that is written in this chat."""
        answering = self._flow.answering
        if not answering.busy or answering.waiting:
            self._desk.say("No model is thinking now.")
        elif self._is_elsewhere:
            self._desk.say("The answer belongs to another chat: open it first.")
        elif self._status.line.host:
            self._desk.say("A server cannot be told to answer now. Esc stops it.")
        elif isinstance(self._status.doing, Speaks) and self._status.doing.begun:
            self._desk.say("The model is not thinking, it answers.")
        else:
            answering.answer_now()
            self._status.hurry()
            self._desk.redraw()

    # Versions

    def action_regenerate(self) -> None:
        """Another answer beside the marked one, or the last."""
        self._ask_again(1)

    def action_several(self) -> None:
        """Several answers at once beside the marked one, or the last."""
        self._ask_again(SEVERAL)

    def _ask_again(self, n: int) -> None:
        row = self.marked
        self.unmark()
        if n > 1 and self._flow.layers.given.temperature == 0:
            self._desk.say("The temperature is 0: the answers will be alike.")
        self._desk.work_on(self._flow.regenerate(row.id if row else None, n), group="answer")

    def action_continue(self) -> None:
        """Go on with the last answer."""
        self.unmark()
        self._desk.work_on(self._flow.resume(), group="answer")

    def action_edit(self) -> None:
        """Edit the marked message, or the last one of the user."""
        target = self.target("user")
        if target is None:
            self._desk.say("There is no message of yours to edit yet.")
            return
        if target.row.status == "streaming":
            self._desk.say("The answer is still being written. Esc stops it first.")
            return
        self.unmark()
        self._pane.start_editing(target.row.id, target.row.content)
        self.show_editing()

    def action_sibling(self, step: int) -> None:
        """Show another version of the marked message, or of the last that has several."""
        row = self.marked
        if row is None:
            several = [row for row in self._flow.rows if row.sibling_count > 1]
            row = several[-1] if several else None
        if row is None:
            self._desk.say("Nothing in this chat has several versions yet.")
        elif row.sibling_count == 1:
            self._desk.say(f"There is one version of {name_message(row)}.")
        else:
            self.switch(row.id, step)

    def switch(self, message_id: int, step: int) -> None:
        """Show the version so many places further."""
        self._desk.work_on(self._flow.switch(message_id, step), group="open")
