"""Titles by the model, when it has nothing else to do (`[chat] titles = "model"`).

Promises: never while the user writes, an answer waits or a chat is opened; whatever is sent, and
Esc, ends it; a title that was given by hand stays. What fails is not said: the title stays what it
is.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from textual.message import Message as Fact

from chatapp.answer import AnswerState, apply
from chatapp.config import Titles
from chatapp.engine.client import EngineClient, GenerateRequest
from chatapp.engine.protocol import Delta, Finished
from chatapp.errors import ChatAppError
from chatapp.store import Store
from chatapp.titling import ask_for_title, read_title, wants_title
from chatapp.ui.chat.desk import Desk
from chatapp.ui.chat.flow import ChatFlow
from chatapp.ui.messages import (
    AnswerAsked,
    AnswerEnded,
    AnswerWaiting,
    ConversationOpened,
    MessageStored,
    ModelLoading,
)
from chatapp.ui.widgets.pane import ConversationPane

IDLE_S = 1.5
"""So long nothing is written or sent before a title is asked for."""


class Titling:
    """Names the open chat after its first answers."""

    def __init__(
        self,
        store: Store,
        client: EngineClient,
        flow: ChatFlow,
        desk: Desk,
        pane: ConversationPane,
        *,
        titles: Titles,
        rename: Callable[[int, str], Awaitable[None]],
    ) -> None:
        self._store = store
        self._client = client
        self._flow = flow
        self._desk = desk
        self._pane = pane
        self._on = titles == "model"
        self._rename = rename
        self._request: GenerateRequest | None = None
        self._round = 0
        """Goes up with everything that makes an attempt pointless."""

    def take(self, fact: Fact) -> None:
        """Begin after an answer; end with whatever the model or the user has to do."""
        if not self._on:
            return
        if isinstance(
            fact, MessageStored | AnswerWaiting | AnswerAsked | ModelLoading | ConversationOpened
        ):
            self.cancel()
        elif isinstance(fact, AnswerEnded) and fact.row is not None:
            self.cancel()
            work = self._write(fact.conversation_id, self._round)
            self._desk.work_on(work, group="title", alone=True)

    def cancel(self) -> None:
        """No title is written now."""
        self._round += 1
        if self._request is not None:
            self._request.cancel()

    def _is_free(self, conversation_id: int, this_round: int) -> bool:
        flow = self._flow
        shown = flow.conversation.id if flow.conversation else None
        return (
            this_round == self._round
            and shown == conversation_id
            and not flow.answering.busy
            and not flow.queue
            and not self._pane.prompt.text
        )

    async def _write(self, conversation_id: int, this_round: int) -> None:
        await asyncio.sleep(IDLE_S)
        if not self._is_free(conversation_id, this_round) or self._client.model is None:
            return
        with contextlib.suppress(ChatAppError):
            chat = await asyncio.to_thread(self._store.get_conversation, conversation_id)
            path = await asyncio.to_thread(self._store.get_path, conversation_id)
            model = self._client.model
            if model is None or not wants_title(chat, path):
                return
            title = await self._ask(
                self._client.request(ask_for_title(chat, path, model.fingerprint)),
                lambda: self._is_free(conversation_id, this_round),
            )
            now = await asyncio.to_thread(self._store.get_conversation, conversation_id)
            if title and now.title == chat.title and this_round == self._round:
                await self._rename(conversation_id, title)

    async def _ask(self, request: GenerateRequest, is_free: Callable[[], bool]) -> str:
        """What the model calls the chat; empty if it does not, or is needed elsewhere."""
        self._request = request
        state = AnswerState()
        try:
            async with contextlib.aclosing(request.events()) as events:
                async for event in events:
                    if not is_free():
                        return ""
                    if isinstance(event, Delta | Finished):
                        state = apply(state, event)
        finally:
            self._request = None
        return read_title(state.text, cut_off=state.finish_reason == "length")
