"""The open conversation: send, regenerate, continue, edit, walk its versions; without widgets.

Promises: the user's message is in the store before anything else happens to it; nothing said is
ever overwritten; an answer goes on when another conversation is opened; what is sent while one is
written waits in a queue, given back as text when the answer fails. It touches no widget, it posts.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import ParamSpec, TypeVar

from textual.message import Message as Fact

from chatapp.chat_settings import ChatSettings, read_chat_settings
from chatapp.config import ChatConfig
from chatapp.engine.client import EngineClient
from chatapp.errors import ChatAppError
from chatapp.heads import is_head
from chatapp.layers import Layers
from chatapp.sampling import SamplingParams
from chatapp.store import Store
from chatapp.store.rows import ConversationRow, MessageRow
from chatapp.turn import Turn
from chatapp.ui.chat.answering import Answering, Asked, Events, ask_as_it_is, can_go_on
from chatapp.ui.chat.drafts import Drafts
from chatapp.ui.chat.storing import Storing
from chatapp.ui.messages import (
    BranchCut,
    ConversationOpened,
    ConversationsChanged,
    MessageStored,
    Notice,
    Problem,
    QueueChanged,
    Queued,
    SettingsChanged,
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
        sampling: SamplingParams,
        chat: ChatConfig,
        post: Callable[[Fact], object],
        drafts: Drafts,
    ) -> None:
        """`sampling` and `chat` are what the settings say, for every conversation."""
        self._store = store
        self._client = client
        self._sampling = sampling
        self._chat = chat
        self._post = post
        self._drafts = drafts
        self._storing = Storing(store, post)
        self._moving = asyncio.Lock()
        self.answering = Answering(post=post, put=self._put_last)
        self.conversation: ConversationRow | None = None
        self.rows: list[MessageRow] = []
        """The branch that is shown, root first."""
        self.usual = ChatSettings()
        """What a new conversation begins with."""
        self.settings = ChatSettings()
        """What the open conversation sets for itself."""
        self.system = chat.system
        """The system prompt of the open conversation."""
        self.prepare: Callable[[ChatSettings], Awaitable[bool]] = _is_ready
        """Sees to it that the model that a conversation wants is the one that is asked. False:
        it is not there, and it was said why."""
        self.find_room: Callable[[Asked], Awaitable[bool]] = ask_as_it_is
        """Sees to it that what is asked fits the context. False: it does not, and that was said."""
        self.queue: list[Queued] = []
        """What is sent next, the first to be sent first."""

    # Opening

    async def new(self) -> None:
        """An empty conversation; it gets its row with its first message."""
        async with self._moving:
            self.conversation = None
            self.rows = []
            self.settings, self.system = self.usual, self.usual_system
            self._post(ConversationOpened(None, [], draft=await self._drafts.fetch(None)))

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
            self.answering.keep(rows[-1].id)
        self.conversation, self.rows = conversation, rows
        self.settings, wrong = read_chat_settings(conversation.settings)
        self.system = conversation.system
        for sentence in wrong:
            self._post(Notice(sentence))
        draft = await self._drafts.fetch(conversation_id)
        self._post(ConversationOpened(conversation, list(rows), message_id, draft))

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
            if 0 <= place < len(versions):
                await self._select_branch(conversation_id, versions[place])
                await self._show(conversation_id, versions[place])

    async def keep(self, message_id: int) -> None:
        """Show this one of several answers, also while they are written; the others stay."""
        async with self._moving:
            if (shown := self.conversation) is not None:
                await self._select_branch(shown.id, message_id)
                await self._show(shown.id, None)

    # What the chat sets for itself

    @property
    def layers(self) -> Layers:
        """Who asked for which sampling parameter, in the open conversation."""
        return self.settings.layers(self._sampling)

    @property
    def usual_system(self) -> str:
        """The system prompt of a new conversation."""
        preset = self.usual.preset
        return (preset.system if preset else "") or self._chat.system

    async def begin_with(self, settings: ChatSettings) -> None:
        """Let new conversations begin with these settings, and the present one if it is new."""
        async with self._moving:
            fresh = self.conversation is None and self.settings == self.usual
            self.usual = settings
            if fresh:
                self.settings, self.system = settings, self.usual_system
                self._post(SettingsChanged())

    async def change(self, settings: ChatSettings) -> None:
        """Set this for the open conversation, from its next answer on."""
        async with self._moving:
            self.settings = settings
            if (shown := self.conversation) is not None:
                await self._in_store(self._store.set_settings, shown.id, settings.write())
                self.conversation = replace(shown, settings=settings.write())
            self._post(SettingsChanged())

    async def change_system(self, text: str) -> None:
        """Give the open conversation this system prompt."""
        async with self._moving:
            self.system = text
            if (shown := self.conversation) is not None:
                await self._in_store(self._store.set_system, shown.id, text)
                self.conversation = replace(shown, system=text)
            self._post(SettingsChanged())

    # Asking

    async def send(
        self, text: str, replaces: int | None = None, *refused: Path, known: bool = False
    ) -> None:
        """Store a message below the last one or beside `replaces`, and answer it after others."""
        shown = self.conversation.id if self.conversation else None
        queued = Queued(shown, text, replaces, refused, known)
        if self.answering.busy or self.queue:
            self.queue.append(queued)
            self._post(QueueChanged(tuple(self.queue)))
        else:
            await self.go_on(await self._send(queued))

    def take_back(self) -> Queued | None:
        """The message of this conversation that was queued last, which is then no longer sent."""
        shown = self.conversation.id if self.conversation else None
        for queued in reversed(self.queue):
            if queued.conversation_id == shown:
                self.queue.remove(queued)
                self._post(QueueChanged(tuple(self.queue)))
                return queued
        return None

    def withdraw(self, conversation_ids: Sequence[int]) -> None:
        """Send nothing that waits in these conversations: it is their drafts again."""
        gone = [one for one in self.queue if one.conversation_id in conversation_ids]
        if gone:
            self.queue = [one for one in self.queue if one not in gone]
            self._post(QueueChanged(tuple(self.queue)))
        for queued in reversed(gone):
            self._give_back(queued)

    async def regenerate(self, message_id: int | None = None, n: int = 1) -> None:
        """Another answer to a question, or `n` at once, beside the ones it has; or its first.

        `message_id` is the question or an answer to it; None: the last question.
        """
        if self._refuse_if_busy() or self.conversation is None:
            return
        ids = [row.id for row in self.rows]
        end = ids.index(message_id) + 1 if message_id in ids else len(ids)
        asked = [row for row in self.rows[:end] if row.role == "user"]
        if not asked:
            self._post(Notice("There is nothing to answer yet."))
            return
        self.answering.claim()
        self._cut_after(asked[-1].id)
        await self.go_on(await self._answer(self.conversation.id, asked[-1].id, n))

    async def resume(self) -> None:
        """Go on with the last answer from its exact last token."""
        if self._refuse_if_busy() or self.conversation is None:
            return
        last = self.rows[-1] if self.rows else None
        if last is None or last.role != "assistant" or not can_go_on(last):
            self._post(Notice("The last answer is complete; there is nothing to continue."))
            return
        self.answering.claim()
        asked = Asked(self.conversation.id, last.id, goes_on=True)
        well = await self._ask(asked, lambda turn: turn.resume(asked.message_id))
        await self.go_on(well)

    async def go_on(self, well: bool = True) -> None:
        """Send what waits; when the answer before could not be made, give it back as text. To be
        called by whoever has claimed the answer, when it is released."""
        while self.queue and not self.answering.busy:
            queued = self.queue.pop(0)
            self._post(QueueChanged(tuple(self.queue)))
            if well:
                well = await self._send(queued)
            else:
                self._give_back(queued)

    def _give_back(self, queued: Queued) -> None:
        self._post(TextReturned(queued.conversation_id, queued.written, queued.replaces))

    async def _send(self, queued: Queued) -> bool:
        self.answering.claim()
        stored = False
        try:
            async with self._moving:
                row, shown = await self._store_message(queued)
            stored = True
        except ChatAppError as error:
            self._post(Problem(error))
            return False
        finally:
            if not stored:
                self.answering.release()
                self._give_back(queued)
        self._post(MessageStored(row, shown))
        self._post(ConversationsChanged())
        if row.role != "user":  # the model's own words, as the user would have them
            self.answering.release()
            return True
        return await self._answer(row.conversation_id, row.id)

    async def _store_message(self, queued: Queued) -> tuple[MessageRow, bool]:
        """(its row, whether it is shown). Where the message belongs is looked up now: the answer
        before it has ended."""
        conversation_id = queued.conversation_id
        if conversation_id is None:
            conversation_id = await self._create(queued.text)
        conversation = await self._in_store(self._store.get_conversation, conversation_id)
        shown = self.conversation is not None and self.conversation.id == conversation_id
        if queued.replaces is not None:
            replaced = await self._in_store(self._store.get_message, queued.replaces)
            row = await self._storing.replace(replaced, queued)
            if not shown:
                return row, False
            if is_head(row) or row.parent_id not in (None, *(above.id for above in self.rows)):
                await self._show(conversation_id, row.id)  # what is below it, or its own branch
                return row, False
            self._cut_after(row.parent_id)
        else:
            parent_id = conversation.active_leaf_id
            if shown:
                parent_id = self.rows[-1].id if self.rows else None
            row = await self._storing.add(conversation, parent_id, queued)
        if shown:
            self.rows.append(row)
        return row, shown

    async def _create(self, text: str) -> int:
        """A new conversation; the open one if the user is still in the new chat."""
        is_here = self.conversation is None
        system = self.system if is_here else self.usual_system
        settings = self.settings if is_here else self.usual
        new = await self._storing.create(text, system, settings)
        if is_here:
            self.conversation = await self._in_store(self._store.get_conversation, new)
        if any(queued.conversation_id is None for queued in self.queue):
            # What waits behind its first message was written in the same new chat.
            self.queue = [replace(q, conversation_id=q.conversation_id or new) for q in self.queue]
            self._post(QueueChanged(tuple(self.queue)))
        return new

    async def _answer(self, conversation_id: int, parent_id: int, n: int = 1) -> bool:
        asked = Asked(conversation_id, parent_id, n=n)
        return await self._ask(asked, lambda turn: turn.answer(conversation_id, asked.message_id))

    async def _ask(self, asked: Asked, begin: Callable[[Turn], Events]) -> bool:
        """Ask, as long as the engine refuses what is asked and there is a way to make it fit."""
        well = await self._run(asked, begin)
        while (overflow := self.answering.overflow) is not None:
            asked.refused = overflow.message
            self.answering.claim()
            well = await self._run(asked, begin)
        return well

    async def _run(self, asked: Asked, begin: Callable[[Turn], Events]) -> bool:
        """One turn, as its conversation wants it. Needs `claim` before it."""
        self.answering.place(asked.conversation_id)
        settings = None
        try:
            row = await self._in_store(self._store.get_conversation, asked.conversation_id)
            settings, _ = read_chat_settings(row.settings)
            if not await self.prepare(settings):
                settings = None
        except ChatAppError as error:
            self._post(Problem(error))
        finally:
            if settings is None:
                self.answering.release()
        if settings is None:
            return False
        turn = Turn(
            self._store,
            self._client,
            params=settings.layers(self._sampling),
            think=settings.choose_think(self._chat.think),
            n=asked.n,
        )
        return await self.answering.run(
            asked.conversation_id, turn, lambda: begin(turn), lambda: self.find_room(asked)
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

    def _refuse_if_busy(self) -> bool:
        if not self.answering.busy:
            return False
        self._post(Notice(self.why_busy()))
        return True

    def why_busy(self) -> str:
        """Why nothing else can be asked now, and what to do."""
        return self.answering.why_busy(self.conversation.id if self.conversation else None)

    async def _in_store(self, call: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        return await asyncio.to_thread(call, *args, **kwargs)


async def _is_ready(_settings: ChatSettings) -> bool:
    return True
