"""The app, what is pressed, and how often; and the table of actions."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from textual.pilot import Pilot

from chatapp.store.rows import ConversationRow
from chatapp.ui.app import ChatApp

TIMEOUT_S = 20.0


class Desk:
    """The app, what is pressed, and how often."""

    def __init__(self, app: ChatApp, pilot: Pilot[None], home: Path) -> None:
        self.app = app
        self.pilot = pilot
        self.home = home
        self.store = app.setup.store
        self.n_keys = 0

    async def press(self, *keys: str) -> None:
        """Press keys; each is counted."""
        for key in keys:
            self.n_keys += 1
            await self._press(key)

    async def text(self, words: str) -> None:
        """Write something of one's own; it is not counted."""
        for character in words:
            await self._press("enter" if character == "\n" else character)

    async def type(self, keys: str) -> None:
        """Type a command, each of its keys counted; a tab completes it, a newline is Enter."""
        for character in keys:
            await self.press({"\n": "enter", "\t": "tab"}.get(character, character))

    async def paste(self, text: str) -> None:
        """Put a message into the prompt without counting."""
        self.app.chat.pane.prompt.set_prompt(text)

    async def _press(self, key: str) -> None:
        before = self.app.keys.n_dispatched
        self.app.simulate_key(key)
        await self.until(
            lambda: (
                self.app.return_code is not None
                or (self.app.keys.n_dispatched > before and self.app.keys.idle)
            )
        )
        await asyncio.sleep(0.03)

    async def back(self) -> None:
        """To the prompt of the chat, by Esc; it is not counted."""
        chat = self.app.chat
        while (
            len(self.app.screen_stack) > 1
            or not chat.pane.prompt.has_focus
            or chat.acting.marked is not None
        ):
            await self._press("escape")

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait for it; `TimeoutError` where it does not come."""
        async with asyncio.timeout(TIMEOUT_S):
            while not condition():  # noqa: ASYNC110 -- what is waited for has no event
                await asyncio.sleep(0.02)

    @property
    def flow(self):  # type: ignore[no-untyped-def]
        """The open conversation."""
        return self.app.chat.flow

    @property
    def rows(self):  # type: ignore[no-untyped-def]
        """Its shown branch."""
        return self.flow.rows

    @property
    def chat_row(self) -> ConversationRow:
        """The open conversation as the store has it."""
        assert self.app.chat.open_id is not None
        return self.store.get_conversation(self.app.chat.open_id)

    def heard(self, words: str) -> bool:
        """Whether a notice says so."""
        return any(words in one.message for one in self.app._notifications)

    def shows(self, words: str) -> bool:
        """Whether the screen shows these words."""
        strips = self.app.screen._compositor.render_strips()
        return any(words in strip.text for strip in strips)

    def on_top(self, name: str) -> bool:
        """Whether a screen of that class lies on top."""
        return type(self.app.screen).__name__ == name

    async def idle(self) -> None:
        """Nothing is being answered, and the chat is on top."""
        await self.until(
            lambda: not self.flow.answering.busy and not self.app.chat.status.answering
        )


Play = Callable[[Desk], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Action:
    """Something one does."""

    name: str
    play: Play


ACTIONS: list[Action] = []


def action(name: str) -> Callable[[Play], Play]:
    """Add what follows to the table."""

    def add(play: Play) -> Play:
        ACTIONS.append(Action(name, play))
        return play

    return add
