"""The open conversation: send, regenerate, continue, edit, walk its versions; without widgets.

Promises: the user's message is in the store before anything else happens to it; nothing said is
ever overwritten; an answer goes on when another conversation is opened. It may not touch a
widget: it posts facts (`chatapp.ui.messages`).
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import ParamSpec, TypeVar

from textual.message import Message as Fact

from chatapp.config import ChatConfig
from chatapp.conversation import Message, make_title
from chatapp.engine.client import EngineClient
from chatapp.errors import ChatAppError, StoreError
from chatapp.layers import Layers
from chatapp.store import Store
from chatapp.store.rows import ConversationRow, MessageRow
from chatapp.ui.answering import Answering
from chatapp.ui.messages import (
    BranchCut,
    ConversationOpened,
    ConversationsChanged,
    MessageStored,
    Notice,
    Problem,
    TextReturned,
)

_P = ParamSpec("_P")
_T = TypeVar("_T")


class ChatFlow:
    """One window's conversation. Its coroutines run in workers."""

    def __init__(
        self,
        store: Store,
        client: EngineClient,
        *,
        params: Layers,
        chat: ChatConfig,
        post: Callable[[Fact], object],
    ) -> None:
        self._store = store
        self._system = chat.system
        self._post = post
        self._moving = asyncio.Lock()
        self.answering = Answering(
            store, client, params, think=chat.think, post=post, put=self._put_last
        )
        self.conversation: ConversationRow | None = None
        self.rows: list[MessageRow] = []
        """The branch that is shown, root first."""

    async def new(self) -> None:
        """An empty conversation; it gets its row with its first message."""
        async with self._moving:
            self.conversation = None
            self.rows = []
            self._post(ConversationOpened(None, []))

    async def open(self, conversation_id: int, message_id: int | None = None) -> None:
        """Show a conversation at its active leaf, or on the branch that holds `message_id`."""
        async with self._moving:
            if message_id is not None:
                await self._select_branch(conversation_id, message_id)
            await self._show(conversation_id, message_id)

    async def _show(self, conversation_id: int, message_id: int | None) -> None:
        """Read the branch that is selected; whoever calls this is the only one who moves."""
        conversation = await self._in_store(self._store.get_conversation, conversation_id)
        rows = await self._in_store(self._store.get_path, conversation_id)
        if rows and rows[-1].status == "streaming":  # the answer is ahead of its journal
            rows[-1] = self.answering.row_of(rows[-1].id) or rows[-1]
        self.conversation, self.rows = conversation, rows
        self._post(ConversationOpened(conversation, list(rows), message_id))

    async def _select_branch(self, conversation_id: int, message_id: int) -> None:
        path = await self._in_store(self._store.get_path, conversation_id)
        if all(row.id != message_id for row in path):
            leaf = await self._in_store(self._store.leaf_below, message_id)
            await self._in_store(self._store.select_leaf, conversation_id, leaf)

    async def reread(self) -> None:
        """The open conversation's title after it was renamed elsewhere."""
        async with self._moving:
            if self.conversation is not None:
                self.conversation = await self._in_store(
                    self._store.get_conversation, self.conversation.id
                )

    async def send(self, text: str, replaces: int | None = None) -> None:
        """Store a message below the last one, or as a sibling of `replaces`, and answer it."""
        if self._refuse_if_busy(text, replaces):
            return
        self.answering.claim()
        stored = False
        try:
            async with self._moving:
                conversation_id, row = await self._store_message(text, replaces)
            stored = True
        except StoreError as error:
            self._post(Problem(error))
            return
        finally:
            if not stored:
                self.answering.release()
                self._post(TextReturned(text, replaces))
        self._post(MessageStored(row))
        self._post(ConversationsChanged())
        await self._answer(conversation_id, row.id)

    async def regenerate(self) -> None:
        """Another answer to the last question, beside the ones it has; or its first one."""
        if self._refuse_if_busy() or self.conversation is None:
            return
        asked = [row for row in self.rows if row.role == "user"]
        if not asked:
            self._post(Notice("There is nothing to answer yet."))
            return
        self.answering.claim()
        self._cut_after(asked[-1].id)
        await self._answer(self.conversation.id, asked[-1].id)

    async def resume(self) -> None:
        """Go on with the last answer from its exact last token."""
        if self._refuse_if_busy() or self.conversation is None:
            return
        last = self.rows[-1] if self.rows else None
        if last is None or last.role != "assistant" or not can_go_on(last):
            self._post(Notice("The last answer is complete; there is nothing to continue."))
            return
        self.answering.claim()
        await self.answering.run(self.conversation.id, lambda turn: turn.resume(last.id))

    async def switch(self, message_id: int, step: int) -> None:
        """Show the version `step` places from `message_id`, with what was said below it."""
        if self.conversation is None or self._refuse_if_busy():
            return
        async with self._moving:
            if self.conversation is None or all(row.id != message_id for row in self.rows):
                return  # another conversation was opened meanwhile
            conversation_id = self.conversation.id
            versions = await self._in_store(self._store.siblings, message_id)
            place = versions.index(message_id) + step
            if not 0 <= place < len(versions):
                return
            leaf = await self._in_store(self._store.leaf_below, versions[place])
            await self._in_store(self._store.select_leaf, conversation_id, leaf)
            await self._show(conversation_id, versions[place])

    async def _store_message(self, text: str, replaces: int | None) -> tuple[int, MessageRow]:
        parent_id = self.rows[-1].id if self.rows else None
        if replaces is not None:
            parent_id = next((row.parent_id for row in self.rows if row.id == replaces), parent_id)
        if self.conversation is None:
            conversation_id = await self._in_store(
                self._store.create_conversation, make_title(text), self._system
            )
            self.conversation = await self._in_store(self._store.get_conversation, conversation_id)
        conversation_id = self.conversation.id
        row = await self._in_store(
            self._store.add_message, conversation_id, Message.of("user", text), parent_id
        )
        if replaces is not None:
            self._cut_after(parent_id)
        self.rows.append(row)
        return conversation_id, row

    async def _answer(self, conversation_id: int, parent_id: int) -> None:
        await self.answering.run(
            conversation_id, lambda turn: turn.answer(conversation_id, parent_id)
        )

    def _put_last(self, conversation_id: int, row: MessageRow) -> None:
        if self.conversation is None or self.conversation.id != conversation_id:
            return
        if self.rows and self.rows[-1].id == row.id:
            self.rows[-1] = row
        elif self.rows and self.rows[-1].id == row.parent_id:
            self.rows.append(row)

    def _cut_after(self, message_id: int | None) -> None:
        ids = [row.id for row in self.rows]
        kept = 0 if message_id is None else ids.index(message_id) + 1
        del self.rows[kept:]
        self._post(BranchCut(message_id))

    def _refuse_if_busy(self, text: str = "", replaces: int | None = None) -> bool:
        if not self.answering.busy:
            return False
        if text:
            self._post(TextReturned(text, replaces))
        self._post(Notice(self.why_busy()))
        return True

    def why_busy(self) -> str:
        """Why nothing can be sent now, and what to do."""
        shown = self.conversation.id if self.conversation else None
        here = self.answering.busy_in in (None, shown)
        if self.answering.waiting:
            where = "A message" if here else "A message of another chat"
            return f"{where} is waiting to be answered first. Esc there takes it back."
        if here:
            return "An answer is still being written. Esc stops it and keeps its text."
        return "An answer is still being written in another chat. Esc there stops it."

    async def _in_store(self, call: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        return await asyncio.to_thread(call, *args, **kwargs)


async def settle(work: Awaitable[None], post: Callable[[Fact], object]) -> None:
    """Run one piece of work; a failure that can be explained becomes a `Problem`."""
    try:
        await work
    except ChatAppError as error:
        post(Problem(error))


def can_go_on(row: MessageRow) -> bool:
    """Was this answer cut off: by the user, a fault, or a limit on its length?"""
    if row.status in ("stopped", "interrupted", "failed"):
        return True
    return row.generation is not None and row.generation.finish_reason == "length"
