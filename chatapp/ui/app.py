"""The terminal app: theme, keymap, top-level screens, and a quit that leaves nothing running.

Everything it works with is handed in; importing this module costs Textual and our widgets, not
llama.cpp. Whatever ends the app, Ctrl+Q, SIGTERM or a closed terminal, stops the answer (its text
is in the store) and the engine process.
"""

import asyncio
import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Awaitable
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual.app import App, ScreenStackError
from textual.command import Provider
from textual.css.query import NoMatches
from textual.dom import DOMNode
from textual.driver import Driver
from textual.events import Event, Key, Paste
from textual.message import Message
from textual.notifications import Notify
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Input, TextArea
from textual.worker import WorkerFailed

from chatapp.config import Config
from chatapp.engine.client import EngineClient
from chatapp.errors import ChatAppError, UsageError
from chatapp.informing import GetGuide
from chatapp.paths import Paths
from chatapp.store import Store
from chatapp.store.rows import is_temporary
from chatapp.text import one_line, strip_controls
from chatapp.ui.chat.screen import ChatScreen
from chatapp.ui.clipboard import Clipboard
from chatapp.ui.faults import Faults, guard, ignore_strays, watch_strays
from chatapp.ui.garbage import spare_what_is_loaded
from chatapp.ui.key_order import KeyDone, KeyOrder
from chatapp.ui.keymap import bindings
from chatapp.ui.setup import ChatSetup
from chatapp.ui.suspending import mind_continuing
from chatapp.ui.themes import OUR_THEMES, THEMES
from chatapp.ui.toasts import Toasts, remove_gone
from chatapp.ui.wording import explain

if TYPE_CHECKING:
    from chatapp.ui.screens.help import Section

_HERE = Path(__file__).parent


QUIT_WINDOW_S = 2.0
"""A second Ctrl+C within this time quits."""

STOP_TIMEOUT_S = 0.8
"""How long an answer may take to be stopped before the engine is ended under it."""

HANG_UP_S = 3.0
"""How long the cleaning up may take when the terminal is gone."""

EXIT_HANG_UP = 129
"""128 and the number of SIGHUP."""


def _driver(config: Config) -> type[Driver] | None:
    """Who reads the terminal; None: Textual's own."""
    if sys.platform == "win32" or "TEXTUAL_DRIVER" in os.environ:
        return None
    from chatapp.ui.terminal import NewlineDriver, PasteDriver

    return PasteDriver if config.ui.enter == "send" else NewlineDriver


def _chat_commands() -> type[Provider]:
    from chatapp.ui.palette import ChatCommands

    return ChatCommands


class ChatApp(App[None]):
    """The chat in a terminal."""

    TITLE = "chatapp"
    # the chat's too, which is not read from a default screen
    # Whole paths: Textual looks for others beside a subclass, which is elsewhere (`--plain`).
    CSS_PATH = [_HERE / "app.tcss", _HERE / "chat" / "screen.tcss"]  # noqa: RUF012 -- Textual's
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (60, "-wide")]  # noqa: RUF012 -- Textual's
    VERTICAL_BREAKPOINTS = [(0, "-tiny"), (6, "-low"), (9, "-high")]  # noqa: RUF012 -- as above
    BINDINGS = bindings("app")
    COMMANDS: ClassVar = {_chat_commands}

    def __init__(
        self,
        config: Config,
        paths: Paths,
        store: Store,
        client: EngineClient,
        *,
        model: Path,
        problem: str = "",
        conversation_id: int | None = None,
        temporary: bool = False,
        offline: bool = False,
        get_guide: GetGuide | None = None,
    ) -> None:
        super().__init__(driver_class=_driver(config))
        asked = (model, problem, conversation_id, temporary, offline, get_guide)
        self.setup = ChatSetup(config, paths, store, client, *asked)
        self.faults = Faults(lambda: self.on_disk(paths.screen_log), self._say_fault)
        self._is_up = False
        """The screen has been drawn: from now on nothing unexpected ends the app."""
        self._toasts = Toasts()
        self.keys = KeyOrder(self, super().on_event)
        self.unkept: list[str] = []
        """When it has ended: what could be written nowhere."""
        self._interrupted_at = 0.0
        self._copier = Clipboard(self._send_to_terminal, large=self._large_copy)
        self._leaving: asyncio.Task[None] | None = None
        # a binding that has no key keeps its own, to Textual; no terminal sends this one
        self.set_keymap({name: keys or f"off-{name}" for name, keys in config.keys.items()})
        for ours in OUR_THEMES:
            self.register_theme(ours)
        wanted = THEMES.get(config.ui.theme, config.ui.theme)
        self.theme = wanted if wanted in self.available_themes else THEMES["dark"]

    @property
    def keymap(self) -> dict[str, str]:
        """The user's own keys, by binding id."""
        return dict(self.setup.config.keys)

    def on_disk(self, path: Path) -> Path | None:
        """A file that may be written; None while what is open is to be kept nowhere."""
        open_id = self.chat.open_id if self.screen_stack else None
        return None if self.setup.temporary or is_temporary(open_id) else path

    def _large_copy(self) -> Path | None:
        return self.on_disk(self.setup.paths.state / "copied.txt")

    def get_default_screen(self) -> Screen[None]:
        """The chat is the lowest screen."""
        return ChatScreen(self.setup)

    @property
    def chat(self) -> ChatScreen:
        """The chat screen, whatever lies on top of it."""
        screen = self.screen_stack[0]
        assert isinstance(screen, ChatScreen)
        return screen

    def on_mount(self) -> None:
        """Leave cleanly when the system asks for it."""
        loop = asyncio.get_running_loop()
        watch_strays(loop, lambda error: self.call_later(self._report, error))
        # In a thread that is not the main one there are no signals to handle.
        with contextlib.suppress(ValueError, RuntimeError, NotImplementedError):
            loop.add_signal_handler(signal.SIGTERM, self._leave)
            if hasattr(signal, "SIGHUP"):  # not on Windows
                loop.add_signal_handler(signal.SIGHUP, self._hang_up)
            if self._driver is not None:
                mind_continuing(self._driver, self._draw_again)
        self.app_resume_signal.subscribe(self, lambda _: self._draw_again())

    def _draw_again(self) -> None:
        """All of the screen: something else was on the terminal."""
        self.refresh(layout=True)

    def on_ready(self) -> None:
        """The screen is there."""
        self._is_up = True
        spare_what_is_loaded()

    # What nobody expected

    def _register_child(
        self, parent: DOMNode, child: Widget, before: int | None, after: int | None
    ) -> None:
        """Every widget and screen comes by here before its messages are handled."""
        guard(child, self._handle_exception)
        super()._register_child(parent, child, before, after)

    async def _dispatch_message(self, message: Message) -> None:
        try:
            await super()._dispatch_message(message)
        except Exception as error:  # noqa: BLE001 -- any handler, Textual's own too
            self._handle_exception(error)

    def _handle_exception(self, error: Exception) -> None:
        """Where Textual brings whatever a worker, handler, timer or drawing raised."""
        if self._is_up:
            self._report(error)
        else:
            super()._handle_exception(error)

    def _report(self, error: BaseException) -> None:
        if isinstance(error, WorkerFailed):
            error = error.error
        if isinstance(error, ChatAppError):
            self._say_fault(explain(error))
        else:
            self.faults.report(error)

    def _on_notify(self, event: Notify) -> None:
        self._toasts.add(self._notifications, event.notification)
        self._refresh_notifications()

    def _refresh_notifications(self) -> None:
        if self.screen_stack:
            remove_gone(self.screen, self._notifications)
        super()._refresh_notifications()

    def _say_fault(self, text: str) -> None:
        self.save_draft()
        if not self._exit:
            self.notify(text, severity="error", timeout=12, markup=False)

    def save_draft(self) -> str:
        """Keep what is being written for the next start; what could not be kept."""
        with contextlib.suppress(NoMatches, ScreenStackError):  # while it opens or closes
            return self.chat.drafts.save_now()
        return ""

    async def on_event(self, event: Event) -> None:
        """Keys and pastes wait for their turn; everything else is dispatched at once."""
        if isinstance(event, (Key, Paste)) and not event.is_forwarded:
            await self.keys.add(event)
        else:
            await super().on_event(event)

    async def on_key_done(self, done: KeyDone) -> None:
        """The next key's turn."""
        await self.keys.arrive(done)

    async def on_unmount(self) -> None:
        """However the app ends, its child processes end with it."""
        ignore_strays(asyncio.get_running_loop())
        await self.setup.client.stop()
        await self.setup.converter.stop()

    async def action_quit(self) -> None:
        """Stop the answer, end the engine, leave; a conversion is not ended unasked."""
        if self._converting and not self._asked_lately():
            self.notify("A conversion is running. Ctrl+Q again cancels it and quits.")
            return
        self._leave()

    def _leave(self, *, hang_up: bool = False) -> None:
        if self._leaving is None:
            self._leaving = asyncio.create_task(self._clean_up(hang_up))

    def _hang_up(self) -> None:
        """The terminal is gone. Textual would wait for it for ever, so this ends the process."""
        threading.Timer(HANG_UP_S, os._exit, (EXIT_HANG_UP,)).start()
        self._leave(hang_up=True)

    async def _clean_up(self, hang_up: bool) -> None:
        draft, flow = self.save_draft(), self.chat.flow
        try:
            flow.answering.stop()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(flow.answering.idle.wait(), STOP_TIMEOUT_S)
            await asyncio.gather(
                self.setup.client.stop(),
                self.setup.converter.stop(),
                asyncio.to_thread(self.chat.models.fetches.stop),
            )
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(flow.answering.idle.wait(), STOP_TIMEOUT_S)
            await flow.answering.save_rest()
            self.unkept = [text for text in (draft, *flow.answering.unsaved) if text]
        finally:
            if hang_up:
                self.setup.store.close()
                os._exit(EXIT_HANG_UP)
            self.exit(return_code=self._exit_code())

    def _exit_code(self) -> int:
        return 1 if self.unkept else 0

    async def action_interrupt(self) -> None:
        """Ctrl+C: copy a selection, else stop, else as Esc, else clear, else quit at the second."""
        if self._copy_selection():
            return
        chat = self.chat
        if chat.acting.can_stop:
            chat.acting.stop()
        elif len(self.screen_stack) > 1:
            await self._step_back()
        elif chat.pane.editing is not None or chat.pane.transcript.marked is not None:
            chat.action_stop()
        elif chat.pane.prompt.prompt:
            chat.pane.prompt.clear_prompt()
        else:
            self._quit_at_second()

    @property
    def _converting(self) -> bool:
        from chatapp.ui.screens.convert import ConvertScreen

        return isinstance(self.screen, ConvertScreen) and self.screen.busy

    async def _step_back(self) -> None:
        """What Esc does on a dialog, which knows what waits for its end and what would be lost."""
        escape = self.screen.active_bindings.get("escape")
        if escape is not None:
            await self.run_action(escape.binding.action, escape.node)
        else:
            self.screen.dismiss(None)

    def _quit_at_second(self) -> None:
        if self._asked_lately():
            self._leave()
        else:
            self.notify("Press Ctrl+C again to quit.", timeout=QUIT_WINDOW_S)

    def _asked_lately(self) -> bool:
        """Whether this was called a moment ago, too."""
        now = time.monotonic()
        lately = now - self._interrupted_at < QUIT_WINDOW_S
        self._interrupted_at = now
        return lately

    def _copy_selection(self) -> bool:
        text = self.screen.get_selected_text()
        if not text and isinstance(self.focused, (Input, TextArea)):
            text = self.focused.selected_text
        if not text:
            return False
        self.chat.desk.copy(text, "the selection")
        self.screen.clear_selection()
        return True

    def copy_to_clipboard(self, text: str) -> None:
        """What a text field of Textual's copies, by the surest way too."""
        self.run_worker(self.copy(text), group="copy")

    def write_to_terminal(self, sequence: str) -> None:
        """Send what is no part of a screen."""
        if self._driver is not None:
            self._driver.write(sequence)

    def _send_to_terminal(self, text: str) -> bool:
        super().copy_to_clipboard(text)
        return True

    def copy(self, text: str) -> Awaitable[str]:
        """Copy a text from now on; the result says how that went. What is copied is pasted into
        terminals: it passes the same filter as what is drawn."""
        self._clipboard = strip_controls(text)
        return self._copier.copy(self._clipboard)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Commands act on the chat, so the palette opens over nothing else."""
        if action == "command_palette" and len(self.screen_stack) > 1:
            return False
        return super().check_action(action, parameters)

    def action_help(self, section: "Section" = "keys") -> None:
        """Open the help at a section, or close it."""
        from chatapp.ui.screens.help import HelpScreen

        if isinstance(self.screen, HelpScreen):
            self.screen.dismiss()
            return
        self.clear_notifications()  # they would lie over it
        setup = self.setup
        self.push_screen(
            HelpScreen(
                setup.paths,
                self.keymap,
                setup.client.model,
                temporary=setup.temporary,
                section=section,
            )
        )

    async def action_switch_theme(self, name: str = "") -> None:
        """Light to dark or back, or to a theme by its name; remembered."""
        from chatapp.config import nearest, save_setting

        name = name.strip().lower() or ("light" if self.current_theme.dark else "dark")
        theme = THEMES.get(name, name)
        if theme not in self.available_themes:
            known = [*THEMES, *self.available_themes]
            hint = nearest(name, known, f"There are: {', '.join(known)}.")
            self.chat.desk.warn(UsageError(f"There is no theme {one_line(name)[:40]!r}.", hint))
            return
        self.theme = theme
        try:
            await asyncio.to_thread(save_setting, self.setup.paths, "ui", "theme", name)
        except ChatAppError as error:
            self.notify(f"The theme holds for now only. {error}", markup=False)
