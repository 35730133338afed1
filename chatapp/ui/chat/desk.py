"""What the parts of the chat screen may ask of the screen they are on."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol, TypeVar, cast

from textual.message import Message as Fact
from textual.screen import Screen

from chatapp.errors import ChatAppError
from chatapp.ui.keymap import key_of, shown_keys
from chatapp.ui.messages import Notice, Problem
from chatapp.ui.wording import count_characters, explain

_T = TypeVar("_T")


class Terminal(Protocol):
    """The app, as far as it has a terminal."""

    def copy(self, text: str) -> Awaitable[str]:
        """Copy a text; how that went, in a sentence."""
        ...

    def write_to_terminal(self, sequence: str) -> None:
        """Send what is no part of a screen."""
        ...


class Desk:
    """Work, dialogs and sentences, on one screen."""

    def __init__(
        self, screen: Screen[None], keymap: Mapping[str, str], redraw: Callable[[bool], None]
    ) -> None:
        """`redraw` draws the status line: now, or (True) a few times a second at most."""
        self._screen = screen
        self._keymap = keymap
        self._redraw = redraw

    def keys(self, name: str) -> str:
        """The keys of a row of the keymap, for people."""
        return shown_keys(key_of(name), self._keymap)

    def redraw(self, *, soon: bool = False) -> None:
        """Draw the status line and the hints; `soon`, when it may wait a little."""
        self._redraw(soon)

    def copy(self, text: str, what: str) -> None:
        """Put a text on the clipboard, and say how that went. `what`: its name in a sentence."""
        copying = cast("Terminal", self._screen.app).copy(text)

        async def tell() -> None:
            how = await copying
            self.say(f"Copied {what} ({count_characters(text)}). {how}")

        self.work_on(tell(), group="copy")

    def write_to_terminal(self, sequence: str) -> None:
        """Send what is no part of a screen."""
        cast("Terminal", self._screen.app).write_to_terminal(sequence)

    async def page(self, text: str, extension: str) -> None:
        """Show a text in the user's own pager. Needs a worker."""
        from chatapp.ui.paging import page_text

        await page_text(self._screen.app, text, extension)

    def act(self, action: str) -> None:
        """Run an action of the app, after what is being done now."""
        self._screen.call_later(self._screen.app.run_action, action)

    def list_themes(self) -> list[tuple[str, str]]:
        """Every theme there is, and whether it is light or dark."""
        found = self._screen.app.available_themes.values()
        named = [("dark", "the usual"), ("light", "the usual"), ("contrast", "white on black")]
        return [*named, *((one.name, "dark" if one.dark else "light") for one in found)]

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
        self._screen.run_worker(self._settle(work), group=group, exclusive=alone)

    async def _settle(self, work: Awaitable[None]) -> None:
        try:
            await work
        except ChatAppError as error:
            self.tell(Problem(error))

    def open(self, dialog: Screen[_T], then: Callable[[_T | None], Any] | None = None) -> None:
        """Put a screen on top; `then` gets what it is dismissed with."""
        self._screen.app.push_screen(dialog, then)

    async def ask(self, dialog: Screen[_T]) -> _T | None:
        """Put a screen on top and wait for what it is dismissed with. Needs a worker."""
        return await self._screen.app.push_screen_wait(dialog)

    @property
    def is_covered(self) -> bool:
        """Whether something lies on top of the screen."""
        return len(self._screen.app.screen_stack) > 1

    def clear_notifications(self) -> None:
        """Take away what would lie over a list."""
        self._screen.app.clear_notifications()


async def settle(work: Awaitable[None], post: Callable[[Fact], object]) -> None:
    """Run one piece of work; a failure that can be explained becomes a `Problem`."""
    try:
        await work
    except ChatAppError as error:
        post(Problem(error))
