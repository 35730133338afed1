"""Keys one after the other, however fast they come.

Textual runs a key with `priority` at once in the app, hands every other to the focused widget, and
runs what that widget leaves alone only when the key has risen through all queues back to the app.
In a burst (a slow machine, a paste without brackets) keys overtake each other on these three ways.
`KeyOrder` gives the app one key only when the one before has done all it does.

How it knows: a `KeyDone` follows the key through the same queues. It makes two rounds, because what
a key asks for (`Submitted`, say) rises behind the first. What the focused widget does by itself,
text and editing, stands in the right order in that widget's queue and is not waited for: a round
takes a dozen turns of the event loop, each of 5 ms while a thread computes.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

from textual.app import App
from textual.events import Event, Key, Paste
from textual.message import Message

from chatapp.ui.widgets.prompt import PromptBox

LOST_S = 2.0
"""A follower that is not back by now went down with its widget."""

_ROUNDS = 2


class KeyDone(Message):
    """When it reaches the app, nothing of the keys before it is left in any queue."""

    def __init__(self, rounds: int) -> None:
        super().__init__()
        self.rounds = rounds
        """Rounds that are still to be made."""


class KeyOrder:
    """The queue of one app's keys and pastes. `dispatch` does what the app does with an event."""

    def __init__(self, app: App[None], dispatch: Callable[[Event], Awaitable[None]]) -> None:
        self._app = app
        self._dispatch = dispatch
        self._waiting: deque[Key | Paste] = deque()
        self._follower: KeyDone | None = None
        self._lost: asyncio.TimerHandle | None = None
        self._settled = True
        """Whether every key that was dispatched has done all it does."""
        self.n_dispatched = 0
        """Keys and pastes that have had their turn."""

    @property
    def idle(self) -> bool:
        """Nothing waits, and nothing is waited for."""
        return not self._waiting and self._follower is None

    async def add(self, event: Key | Paste) -> None:
        """Dispatch a key when its turn has come."""
        self._waiting.append(event)
        await self._go_on()

    async def arrive(self, done: KeyDone) -> None:
        """A follower is back at the app."""
        if done is not self._follower:
            return
        if done.rounds:
            self._follow(done.rounds - 1)
        else:
            await self._settle()

    async def _settle(self) -> None:
        self._follower, self._settled = None, True
        if self._lost is not None:
            self._lost.cancel()
        await self._go_on()

    async def _go_on(self) -> None:
        while self._waiting and self._follower is None and self._app.screen_stack:
            event = self._waiting[0]
            if self._is_taken_at_once(event):
                self._settled = False
                await self._dispatch_next()
            elif not self._settled and self._is_for_the_app(event):
                self._follow(0)
            elif (prompt := self._taker(event)) is not None:
                self._settled = False
                self.n_dispatched += 1
                prompt._forward_event(self._waiting.popleft())
                self._follow(_ROUNDS - 1)
            else:
                self._settled = False
                try:
                    await self._dispatch_next()
                finally:
                    self._follow(_ROUNDS - 1)

    async def _dispatch_next(self) -> None:
        self.n_dispatched += 1
        await self._dispatch(self._waiting.popleft())

    def _is_taken_at_once(self, event: Key | Paste) -> bool:
        """Whether the focused widget does all that the key does, itself."""
        focused = self._app.focused
        if focused is None or not isinstance(event, Key):
            return False
        if event.is_printable and focused.check_consume_key(event.key, event.character):
            return True
        edits = isinstance(focused, PromptBox) and focused.edits_with(event.key)
        return edits and not self._is_for_the_app(event)

    def _taker(self, event: Key | Paste) -> PromptBox | None:
        """The prompt, if as it stands it takes a key that the app would run at once. By then it has
        done all the keys before."""
        focused = self._app.focused
        if not isinstance(focused, PromptBox) or not isinstance(event, Key):
            return None
        return focused if self._is_for_the_app(event) and focused.takes(event.key) else None

    def _is_for_the_app(self, event: Key | Paste) -> bool:
        """Whether the app would run it at once, before the focused widget has done the keys before
        it; other keys queue up behind those by themselves."""
        if not isinstance(event, Key):
            return False
        active = self._app.screen.active_bindings.get(event.key)
        return active is not None and active.binding.priority

    def _follow(self, rounds: int) -> None:
        if self._lost is not None:
            self._lost.cancel()
        self._follower = KeyDone(rounds)
        self._lost = asyncio.get_running_loop().call_later(LOST_S, self._give_up, self._follower)
        if self._app.screen_stack:  # there is none when the app is being left
            (self._app.focused or self._app.screen).post_message(self._follower)

    def _give_up(self, done: KeyDone) -> None:
        if done is self._follower:
            self._app.call_later(self._settle)
