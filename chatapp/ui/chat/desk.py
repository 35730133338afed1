"""What the parts of the chat screen may ask of the screen they are on."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from textual.message import Message as Fact
from textual.screen import Screen

from chatapp.errors import ChatAppError
from chatapp.ui.chat.flow import settle
from chatapp.ui.messages import Notice
from chatapp.ui.wording import explain

_T = TypeVar("_T")


class Desk:
    """Work, dialogs and sentences, on one screen."""

    def __init__(self, screen: Screen[None]) -> None:
        self._screen = screen

    def tell(self, fact: Fact) -> None:
        """Post a fact; the screen hands it to every part."""
        self._screen.post_message(fact)

    def say(self, sentence: str) -> None:
        """Tell the user one calm sentence."""
        self.tell(Notice(sentence))

    def warn(self, error: ChatAppError, *, title: str = "") -> None:
        """Say what failed and what to do, for long enough to be read."""
        self._screen.app.notify(
            explain(error), title=title, severity="warning", timeout=12, markup=False
        )

    def work_on(self, work: Awaitable[None], *, group: str, alone: bool = False) -> None:
        """Run `work` in a worker; a failure we can explain becomes a notice. `alone`: what runs
        in the group is cancelled."""
        self._screen.run_worker(settle(work, self.tell), group=group, exclusive=alone)

    def open(self, dialog: Screen[_T], then: Callable[[_T | None], Any] | None = None) -> None:
        """Put a screen on top; `then` gets what it is dismissed with."""
        self._screen.app.push_screen(dialog, then)

    async def ask(self, dialog: Screen[_T]) -> _T | None:
        """Put a screen on top and wait for what it is dismissed with. Needs a worker."""
        return await self._screen.app.push_screen_wait(dialog)

    def clear_notifications(self) -> None:
        """Take away what would lie over a list."""
        self._screen.app.clear_notifications()
