"""`chatapp --plain`: the same app without a screen. Lines come in, lines go out.

The app runs without a terminal, every screen and key of it as always; what it would draw is told. A
line is a message or a slash command, as in the prompt. On top of the chat a line answers what lies
there: a number chooses, a text fills the field, `.` goes back as Esc does. `/key F6` presses a key.
"""

import asyncio
import base64
import contextlib
import re
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from typing import TextIO

from textual.message import Message as Fact
from textual.notifications import SeverityLevel
from textual.widgets import Input, OptionList, TextArea

from chatapp.engine.protocol import PrefillProgress
from chatapp.store.rows import MessageRow, is_temporary
from chatapp.text import strip_controls
from chatapp.ui.app import ChatApp
from chatapp.ui.clipboard import Clipboard
from chatapp.ui.messages import (
    AnswerAsked,
    AnswerEnded,
    AnswerPrefill,
    AnswerStarted,
    AnswerText,
    ConversationOpened,
    MessageStored,
    ModelFailed,
    ModelLoading,
    ModelReady,
    QueueChanged,
    TextReturned,
)
from chatapp.ui.plain.telling import Listing, Told, tell
from chatapp.ui.wording import clean_line, prefill_text

SIZE = (100, 200)
"""What the screens think the terminal is, high enough for whole lists."""
PATIENCE_S = 2.0
"""A prompt that is read faster is not told about."""
SETTLE_S = 0.05
_QUIET_ROUNDS = 4
"""So often nothing may change before a screen is told."""
_BLOCK = '"""'
_NUMBER = re.compile("[0-9]{1,6}")
_ROLES = {"user": "You", "assistant": "Assistant", "system": "System", "tool": "Tool"}
_LAST = 4
"""Messages of an opened chat that are told."""

WELCOME = (
    "chatapp, told line by line. Write a message and press Enter. /help lists every command, "
    "/quit leaves. On a list: a number chooses, a dot goes back. A message of several lines stands "
    'between lines of """. Ctrl+C stops an answer.'
)


class PlainApp(ChatApp):
    """The chat, told."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        self._out: TextIO = sys.stdout
        self.lost: OSError | None = None
        """Why nothing can be told any more."""
        self._told: Told | None = None
        self._said = ""
        """What has been told of the answer that is being written."""
        self._thought = False
        self._loading = ""
        self._asked_at = 0.0
        self._told_tenth = 0
        self._came_back: list[str] = []
        """Messages that were not sent."""
        self._lines: asyncio.Queue[str | None] = asyncio.Queue()
        self._copier = Clipboard(self._emit, large=self._large_copy)

    def on_ready(self) -> None:
        """Listen, and end what Ctrl+C is for."""
        super().on_ready()
        self.chat.on_fact = self.hear
        self.chat.parts.sides.tell = self._tell_sides
        self.chat.commands.give_back = lambda _: None  # it was said, and is written again
        loop = asyncio.get_running_loop()
        try:
            loop.add_signal_handler(signal.SIGINT, self._interrupt)
        except (NotImplementedError, ValueError, RuntimeError):  # Windows; a thread of a test
            with contextlib.suppress(ValueError):
                signal.signal(signal.SIGINT, lambda *_: loop.call_soon_threadsafe(self._interrupt))
        self.run_worker(self.serve(), group="plain")

    def _interrupt(self) -> None:
        self.run_worker(self.action_interrupt(), group="interrupt")

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
        """The terminal is free already."""
        yield

    def hear(self, fact: Fact) -> None:
        """Tell a fact of the chat."""
        match fact:
            case ModelLoading() if fact.name != self._loading:
                self._loading = fact.name
                self.say(f"Loading {clean_line(fact.name)}.")
            case ModelFailed():
                self._loading = ""
            case ModelReady():
                self._loading, model = "", fact.model
                self.say(f"Model: {clean_line(model.name or model.path)}, {model.n_ctx} tokens.")
            case ConversationOpened():
                self._tell_opened(fact)
            case MessageStored():
                said = fact.row.content
                self._came_back = [text for text in self._came_back if text not in said]
                if fact.shown:
                    self._said, self._thought = "", False
            case TextReturned():
                self._came_back.append(fact.text)
                self.say(f"Not sent; /key Enter sends it again from the prompt:\n{fact.text}")
            case QueueChanged():
                self.say(_waiting(len(fact.queue)))
            case AnswerAsked():
                self._asked_at, self._told_tenth = time.monotonic(), 0
            case AnswerPrefill():
                self._tell_progress(fact.progress)
            case AnswerStarted() if self._is_here(fact.conversation_id):
                self._said, self._thought = fact.row.content, False
                if fact.n > 1:
                    self.say(f"{fact.n} answers are being written. The first is told first.")
                self.say("Assistant:")
            case AnswerText(beside=False) if self._is_here(fact.conversation_id):
                self._tell_text(fact.state.text, bool(fact.state.reasoning))
            case AnswerEnded(row=MessageRow() as row) if self._is_here(fact.conversation_id):
                self._tell_end(row)

    def _is_here(self, conversation_id: int) -> bool:
        return conversation_id == self.chat.open_id

    def _tell_opened(self, fact: ConversationOpened) -> None:
        if fact.conversation is None:
            self.say("A new chat.")
            return
        if is_temporary(fact.conversation.id) and not fact.rows:
            self.say("A temporary chat: nothing of it is kept. Leaving it forgets it.")
            return
        count = len(fact.rows)
        self.say(f"Chat: {clean_line(fact.conversation.title)}, {count} messages.")
        for row in fact.rows[-_LAST:]:
            self._tell_row(row)
        if fact.rows and fact.rows[-1].status == "streaming":
            self._said = fact.rows[-1].content

    def _tell_row(self, row: MessageRow) -> None:
        versions = row.sibling_count
        which = f" (version {row.sibling_index + 1} of {versions})" if versions > 1 else ""
        which += " (pinned)" if row.pinned else ""
        self.say(f"{_ROLES.get(row.role, row.role)}{which}:\n{row.content}")

    def _tell_sides(self, rows: Sequence[MessageRow], shown: MessageRow) -> None:
        """Answers that stand beside each other, one after the other."""
        for row in rows:
            self._tell_row(row)
            if row.status not in ("complete", "streaming"):
                self.say(f"({row.status})")
        if shown.sibling_count > 1:
            place = f"{shown.sibling_index + 1} of {shown.sibling_count}"
            self.say(f"Version {place} is shown; /choose NUMBER shows another.")

    def _tell_progress(self, progress: PrefillProgress) -> None:
        """How far the prompt is read, in tenths, where that takes a while."""
        tenth = 10 * progress.done // max(progress.total, 1)
        if tenth > self._told_tenth and time.monotonic() - self._asked_at > PATIENCE_S:
            self._told_tenth = tenth
            self.say(f"({prefill_text(progress)})")

    def _tell_text(self, text: str, thinks: bool) -> None:
        """Whole lines that are new; what reads otherwise now is told from there again."""
        if thinks and not text and not self._thought:
            self._thought = True
            self.say("(thinking)")
        whole = text[: text.rfind("\n") + 1]
        if whole.startswith(self._said):
            new = whole[len(self._said) :]
            if new.strip():
                self.say(new.rstrip("\n"))
            self._said = whole if new else self._said

    def _tell_end(self, row: MessageRow) -> None:
        content = row.content
        rest = content[len(self._said) :] if content.startswith(self._said) else content
        if rest.strip():
            self.say(rest.strip("\n"))
        if row.status != "complete":
            self.say(f"({row.status})")
        self._said = ""

    # Lines

    async def serve(self) -> None:
        """Read lines until they end, and the app with them."""
        threading.Thread(target=self._read, name="lines", daemon=True).start()
        self.say(WELCOME)
        while (line := await self._lines.get()) is not None:
            await self._take(line)
            await self._settle()
        await self._finish()

    async def _finish(self) -> None:
        """No more lines will come: what was asked is answered, then the app ends. Nobody is there
        who could choose another model, or say what is to become of a message without room."""
        flow, host = self.chat.flow, self.chat.models.host
        while flow.queue or flow.answering.busy:
            if len(self.screen_stack) > 1:
                self.simulate_key("escape")
            elif flow.answering.waiting and host.failed is not None and not self._loading:
                self.say("There is no model: your message is kept, unanswered.")
                flow.answering.stop()
            await asyncio.sleep(SETTLE_S)
        await self.action_quit()

    def _exit_code(self) -> int:
        return 1 if self._came_back else super()._exit_code()

    def _emit(self, text: str) -> bool:
        """Send a text to the terminal's clipboard; False: there is no terminal."""
        if not self._out.isatty():
            return False
        code = base64.b64encode(text.encode("utf-8", "replace")).decode()
        self._out.write(f"\x1b]52;c;{code}\a")
        self._out.flush()
        return True

    def _read(self) -> None:
        """In a thread: a line, or what stands between two lines of three quotes."""
        loop = self._loop
        assert loop is not None
        block: list[str] | None = None
        with contextlib.suppress(OSError, ValueError, RuntimeError):
            for raw in sys.stdin:
                line = raw.rstrip("\r\n")
                if line.strip() == _BLOCK:
                    if block is None:
                        block = []
                        continue
                    line, block = "\n".join(block), None
                elif block is not None:
                    block.append(line)
                    continue
                loop.call_soon_threadsafe(self._lines.put_nowait, line)
            loop.call_soon_threadsafe(self._lines.put_nowait, None)

    async def _take(self, line: str) -> None:
        if line.lower().startswith("/key "):
            for key in line[5:].split():
                self.simulate_key(_spell(key))
        elif len(self.screen_stack) == 1 and not self._in_list:
            self._write(line)
        elif line.strip() == ".":
            self.simulate_key("escape")
        elif _NUMBER.fullmatch(line.strip()) and self._told is not None:
            self._choose(int(line))
        else:
            self._fill(line)

    @property
    def _in_list(self) -> bool:
        """Whether a list has the keys: that of the chats, or that of what was found."""
        return len(self.screen_stack) == 1 and isinstance(self.focused, Listing | OptionList)

    def _write(self, line: str) -> None:
        """Send a line; what stands in the prompt, such as a text that came back, stays there."""
        pane = self.chat.pane
        waits = "" if pane.editing is not None else pane.prompt.prompt
        pane.prompt.set_prompt(line)
        pane.prompt.action_submit()
        if waits:
            pane.prompt.set_prompt(waits)

    def _choose(self, number: int) -> None:
        assert self._told is not None
        if not 0 < number <= len(self._told.choices):
            self.say(f"There is no {number}.")
            return
        choice = self._told.choices[number - 1]
        if isinstance(choice.widget, OptionList):
            choice.widget.focus()
            choice.widget.highlighted = choice.place
            choice.widget.action_select()
        elif isinstance(choice.widget, Listing):
            choice.widget.choose_entry(choice.place)

    def _fill(self, line: str) -> None:
        focused = self.focused
        field = focused if isinstance(focused, Input | TextArea) else None
        if field is None:
            field = next(iter(self.screen.query(Input)), None)
        if isinstance(field, Input):
            field.focus()
            field.value = line
            self.call_later(field.action_submit)
        elif isinstance(field, TextArea):
            field.load_text(line)
        else:  # letters are what this screen takes
            for character in line:
                self.simulate_key(character if character != " " else "space")

    async def _settle(self) -> None:
        """Wait until nothing changes any more, and tell what lies on top of the chat."""
        before, quiet = None, 0
        while quiet < _QUIET_ROUNDS:
            await asyncio.sleep(SETTLE_S)
            now = self._tell_top()
            quiet = quiet + 1 if now == before and self.keys.idle else 0
            before = now
        if before is None:
            if self._told is not None:
                self.say("Back in the chat.")
            self._told = None
            return
        known = self._told.lines if self._told else ()
        self._told = before
        if before.lines != known:
            self.say("\n".join(before.lines))

    def _tell_top(self) -> Told | None:
        if not self.screen_stack:
            return None
        if len(self.screen_stack) > 1:
            return tell(self.screen)
        focused = self.focused
        if focused is None or not self._in_list:
            return None
        sidebar = self.chat.sidebar
        return tell(sidebar if sidebar in focused.ancestors else focused)


def _waiting(count: int) -> str:
    if count == 1:
        return "1 message waits."
    return f"{count} messages wait." if count else "Nothing waits."


def _spell(key: str) -> str:
    """`Ctrl+S` as Textual has it."""
    names = {"esc": "escape", "del": "delete", "pgup": "pageup", "pgdn": "pagedown"}
    if len(key) == 1:
        return key
    return "+".join(names.get(part, part) for part in key.lower().split("+"))


def run_plain(app: PlainApp) -> None:
    """Run until the user leaves, the lines end, or nobody can read what is told."""
    asyncio.run(app.run_async(headless=True, size=SIZE, mouse=False))
    if app.lost is not None:
        raise app.lost
