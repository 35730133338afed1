"""The answer that is being written, or that waits for the model: one at a time, without widgets.

Runs a `Turn` and posts what becomes of it (`chatapp.ui.messages`). May not touch a widget. A
question that waits here is in the store already; quitting while it waits loses nothing.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

from textual.message import Message as Fact

from chatapp.engine.client import EngineClient
from chatapp.engine.protocol import Delta, Finished, PrefillProgress
from chatapp.errors import ChatAppError, StoreError
from chatapp.parts import parts_of
from chatapp.sampling import SamplingParams
from chatapp.store import Store
from chatapp.store.rows import MessageRow
from chatapp.turn import Turn
from chatapp.ui.messages import (
    AnswerAsked,
    AnswerEnded,
    AnswerPrefill,
    AnswerStarted,
    AnswerText,
    AnswerWaiting,
    ConversationsChanged,
    Problem,
)

Events = AsyncIterator[PrefillProgress | Delta | Finished]


class Answering:
    """At most one answer, in whichever conversation. `stop` may be called from anywhere."""

    def __init__(
        self,
        store: Store,
        client: EngineClient,
        params: SamplingParams,
        *,
        post: Callable[[Fact], object],
        put: Callable[[int, MessageRow], None],
    ) -> None:
        self._store = store
        self._client = client
        self._params = params
        self._post = post
        self._put = put
        """Told of the answer's row in a conversation whenever it changes its status."""
        self._turn: Turn | None = None
        self._said = ""
        self._gate = asyncio.Event()
        self._withdrawn = False
        self._model_ready = False
        self.busy_in: int | None = None
        """The conversation whose answer is being written or waited for."""
        self.idle = asyncio.Event()
        """Set while no answer is being written or waited for."""
        self.idle.set()

    @property
    def busy(self) -> bool:
        """An answer is being written or waited for."""
        return not self.idle.is_set()

    @property
    def waiting(self) -> bool:
        """A stored message waits for the model."""
        return self.busy and self._turn is None

    @property
    def streaming(self) -> tuple[int, str] | None:
        """Id and text so far of the answer that is being written."""
        if self._turn is None or not self._turn.message_id:
            return None
        return self._turn.message_id, self._said

    def claim(self) -> None:
        """From now on busy, until `release` or the end of `run`."""
        self._withdrawn = False
        self.idle.clear()

    def release(self) -> None:
        """No longer busy."""
        self._turn = None
        self.busy_in = None
        self.idle.set()

    def set_model_ready(self, ready: bool) -> None:
        """Open or close the gate that questions wait at."""
        self._model_ready = ready
        self._gate.set()

    def stop(self) -> None:
        """Stop the answer, or no longer wait to ask for it. Returns at once, loses nothing."""
        self._withdrawn = True
        self._gate.set()
        if self._turn is not None:
            self._turn.stop()

    async def run(
        self, conversation_id: int, begin: Callable[[Turn], Events], said: str = ""
    ) -> None:
        """Wait for the model, run one turn and tell how it ended. Needs `claim` before it.

        `begin` starts the turn; `said` is what the answer has already when it is continued.
        """
        self.busy_in = conversation_id
        self._said = said
        error: ChatAppError | None = None
        finished: Finished | None = None
        turn = Turn(self._store, self._client, params=self._params)
        try:
            try:
                if await self._wait_for_model(conversation_id):
                    self._turn = turn
                    self._post(AnswerAsked(conversation_id))
                    finished = await self._run(conversation_id, turn, begin(turn))
            except ChatAppError as problem:
                error = problem
            row = await self._last_state(conversation_id, turn)
        finally:
            self.release()
        self._post(AnswerEnded(conversation_id, row, finished))
        self._post(ConversationsChanged())
        if error is not None:
            self._post(Problem(error))

    async def _wait_for_model(self, conversation_id: int) -> bool:
        if not self._model_ready:
            self._post(AnswerWaiting(conversation_id))
        while not self._model_ready and not self._withdrawn:
            self._gate.clear()
            await self._gate.wait()
        return not self._withdrawn

    async def _run(self, conversation_id: int, turn: Turn, events: Events) -> Finished | None:
        started = False
        finished: Finished | None = None
        async for event in events:
            if not started:
                started = True
                row = await asyncio.to_thread(self._store.get_message, turn.message_id)
                row = replace(row, parts=parts_of(self._said))  # the journal may be ahead by now
                self._put(conversation_id, row)
                self._post(AnswerStarted(conversation_id, row))
            if isinstance(event, PrefillProgress):
                self._post(AnswerPrefill(conversation_id, turn.message_id, event))
            elif isinstance(event, Delta):
                self._post_text(conversation_id, turn.message_id, event)
            else:
                finished = event
        return finished

    def _post_text(self, conversation_id: int, message_id: int, event: Delta) -> None:
        if event.channel == "answer":
            self._said += event.text
        fact = AnswerText(conversation_id, message_id, event.text, event.channel, len(event.tokens))
        self._post(fact)

    async def _last_state(self, conversation_id: int, turn: Turn) -> MessageRow | None:
        """What the store has of the answer; None when it never began or cannot be read."""
        if not turn.message_id:
            return None
        try:
            row = await asyncio.to_thread(self._store.get_message, turn.message_id)
        except StoreError as error:
            self._post(Problem(error))
            return None
        if row.status == "streaming":  # its end could not be stored: the screen keeps the text
            row = replace(row, parts=parts_of(self._said), status="interrupted")
        self._put(conversation_id, row)
        return row
