"""`chatapp --plain`: the same app without a screen. Lines come in, lines go out.

The app runs without a terminal, every screen and key of it as always; what it would draw is told. A
line is a message or a slash command, as in the prompt. On top of the chat a line answers what lies
there: a number chooses, a text fills the field, an empty line is Enter. `.` goes back as Esc does,
`/key F6` presses a key, and `2 Del` presses one on the second entry of a list.
"""

import asyncio
import base64
import contextlib
import re
import signal
import sys
from collections.abc import Callable, Iterator
from typing import TextIO

from textual.events import Key
from textual.notifications import SeverityLevel
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Input, OptionList, TextArea

from chatapp.material.mentions import names_in
from chatapp.text import strip_controls
from chatapp.ui.app import ChatApp
from chatapp.ui.clipboard import Clipboard
from chatapp.ui.plain.hearing import Hearing
from chatapp.ui.plain.keys import is_key, spell_key
from chatapp.ui.plain.lines import Lines
from chatapp.ui.plain.rereading import PAGE, Rereading
from chatapp.ui.plain.standing import Standing
from chatapp.ui.plain.telling import Listing, Told, is_shown, tell
from chatapp.ui.widgets.filter_input import FilterInput

SIZE = (100, 200)
"""What the screens think the terminal is, high enough for whole lists."""
SETTLE_S = 0.05
_QUIET_ROUNDS = 4
"""So often nothing may change before a screen is told."""
_MOST_ROUNDS = 60
"""What changes all the time is told as it is then."""
LOOK_S = 1.0
"""How often what changes by itself is looked at."""
_NUMBER = re.compile("[0-9]{1,6}")
_KEY_ON = re.compile(r"([0-9]{1,6}) +(\S+)")

WELCOME = (
    "chatapp, told line by line. Write a message and press Enter. /help lists every command, "
    "/quit leaves. On a list: a number chooses, a dot goes back. A message of several lines stands "
    'between lines of """. A dot or Ctrl+C stops an answer; /key PgUp tells what was said before.'
)

_BLOCK_BEGINS = 'Several lines: """ alone on a line ends them, Ctrl+C throws them away.'

Seen = tuple[Told | None, Standing]
"""What lies on top, and what stands in the chat."""


class PlainApp(ChatApp):
    """The chat, told."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        self._out: TextIO = sys.stdout
        self.lost: OSError | None = None
        """Why nothing can be told any more."""
        self._told: Told | None = None
        self._lines = Lines(lambda: self.say(_BLOCK_BEGINS))
        self._lent = False
        """Another program has the terminal."""
        self._standing = Standing()
        self._rereading = Rereading(lambda: self.chat.flow.rows, self.say)
        self._hearing = Hearing(lambda: self.chat.open_id, self._rereading, self.say)
        self._copier = Clipboard(self._emit, large=self._large_copy)

    def on_ready(self) -> None:
        """Listen, and end what Ctrl+C is for."""
        super().on_ready()
        self.chat.on_fact = self._hearing.hear
        self.chat.parts.sides.tell = self._rereading.tell_beside
        for name, does in self._retold().items():
            setattr(self.chat, f"action_{name}", does)
        loop = asyncio.get_running_loop()
        try:
            loop.add_signal_handler(signal.SIGINT, self._interrupt)
        except (NotImplementedError, ValueError, RuntimeError):  # Windows; a thread of a test
            with contextlib.suppress(ValueError):
                signal.signal(signal.SIGINT, lambda *_: loop.call_soon_threadsafe(self._interrupt))
        self.run_worker(self.serve(), group="plain")

    def _interrupt(self) -> None:
        begun = self._lines.give_up_block()
        if begun:
            self.chat.pane.prompt.set_prompt(begun)
            self._throw_away()
        elif begun is not None:
            self.say("Nothing was written yet.")
        else:
            self.run_worker(self.action_interrupt(), group="interrupt")

    def _retold(self) -> dict[str, Callable[..., None]]:
        """What scrolls or unfolds on a screen tells here."""
        return {
            "scroll_page": lambda step: self._rereading.step(step, PAGE),
            "scroll_line": lambda step: self._rereading.step(step, 1),
            "oldest": lambda: self._rereading.go_to(-1),
            "newest": lambda: self._rereading.go_to(1),
            "thinking": self._tell_thought,
        }

    def _tell_thought(self) -> None:
        target = self.chat.acting.target("assistant")
        if target is None or not target.row.reasoning.strip():
            self.say(f"Nothing was thought in {target.words}." if target else "No answer yet.")
        else:
            self.say(f"Thought in {target.words}:\n{target.row.reasoning.strip()}")

    # Telling

    def say(self, text: str) -> None:
        """Write lines at once: a screen reader reads what is there. Where nobody can, it ends."""
        if self.lost is not None:
            return
        try:
            self._out.write(strip_controls(text) + "\n")
            self._out.flush()
        except OSError as error:  # the reader has left, or the disk is full
            self.lost = error
            self._leave()

    def notify(
        self,
        message: str,
        *,
        title: str = "",
        severity: SeverityLevel = "information",
        timeout: float | None = None,  # noqa: ARG002 -- Textual's signature
        markup: bool = True,  # noqa: ARG002
    ) -> None:
        """Tell what a toast would show."""
        kind = {"information": "Note", "warning": "Warning", "error": "Error"}[severity]
        head = f"{kind}: {title}. " if title else f"{kind}: "
        self.say(head + " ".join(message.split("\n")))

    @contextlib.contextmanager
    def suspend(self) -> Iterator[None]:
        """The terminal is free already; no line is read meanwhile."""
        self._lent = True
        try:
            yield
        finally:
            self._lent = False

    # Lines

    async def serve(self) -> None:
        """Read lines until they end, and the app with them."""
        self.say(WELCOME)
        while True:
            coming = asyncio.create_task(self._lines.next())
            before = self._look()
            while not (await asyncio.wait([coming], timeout=LOOK_S))[0]:
                before = self._tell_changes(before)
            line = coming.result()
            if line is None:
                break
            await self._take(line)
            await self._settle()
        await self._finish()

    async def _finish(self) -> None:
        """No more lines will come: what was asked is answered, then the app ends. Nobody is there
        who could choose another model, or say what is to become of a message without room."""
        flow, host = self.chat.flow, self.chat.models.host
        acting = self.chat.acting
        while flow.queue or flow.answering.busy or acting.asks:
            if acting.asks and not self._hearing.came_back:
                self._hearing.came_back.append(self.chat.pane.prompt.prompt)
            if len(self.screen_stack) > 1:
                self.simulate_key("escape")
            elif flow.answering.waiting and host.failed is not None and not self._hearing.loading:
                self.say("There is no model: your message is kept, unanswered.")
                flow.answering.stop()
            await asyncio.sleep(SETTLE_S)
        await self.action_quit()

    def _exit_code(self) -> int:
        return 1 if self._hearing.came_back else super()._exit_code()

    def _emit(self, text: str) -> bool:
        """Send a text to the terminal's clipboard; False: there is no terminal."""
        if not self._out.isatty():
            return False
        code = base64.b64encode(text.encode("utf-8", "replace")).decode()
        self._out.write(f"\x1b]52;c;{code}\a")
        self._out.flush()
        return True

    def write_to_terminal(self, sequence: str) -> None:
        """The window has a title without a screen, too."""
        if self._out.isatty():
            self._out.write(sequence)
            self._out.flush()

    async def _take(self, line: str) -> None:
        word = line.strip()
        if word == ".":
            self._go_back()
        elif word.lower().startswith("/key "):
            for key in word[5:].split():
                self.simulate_key(spell_key(key))
        elif self._is_chat or (len(self.screen_stack) == 1 and self._is_command(word)):
            self.chat.pane.prompt.focus()
            self._write(line)
        elif self._told is not None and _NUMBER.fullmatch(word):
            self._choose(int(word))
        elif self._told is not None and (named := _KEY_ON.fullmatch(word)) and is_key(named[2]):
            self._choose(int(named[1]), spell_key(named[2]))
        else:
            self._fill(line)

    @property
    def _is_chat(self) -> bool:
        """Whether a line is for the prompt: nothing lies on the chat, and no list has the keys."""
        return len(self.screen_stack) == 1 and not self._in_list

    @property
    def _in_list(self) -> bool:
        """Whether a list has the keys: that of the chats, of what was found, of what is offered."""
        if len(self.screen_stack) > 1:
            return False
        offers = self.chat.pane.prompt.offers
        return offers is not None or isinstance(self.focused, Listing | OptionList | FilterInput)

    def _go_back(self) -> None:
        """A dot: what was written is thrown away; else what Esc does."""
        chat, written = self.chat, self.chat.pane.prompt.text
        if self._is_chat and written and not (chat.status.marked or chat.status.editing):
            self._throw_away()
        else:
            self.simulate_key("escape")

    def _throw_away(self) -> None:
        self.chat.pane.prompt.clear_prompt()
        self.say("Thrown away. /key Ctrl+_ brings it back.")

    def _write(self, line: str) -> None:
        """Send a line. A command leaves what was written, and so does anything what came back; an
        empty line sends that."""
        prompt = self.chat.pane.prompt
        before = prompt.prompt
        if not line.strip():
            self.simulate_key("enter")
            return
        if "\n" not in line:  # a block may have been pasted
            prompt.named.add(names_in(line))
        prompt.set_prompt(line)
        prompt.action_submit()
        beside = self._is_command(line) and not self._is_command(before)
        if beside or any(text in before for text in self._hearing.came_back):
            prompt.set_prompt(before)

    def _is_command(self, line: str) -> bool:
        return line.startswith("/") and not self.chat.commands.sends(line)

    def _choose(self, number: int, key: str = "") -> None:
        """Choose an entry; with a key, press that on it."""
        assert self._told is not None
        if not 0 < number <= len(self._told.choices):
            self.say(f"There is no {number}.")
            return
        choice = self._told.choices[number - 1]
        if key:
            choice.point_at()
            self.simulate_key(key)
        else:
            choice.take()

    def _fill(self, line: str) -> None:
        field = self._field
        if not line.strip():
            self.simulate_key("enter")
        elif self.chat.pane.prompt.offers is not None or field is None:
            # letters are what is taken here
            for key in ("ctrl+u", *line) if field is not None else line:
                if key == " ":
                    self.post_message(Key("space", key))
                else:
                    self.simulate_key(key)
        elif isinstance(field, Input):
            field.focus()
            field.value = line
            self.call_later(field.action_submit)
        else:
            field.load_text(line)

    @property
    def _field(self) -> Input | TextArea | None:
        """The field that a line fills: the one that has the keys, else the first that is told."""
        if isinstance(self.focused, Input | TextArea):
            return self.focused
        shown = (one for one in self._top.query(Input) if is_shown(one)) if self._top else ()
        return next(iter(shown), None)

    async def _settle(self) -> None:
        """Wait until nothing changes any more, and tell what lies on top of the chat."""
        before, quiet, rounds = self._look(), 0, 0
        while (quiet < _QUIET_ROUNDS and rounds < _MOST_ROUNDS) or self._lent:
            await asyncio.sleep(SETTLE_S)
            now = self._look()
            quiet = quiet + 1 if now == before and self.keys.idle else 0
            before, rounds = now, rounds + 1
        told, standing = before
        self._tell_standing(standing)
        known = self._told.lines if self._told else ()
        if told is None and self._told is not None:
            self.say("Back in the chat.")
        elif told is not None and told.lines != known:
            self.say("\n".join(told.lines_since(known)))
        self._told = told

    def _tell_changes(self, before: Seen) -> Seen:
        """Tell what has changed by itself, when it changes no more."""
        told, standing = now = self._look()
        if now != before:
            return now
        self._tell_standing(standing)
        known = self._told.lines if self._told else ()
        if told is None and self._told is not None:
            self.say("Back in the chat.")
        elif told is not None and (new := [line for line in told.lines if line not in known]):
            self.say("\n".join(new))
        self._told = told
        return now

    def _tell_standing(self, standing: Standing) -> None:
        if standing != self._standing and (lines := standing.lines_since(self._standing)):
            self.say("\n".join(lines))
        self._standing = standing

    def _look(self) -> Seen:
        if not self.screen_stack:
            return None, self._standing
        return self._tell_top(), Standing.of(self.chat)

    def _tell_top(self) -> Told | None:
        return tell(self._top) if self._top is not None else None

    @property
    def _top(self) -> Screen[object] | Widget | None:
        """What lies on the chat, or the list in it that has the keys."""
        if len(self.screen_stack) > 1:
            return self.screen
        if not self._in_list:
            return None
        focused, sidebar = self.focused, self.chat.sidebar
        if focused is not None and sidebar in focused.ancestors:
            return sidebar
        return self.chat.pane.prompt.offers or focused


def run_plain(app: PlainApp) -> None:
    """Run until the user leaves, the lines end, or nobody can read what is told."""
    asyncio.run(app.run_async(headless=True, size=SIZE, mouse=False))
    if app.lost is not None:
        raise app.lost
