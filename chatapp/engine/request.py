"""One thing that is asked of the engine, from the call to its last event.

A request has an id that no other request of this process ever had, the events that came for it
and nobody has heard yet, and the deadline of an engine that was told to stop. It may be cancelled
at any moment: before the engine has heard of it, while it waits for its turn, in the middle.
"""

import asyncio
import itertools
from typing import Literal

from chatapp.engine.protocol import Answered, Event, Failed, Loaded
from chatapp.errors import (
    ChatAppError,
    ConnectionLostError,
    ContextOverflowError,
    EngineError,
    ModelError,
    TemplateError,
    UsageError,
)

_COUNTER = itertools.count(1)
_FAILURES: dict[str, type[ChatAppError]] = {
    "model": ModelError,
    "template": TemplateError,
    "overflow": ContextOverflowError,
    "usage": UsageError,
    "lost": ConnectionLostError,
    "engine": EngineError,
}


class Request:
    """The client's side of one command that is answered by events."""

    def __init__(self, kind: Literal["load", "generate", "measure", "embed", "score"]) -> None:
        self.id = f"{kind}-{next(_COUNTER)}"
        self.cancelled = False
        self.hurried = False
        """It was asked to think no more and to answer."""
        self.ended = False
        """Its last event has come, or never will."""
        self._events: asyncio.Queue[Event | ChatAppError] = asyncio.Queue()
        self._deadline: asyncio.TimerHandle | None = None

    def put(self, event: Event) -> None:
        """An event has come for it."""
        if self.ended:
            return
        if isinstance(event, Failed):
            self.fail(_FAILURES[event.kind](event.message, event.hint))
            return
        if isinstance(event, Answered | Loaded):
            self._end()
        self._events.put_nowait(event)

    def fail(self, error: ChatAppError) -> None:
        """It ends with an error, unless it has ended already."""
        if not self.ended:
            self._end()
            self._events.put_nowait(error)

    async def next_event(self) -> Event:
        """The next event; raises what ended the request."""
        event = await self._events.get()
        if isinstance(event, ChatAppError):
            raise event
        return event

    def set_deadline(self, deadline: asyncio.TimerHandle) -> None:
        """Take over a timer, which is cancelled when the request ends."""
        self._drop_deadline()
        if self.ended:
            deadline.cancel()
        else:
            self._deadline = deadline

    def _end(self) -> None:
        self.ended = True
        self._drop_deadline()

    def _drop_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
