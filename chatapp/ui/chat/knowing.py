"""What chatapp knows of itself, put before a question: before every one where the model wants it,
and before one that was asked with `/help`."""

import asyncio
from collections.abc import Awaitable, Callable

from textual.message import Message as Fact

from chatapp.errors import UsageError
from chatapp.informing import GetGuide, inform
from chatapp.ui.chat.acting import Acting
from chatapp.ui.chat.answering import Asked
from chatapp.ui.chat.desk import Desk
from chatapp.ui.chat.flow import ChatFlow
from chatapp.ui.items import item_of
from chatapp.ui.messages import Informed, ModelReady
from chatapp.ui.setup import ChatSetup
from chatapp.ui.widgets.pane import ConversationPane


class Knowing:
    """Finds it when the model is there and before anybody looks for room."""

    def __init__(
        self,
        setup: ChatSetup,
        flow: ChatFlow,
        acting: Acting,
        desk: Desk,
        pane: ConversationPane,
        *,
        find_room: Callable[[Asked], Awaitable[bool]],
    ) -> None:
        self._setup = setup
        self._flow = flow
        self._acting = acting
        self._desk = desk
        self._pane = pane
        self._find_room = find_room

    def take(self, fact: Fact) -> None:
        """Make what a model will want, while nothing else is to be done."""
        get_guide = self._setup.get_guide
        if isinstance(fact, ModelReady) and fact.model.guide and get_guide is not None:
            self._desk.work_on(_make(get_guide), group="guide")

    def ask(self, question: str) -> None:
        """`/help QUESTION`: ask the model, with what is known of it."""
        if self._setup.get_guide is None:
            raise UsageError("Nothing is known of this program here.", "/help lists the commands.")
        self._acting.send(question, known=True)

    async def prepare(self, asked: Asked) -> bool:
        """Put what is known before a question, and see to it that it fits. False: it does not."""
        model = self._setup.client.model
        if (get_guide := self._setup.get_guide) is not None and not asked.goes_on:
            always = model is not None and model.guide
            row = await asyncio.to_thread(
                inform, self._setup.store, asked.message_id, get_guide, always=always
            )
            rows = self._flow.rows
            for place, shown in enumerate(rows):
                if row is not None and shown.id == row.id:
                    rows[place] = row
                    self._pane.transcript.finish(row.id, item_of(row))
                    self._pane.screen.post_message(Informed(row))
        return await self._find_room(asked)


async def _make(get_guide: GetGuide) -> None:
    await asyncio.to_thread(get_guide)
