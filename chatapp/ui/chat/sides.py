"""Several answers to one question: asked for at once, compared, and one kept.

Keeping one shows it; the others stay, as its versions. It may be kept while all are written, which
goes on.
"""

import asyncio
from collections.abc import Callable, Sequence

from textual.message import Message as Fact

from chatapp.errors import UsageError
from chatapp.store import Store
from chatapp.store.rows import MessageRow
from chatapp.ui.chat.acting import Acting, name_message
from chatapp.ui.chat.commands import Does
from chatapp.ui.chat.desk import Desk
from chatapp.ui.chat.flow import ChatFlow
from chatapp.ui.messages import AnswerEnded, AnswerPrefill, AnswerStarted, AnswerText
from chatapp.ui.screens.sides import SidesScreen
from chatapp.ui.widgets.pane import ConversationPane
from chatapp.ui.wording import prefill_text


class Sides:
    """Shows answers beside each other."""

    def __init__(
        self, store: Store, flow: ChatFlow, desk: Desk, acting: Acting, pane: ConversationPane
    ) -> None:
        self._store = store
        self._flow = flow
        self._desk = desk
        self._acting = acting
        self._pane = pane
        self._open: SidesScreen | None = None
        self.tell: Callable[[Sequence[MessageRow], MessageRow], object] | None = None
        """Told answers, and which of all is shown, where there is no screen to put them on."""
        self.commands: dict[str, Does] = {
            "compare": lambda _: self.action_compare(),
            "choose": lambda args: self._desk.work_on(self._choose(int(args)), group="open"),
        }

    def take(self, fact: Fact) -> None:
        """Show several answers that begin, and what becomes of them."""
        screen = self._screen
        match fact:
            case AnswerStarted() if fact.n > 1 and fact.conversation_id == self._shown:
                if self.tell is None and self._desk.is_covered:
                    self._desk.say(f"{fact.n} answers are being written: /compare shows them.")
                elif self.tell is None:
                    self._desk.work_on(self._compare(fact.row), group="sides")
            case AnswerPrefill() if screen is not None:
                screen.set_progress(prefill_text(fact.progress))
            case AnswerText() if screen is not None:
                screen.write(fact.message_id, fact.state)
            case AnswerEnded(row=MessageRow() as row) if screen is not None or len(fact.ids) > 1:
                self._desk.work_on(self._end(row, fact.ids), group="sides")

    def action_compare(self) -> None:
        """Show the versions of the marked answer, or of the last that has several."""
        row = self._target()
        if row is None:
            self._desk.say("There is no answer to compare yet.")
        elif row.sibling_count == 1:
            several = self._desk.keys("message_several")
            self._desk.say(
                f"There is one version of {name_message(row)}. /regenerate 3 asks for three more, "
                f"as does {several} in the messages."
            )
        else:
            self._desk.work_on(self._compare(row), group="sides")

    @property
    def _shown(self) -> int | None:
        return self._flow.conversation.id if self._flow.conversation else None

    @property
    def _screen(self) -> SidesScreen | None:
        return self._open if self._open is not None and self._open.is_attached else None

    def _target(self) -> MessageRow | None:
        """The marked answer, or the one to the marked question; else the last with versions."""
        rows = self._flow.rows
        if (marked := self._acting.marked) is not None:
            below = [row for row in rows if marked.id in (row.id, row.parent_id)]
            return next((row for row in below if row.role == "assistant"), None)
        answers = [row for row in rows if row.role == "assistant"]
        several = [row for row in answers if row.sibling_count > 1]
        return next(reversed(several or answers), None)

    async def _compare(self, row: MessageRow) -> None:
        rows = await asyncio.to_thread(self._read, row.id)
        if self.tell is not None:
            self.tell(rows, row)
            return
        above = next((one for one in self._flow.rows if one.id == row.parent_id), None)
        screen = self._open = SidesScreen(
            rows,
            shown=row.id,
            question=above.content if above else "",
            look=self._pane.transcript.look,
            keys=self._desk.keys,
        )
        self._acting.unmark()
        self._desk.open(screen, self._keep)

    async def _end(self, row: MessageRow, ids: tuple[int, ...]) -> None:
        rows = await asyncio.to_thread(self._read, row.id)
        if self.tell is not None:  # the one that is shown was told while it was written
            self.tell([one for one in rows if one.id in ids and one.id != row.id], row)
        elif (screen := self._screen) is not None and any(one.id == row.id for one in rows):
            screen.put(rows)

    def _read(self, message_id: int) -> list[MessageRow]:
        """The versions of an answer; those that are being written are ahead of the store."""
        found = map(self._store.get_message, self._store.siblings(message_id))
        rows = [row for row in found if row.role == "assistant"]
        row_of = self._flow.answering.row_of
        return [row_of(row.id) or row if row.status == "streaming" else row for row in rows]

    def _keep(self, message_id: int | None) -> None:
        self._open = None
        if message_id is not None and all(row.id != message_id for row in self._flow.rows):
            self._desk.work_on(self._flow.keep(message_id), group="open")

    async def _choose(self, number: int) -> None:
        """Show the version of that number."""
        row = self._target()
        if row is None:
            raise UsageError("There is no answer to choose yet.")
        rows = await asyncio.to_thread(self._read, row.id)
        chosen = next((one for one in rows if one.sibling_index + 1 == number), None)
        if chosen is None:
            has = "one version" if len(rows) == 1 else f"{len(rows)} versions"
            raise UsageError(f"There is no version {number}: {name_message(row)} has {has}.")
        self._keep(chosen.id)
