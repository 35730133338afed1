"""What is being answered, or waits for the model: one question at a time, without widgets.

Runs a `Turn` and posts what becomes of it (`chatapp.ui.messages`). May not touch a widget. A
question that waits here is in the store already; quitting while it waits loses nothing.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from textual.message import Message as Fact

from chatapp.answer import AnswerState
from chatapp.engine.protocol import Delta, Finished, PrefillProgress
from chatapp.errors import ChatAppError, ContextOverflowError, StoreError
from chatapp.fullness import ended_at_context
from chatapp.store.rows import MessageRow
from chatapp.thinking import explain_silence, is_only_thought
from chatapp.turn import Turn
from chatapp.ui.chat.gathering import Gathering
from chatapp.ui.items import usual_keys
from chatapp.ui.messages import (
    AnswerAsked,
    AnswerEnded,
    AnswerPrefill,
    AnswerStarted,
    AnswerText,
    AnswerWaiting,
    ConversationsChanged,
    Notice,
    Problem,
)

_T = TypeVar("_T")
Events = AsyncIterator[PrefillProgress | Delta | Finished]


@dataclass(slots=True)
class Asked:
    """What the model is to be asked; it may move to a shorter branch before that."""

    conversation_id: int
    message_id: int
    """The question, or the answer that is gone on with."""
    goes_on: bool = False
    n: int = 1
    """So many answers are wanted at once."""
    refused: str = ""
    """What the engine said of its length, when it was asked before."""


@dataclass(frozen=True, slots=True)
class Idle:
    """Nothing is being answered."""


@dataclass(frozen=True, slots=True)
class Storing:
    """A message is on its way into the store, and is to be answered then."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A stored message waits for the model, or a chat is looked at by it."""

    conversation_id: int
    given_up: str = ""
    """What is said when it is stopped, if that is not that a message is kept."""


@dataclass(frozen=True, slots=True)
class Writing:
    """The model was asked."""

    conversation_id: int
    turn: Turn


State = Idle | Storing | Waiting | Writing


class Answering:
    """At most one question, in whichever conversation. `stop` may be called from anywhere."""

    def __init__(
        self, *, post: Callable[[Fact], object], put: Callable[[int, MessageRow], None]
    ) -> None:
        self._post = post
        self._put = put
        """Told of the answer's row in a conversation whenever it changes its status."""
        self.state: State = Idle()
        self._last: Turn | None = None
        """The turn that runs or ran last."""
        self._unsaved: list[Turn] = []
        """Turns whose end the store did not take."""
        self.overflow: ContextOverflowError | None = None
        """The last answer was refused because its prompt does not fit, which is not told yet."""
        self.keys: Callable[[str], str] = usual_keys
        """The keys of a row of the keymap, for people."""
        self._gate = asyncio.Event()
        self._withdrawn = False
        self._model_ready = False
        self.idle = asyncio.Event()
        """Set while no answer is being written or waited for."""
        self.idle.set()

    @property
    def busy(self) -> bool:
        """An answer is being written or waited for."""
        return not isinstance(self.state, Idle)

    @property
    def waiting(self) -> bool:
        """A message waits for the store or the model."""
        return isinstance(self.state, Storing | Waiting)

    @property
    def busy_in(self) -> int | None:
        """The conversation whose answer is being written or waited for; None: not known yet."""
        return self.state.conversation_id if isinstance(self.state, Waiting | Writing) else None

    @property
    def row(self) -> MessageRow | None:
        """The answer that is being written, as it stands now."""
        return self.state.turn.row if isinstance(self.state, Writing) else None

    def row_of(self, message_id: int) -> MessageRow | None:
        """How an answer that is being written, or was written last, stands now; None: not one."""
        return self._last.row_of(message_id) if self._last else None

    def keep(self, message_id: int) -> None:
        """Of several that are being written, this one is shown."""
        if isinstance(self.state, Writing):
            self.state.turn.keep(message_id)

    def why_busy(self, shown: int | None) -> str:
        """Why nothing else can be asked now, and what to do, where that conversation is shown."""
        here = self.busy_in in (None, shown)
        if self.waiting:
            where = "A message" if here else "A message of another chat"
            return f"{where} is waiting to be answered first. Esc there takes it back."
        if here:
            return "An answer is still being written. Esc stops it and keeps its text."
        return "An answer is still being written in another chat. Esc there stops it."

    def claim(self) -> None:
        """From now on busy, until `release` or the end of `run`."""
        self._withdrawn = False
        self.overflow = None
        self.state = Storing()
        self.idle.clear()

    def place(self, conversation_id: int, given_up: str = "") -> None:
        """What was claimed is a message of this conversation, which waits from now on; or other
        work on it, and `given_up` is what is said when that is stopped."""
        self.state = Waiting(conversation_id, given_up)

    async def unless_stopped(self, work: Awaitable[_T]) -> _T | None:
        """What `work` comes to; None as soon as it is stopped."""
        working = asyncio.ensure_future(work)
        try:
            while not working.done() and not self._withdrawn:
                self._gate.clear()
                stopping = asyncio.ensure_future(self._gate.wait())
                await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
                stopping.cancel()
            return None if self._withdrawn else await working
        finally:
            working.cancel()

    def release(self) -> None:
        """No longer busy."""
        self.state = Idle()
        self.idle.set()

    def set_model_ready(self, ready: bool) -> None:
        """Open or close the gate that questions wait at."""
        self._model_ready = ready
        self._gate.set()

    def stop(self) -> None:
        """Stop the answer, or no longer wait to ask for it. Returns at once, loses nothing."""
        self._withdrawn = True
        self._gate.set()
        if isinstance(self.state, Writing):
            self.state.turn.stop()

    def answer_now(self) -> None:
        """End the thought and let the answer begin."""
        if isinstance(self.state, Writing):
            self.state.turn.answer_now()

    async def run(
        self,
        conversation_id: int,
        turn: Turn,
        begin: Callable[[], Events],
        fits: Callable[[], Awaitable[bool]],
    ) -> bool:
        """Wait for the model, run one turn and tell how it ended. Needs `claim` before it.

        `begin` starts the turn, if `fits` finds room for it. False: the answer could not be made,
        or nobody waits for it.
        """
        self.place(conversation_id)
        error: ChatAppError | None = None
        asked = False
        try:
            if (
                await self._wait_for_model(conversation_id)
                and await fits()
                and await self._wait_for_model(conversation_id)  # time has passed since
            ):
                await self.save_rest(conversation_id)
                asked = True
                self._last = turn
                self.state = Writing(conversation_id, turn)
                self._post(AnswerAsked(conversation_id))
                await self._run(conversation_id, turn, begin())
        except ContextOverflowError as problem:
            error = self.overflow = problem
        except ChatAppError as problem:
            error = problem
        finally:  # whatever it was, nobody may wait for more
            if turn.unsaved:
                self._unsaved.append(turn)
            self.release()
            if row := turn.row:
                self._put(conversation_id, row)
            ids = tuple(message_id for message_id in turn.message_ids if message_id)
            self._post(AnswerEnded(conversation_id, row, turn.outcome, ids))
            self._post(ConversationsChanged())
        if turn.state.note:
            self._post(Notice(turn.state.note))
        if turn.state.status == "complete" and (
            silence := _tell_silence(turn.state, turn.row, self.keys)
        ):
            self._post(Notice(silence))
        if error is not None and self.overflow is None:
            self._post(Problem(error))
        return asked and error is None

    async def save_rest(self, conversation_id: int | None = None) -> None:
        """Write the ends that the store did not take before; the disk may have room again.

        Raises `StoreError` if that fails in `conversation_id`; elsewhere it is left for later.
        """
        for turn in list(self._unsaved):
            try:
                await asyncio.to_thread(turn.save)
            except StoreError:
                if turn.row and turn.row.conversation_id == conversation_id:
                    raise
            else:
                self._unsaved.remove(turn)

    @property
    def unsaved(self) -> list[str]:
        """The answers whose end the store did not take."""
        return [turn.state.text for turn in self._unsaved if turn.state.text]

    async def _wait_for_model(self, conversation_id: int) -> bool:
        if not self._model_ready:
            self._post(AnswerWaiting(conversation_id))
        while not self._model_ready and not self._withdrawn:
            self._gate.clear()
            await self._gate.wait()
        return not self._withdrawn

    async def _run(self, conversation_id: int, turn: Turn, events: Events) -> None:
        started = False
        said = Gathering(self._post)
        try:
            async for event in events:
                if not started and (row := turn.row):
                    started = True
                    self._put(conversation_id, row)
                    self._post(AnswerStarted(conversation_id, row, len(turn.states)))
                if isinstance(event, PrefillProgress):
                    self._post(AnswerPrefill(conversation_id, turn.message_id, event))
                elif isinstance(event, Delta):
                    index, n_tokens = event.index, len(event.tokens)
                    state, is_beside = turn.states[index], index != turn.kept
                    message_id = turn.message_ids[index]
                    said.add(AnswerText(conversation_id, message_id, state, n_tokens, is_beside))
        finally:
            said.close()


async def ask_as_it_is(asked: Asked) -> bool:
    """Ask what has not been refused; nothing is done to make it fit."""
    return not asked.refused


def can_go_on(row: MessageRow) -> bool:
    """Was this answer cut off, by the user, a fault or a limit on its length, or edited?"""
    if row.status in ("stopped", "interrupted", "failed") or row.generation is None:
        return True
    return row.generation.finish_reason == "length"


def _tell_silence(state: AnswerState, row: MessageRow | None, keys: Callable[[str], str]) -> str:
    """Why an answer says nothing, and what to do; empty for one that says something."""
    is_full = row is not None and ended_at_context(row)
    what = explain_silence(state.parts, state.finish_reason or "")
    is_cut = state.finish_reason == "length"
    goes_on = is_cut and not is_full
    does = f"{keys('continue')} goes on" if goes_on else f"{keys('regenerate')} asks again"
    if not what or not is_only_thought(state.parts):
        return f"{what} {does}." if what else ""
    if is_cut:
        return f"{what} {does}; with `/think low` it thinks less."
    return f"{what} {does}; with `/think off` it answers at once."
