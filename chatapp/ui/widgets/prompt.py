"""Where the user writes: one line that grows, with what was sent before at hand.

Enter sends, Shift+Enter, Alt+Enter and Ctrl+J start a new line. A large paste is kept aside and
stands in the text as `[pasted 214 lines]`, because laying out 2 MB would hold up the keys for
seconds; it is put back when the text is sent. The surprising fact: `TextArea.history` is the undo
stack, so what was sent before is called `earlier`. The cursor's place on the screen, which input
methods need, is TextArea's own and is left alone.
"""

import re
from typing import ClassVar, cast

from textual._ansi_sequences import ANSI_SEQUENCES_KEYS
from textual.binding import Binding, BindingType
from textual.events import Key, Paste
from textual.geometry import Size
from textual.keys import Keys
from textual.message import Message
from textual.widgets import TextArea

from chatapp.text import strip_controls

NEWLINE_KEYS = ("shift+enter", "alt+enter", "ctrl+j", "shift+\r", "alt+\r", "ctrl+\r")
"""The last three are what Textual 8.2.8 makes of xterm's and tmux's `CSI 27 ; n ; 13 ~`."""

MAX_PASTE_LINES = 20
MAX_PASTE = 4096
"""A paste of more lines or characters is folded."""

MAX_LINES = 1000
MAX_LENGTH = 50_000
"""An earlier prompt that comes back to be changed is folded above these."""

MAX_ROWS = 10
"""Rows that the box grows to, if that is no more than a third of the screen."""

_KEPT = 500
"""Prompts that can be recalled."""

_ELSEWHERE = ("pageup", "pagedown")
"""Keys of a text area that mean the conversation here."""

_FOLDED = re.compile(r"\[pasted [^\]\n]*\]")


def accept_legacy_alt_enter() -> None:
    """Make Escape Return, which is Alt+Enter in terminals without the kitty protocol, start a line.

    Textual 8.2.8 reports it as Enter, which would send a message that is half written.
    """
    table = cast("dict[str, tuple[Keys, ...]]", ANSI_SEQUENCES_KEYS)
    table["\x1b\r"] = (Keys.ControlJ,)


def accept_escape_before_control() -> None:
    """Make Escape and Control with a letter, come at once, the two keys that they are.

    Textual 8.2.8 waits for more of an unknown sequence, drops the Escape, and types `^` in its
    place when another Escape follows. Return, Tab and Backspace after Escape have a sense of
    their own.
    """
    table = cast("dict[str, tuple[Keys, ...]]", ANSI_SEQUENCES_KEYS)
    for code in range(1, 27):
        if chr(code) not in "\r\t\b":
            table.setdefault(f"\x1b{chr(code)}", (Keys.Escape, *table[chr(code)]))


class PromptBox(TextArea):
    """A text area for a prompt."""

    DEFAULT_CSS = """
    PromptBox {
        height: auto;
        min-height: 3;
        max-height: 33.4vh;
        border: round $border-blurred;
        padding: 0 1;
        background: $background;
        scrollbar-size-vertical: 1;
        &:focus { border: round $border; }
        & .text-area--cursor-line { background: transparent; }
    }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "up", "Recall the prompt before", id="prompt-recall", show=False),
        Binding("down", "down", "Recall the prompt after", id="prompt-return", show=False),
    ]

    HELP = "Write here. Enter sends; Shift+Enter, Alt+Enter or Ctrl+J start a new line."

    class Submitted(Message):
        """The user sends `text`, with folded pastes put back. It is never blank."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    class Blank(Message):
        """Enter in an empty prompt."""

    class Stepped(Message):
        """Up (-1) or down (1) in an empty prompt, with nothing to recall."""

        def __init__(self, step: int) -> None:
            super().__init__()
            self.step = step

    def __init__(
        self,
        *,
        placeholder: str = "",
        earlier: list[str] | None = None,
        id: str | None = None,  # noqa: A002
    ) -> None:
        super().__init__(
            id=id,
            placeholder=placeholder,
            highlight_cursor_line=False,
            tab_behavior="focus",
        )
        accept_legacy_alt_enter()
        accept_escape_before_control()
        for key in _ELSEWHERE:
            self._bindings.key_to_bindings.pop(key, None)
        self.earlier: list[str] = list(earlier or [])
        """Prompts sent before, oldest first."""
        self.steps_first = False
        """Up in an empty prompt is `Stepped`, even where there is something to recall."""
        self._recalled: int | None = None
        self._draft = ""
        self._pasted: dict[str, str] = {}

    @property
    def prompt(self) -> str:
        """The text with folded pastes put back."""
        return _FOLDED.sub(lambda found: self._pasted.get(found[0], found[0]), self.text)

    def set_prompt(self, text: str) -> None:
        """Replace the text; the cursor goes to its end. Large texts are folded."""
        self._recalled = None
        self._pasted.clear()
        self._replace(text)

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return min(super().get_content_height(container, viewport, width), MAX_ROWS)

    def type(self, text: str) -> None:
        """Insert text at the cursor and take the focus; as when it is pasted here."""
        self._insert(text)
        self.focus()

    # Sending and recalling ---------------------------------------------------------------------

    def action_submit(self) -> None:
        """Send the text, unless it is blank."""
        text = self.prompt.strip()
        if not text:
            self.post_message(self.Blank())
            return
        if not self.earlier or self.earlier[-1] != text:
            self.earlier.append(text)
            del self.earlier[:-_KEPT]
        self.set_prompt("")
        self._draft = ""
        self.post_message(self.Submitted(text))

    def action_newline(self) -> None:
        """Start a new line."""
        self._replace_via_keyboard("\n", *self.selection)

    def action_up(self) -> None:
        """Up a row; from the first row, the prompt sent before."""
        at_top = self.get_cursor_up_location() == self.cursor_location or (
            self.cursor_at_first_line and self._row_in_line() == 0
        )
        if not at_top or not self.earlier or (self.steps_first and not self.text):
            self._step(-1)
            return
        if self._recalled is None:
            self._draft, index = self.text, len(self.earlier)
        else:
            index = self._recalled
        if index:
            self._recall(index - 1)

    def action_down(self) -> None:
        """Down a row; from the last row of a recalled prompt, the one after it or the draft."""
        if self._recalled is None or not self.cursor_at_last_line:
            self._step(1)
        elif self._recalled + 1 < len(self.earlier):
            self._recall(self._recalled + 1)
        else:
            self._recalled = None
            self._replace(self._draft)

    def _step(self, step: int) -> None:
        if not self.text:
            self.post_message(self.Stepped(step))
        elif step < 0:
            self.action_cursor_up()
        else:
            self.action_cursor_down()

    def _recall(self, index: int) -> None:
        self._replace(self.earlier[index])
        self._recalled = index

    def _replace(self, text: str) -> None:
        """Text that is there to be edited is folded only where editing it would be slow."""
        self.load_text("")
        self._insert(text, max_lines=MAX_LINES, max_length=MAX_LENGTH)

    def _row_in_line(self) -> int:
        return self.wrapped_document.location_to_offset(self.cursor_location).y

    # Pasting -----------------------------------------------------------------------------------

    async def _on_paste(self, event: Paste) -> None:
        """Insert what was pasted, folded if it is large."""
        event.prevent_default()
        event.stop()
        self.type(event.text)

    def _insert(
        self, text: str, *, max_lines: int = MAX_PASTE_LINES, max_length: int = MAX_PASTE
    ) -> None:
        text = strip_controls(text)
        lines = text.count("\n") + 1
        if lines > max_lines or len(text) > max_length:
            text = self._fold(text, lines)
        result = self._replace_via_keyboard(text, *self.selection)
        if result is not None:
            self.move_cursor(result.end_location)

    def action_paste(self) -> None:
        """Insert what was cut or copied here last."""
        self._insert(self.app.clipboard)

    def _fold(self, text: str, lines: int) -> str:
        size = f"{lines} lines" if lines > 1 else f"{len(text)} characters"
        name, number = f"[pasted {size}]", 1
        while self._pasted.get(name, text) != text:
            number += 1
            name = f"[pasted {size} #{number}]"
        self._pasted[name] = text
        return name

    def edits_with(self, key: str) -> bool:
        """Whether a key changes the text or the cursor here, and nothing elsewhere."""
        return key in NEWLINE_KEYS or (
            key in self._bindings.key_to_bindings and key not in ("up", "down")
        )

    async def _on_key(self, event: Key) -> None:
        """Do all editing here and now. As bindings, Enter and Backspace would be run by the app
        when the event has risen to it: by then a fast typist's next key is in the text."""
        if event.key == "enter":
            self.action_submit()
        elif event.key in NEWLINE_KEYS:
            self.action_newline()
        elif bound := self._bindings.key_to_bindings.get(event.key):
            await self.run_action(bound[0].action)
        else:
            return
        event.stop()
        event.prevent_default()  # Textual calls the handler of every base class too
