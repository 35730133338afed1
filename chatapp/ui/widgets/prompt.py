"""Where the user writes: one line that grows, with what was sent before at hand.

Enter sends, and Shift+Enter, Alt+Enter and Ctrl+J start a line, or the other way round by setting.
All editing is done where a key arrives, never by a binding of the app: that would be run when the
key has risen to it, and by then a fast typist's next key is in the text.

A large paste is kept aside, because laying out 2 MB would hold up the keys for seconds; it is put
back when the text is sent. The surprising fact: `TextArea.history` is the undo stack, so what was
sent before is called `earlier`. The cursor's place on the screen, which input methods need, is
TextArea's own and is left alone.
"""

import asyncio
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, runtime_checkable

from textual import on
from textual.events import Blur, Key, Paste
from textual.geometry import Size
from textual.message import Message
from textual.widget import Widget
from textual.widgets import TextArea

from chatapp.commands.completion import Sources
from chatapp.errors import ChatAppError
from chatapp.material.dropped import dropped_files
from chatapp.text import strip_controls
from chatapp.ui.editor import edit_text
from chatapp.ui.file_search import FileSearch
from chatapp.ui.key_sequences import read_all_sequences
from chatapp.ui.setup import ChatSetup
from chatapp.ui.widgets.command_picker import CommandPicker, begins_command
from chatapp.ui.widgets.earlier import Earlier
from chatapp.ui.widgets.pick_list import PickList
from chatapp.ui.widgets.prompt_keys import PromptKeys
from chatapp.ui.widgets.prompt_modes import (
    EarlierSearch,
    FilePicker,
    Mode,
    Outcome,
    PathOffer,
    Prefix,
)
from chatapp.ui.widgets.typed_names import TypedNames
from chatapp.ui.widgets.writing_area import MAX_PASTE, WritingArea
from chatapp.ui.wording import explain

MAX_ROWS = 10
"""Rows that the box grows to, if that is no more than a third of the screen."""

_NOT_OURS = (
    "pageup", "pagedown", "shift+up", "shift+down", "ctrl+c", "ctrl+x", "ctrl+y",
)  # fmt: skip
"""Keys of a text area that mean the conversation here, or something else."""


@runtime_checkable
class KnowsSettings(Protocol):
    """An app with settings; where a prompt is used elsewhere, it has the defaults."""

    setup: ChatSetup


class PromptBox(WritingArea):
    """A text area for a prompt."""

    DEFAULT_CSS = """
    PromptBox {
        height: auto;
        min-height: 3;
        max-height: 33.4vh;
        border: round $border-blurred;
        border-subtitle-color: $text-accent;
        border-title-color: $text-warning;
        padding: 0 1;
        background: $background;
        scrollbar-size-vertical: 1;
        &:focus { border: round $border; }
        &.-temporary, &.-temporary:focus { border: round $warning; }
        & .text-area--cursor-line { background: transparent; }
    }
    """

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
        super().__init__(id=id, placeholder=placeholder)
        read_all_sequences()
        for key in _NOT_OURS:
            self._bindings.key_to_bindings.pop(key, None)
        self.keys = PromptKeys.read({})
        self.leaves: frozenset[str] = frozenset()
        """Keys that are not the prompt's now, because they act on a marked message."""
        self.steps_first = False
        """Up in an empty prompt is `Stepped`, even where there is something to recall."""
        self.find_earlier: Callable[[str, int], list[str]] = lambda query, limit: (
            self._earlier.find(query, limit)
        )
        """Prompts with a text in them, the newest first, at most so many; called in a thread."""
        self.sources: Callable[[], Sources] = Sources
        """What stands behind commands; its parts are called in a thread."""
        self._earlier = Earlier(list(earlier or []))
        self.named = TypedNames()
        """The files that the user has named by hand."""
        self._rows = PickList(lambda: self.post_message(Key("enter", "\r")))
        self._mode: Mode | None = None

    def on_mount(self) -> None:
        """Take the user's settings, and a place for lists above the prompt."""
        if isinstance(self.app, KnowsSettings):
            config = self.app.setup.config
            self.keys = PromptKeys.read(config.keys, enter_sends=config.ui.enter == "send")
        if not self.keys.enter_sends:
            self.placeholder = "Write a message. Alt+Enter or Ctrl+J sends, Enter starts a line."
        if isinstance(self.parent, Widget):
            self.parent.mount(self._rows, before=self)

    # The text ----------------------------------------------------------------------------------

    @property
    def earlier(self) -> list[str]:
        """Prompts sent before, oldest first."""
        return self._earlier.texts

    @earlier.setter
    def earlier(self, texts: list[str]) -> None:
        self._earlier.texts = texts

    @property
    def prompt(self) -> str:
        """The text with folded pastes put back."""
        return self.whole_text

    @property
    def offers(self) -> PickList | None:
        """The rows above the prompt, while there are some to choose from."""
        return self._rows if self._mode is not None and self._rows.is_open else None

    def set_prompt(self, text: str) -> None:
        """Replace the text; the cursor goes to its end. Large texts are folded."""
        self.end_mode()
        self._earlier.leave()
        self.folds.clear()
        self.load_whole(text)

    def clear_prompt(self) -> None:
        """Leave nothing; undo brings the text back."""
        self.end_mode()
        self._earlier.leave()
        self.replace_all("")

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return min(super().get_content_height(container, viewport, width), MAX_ROWS)

    def type(self, text: str) -> None:
        """Insert text at the cursor and take the focus; as when it is pasted here."""
        self.insert_pasted(text)
        self.focus()

    def begin_command(self, name: str) -> None:
        """Begin a slash command; what may stand behind it is offered."""
        self.replace_all(f"/{name} ")
        self._begin(CommandPicker(self, self._rows, self.sources))

    # Sending and recalling ---------------------------------------------------------------------

    def action_submit(self) -> None:
        """Send the text, unless it is blank."""
        text = self.prompt.strip()
        if not text:
            self.post_message(self.Blank())
            return
        self._earlier.add(text)
        self.set_prompt("")
        self.post_message(self.Submitted(text))

    def action_newline(self) -> None:
        """Start a new line."""
        self._replace_via_keyboard("\n", *self.selection)

    def _up(self) -> None:
        """Up a row; from the first row, the prompt sent before."""
        at_top = self.get_cursor_up_location() == self.cursor_location or (
            self.cursor_at_first_line and self._row_in_line() == 0
        )
        if not at_top or not self.earlier or (self.steps_first and not self.text):
            self._step(-1)
        elif (text := self._earlier.before(self.text)) is not None:
            self.load_whole(text)

    def _down(self) -> None:
        """Down a row; from the last row of a recalled prompt, the one after it or the draft."""
        if self._earlier.recalled and self.cursor_at_last_line:
            self.load_whole(self._earlier.after())
        else:
            self._step(1)

    def _step(self, step: int) -> None:
        if not self.text:
            self.post_message(self.Stepped(step))
        elif step < 0:
            self.action_cursor_up()
        else:
            self.action_cursor_down()

    def _row_in_line(self) -> int:
        return self.wrapped_document.location_to_offset(self.cursor_location).y

    # Pasting -----------------------------------------------------------------------------------

    async def _on_paste(self, event: Paste) -> None:
        """Insert what was pasted, folded if it is large; offer what was dropped."""
        event.prevent_default()
        event.stop()
        self.end_mode()
        self.type(event.text)
        if len(event.text) <= MAX_PASTE and (
            paths := await asyncio.to_thread(dropped_files, event.text)
        ):
            self._begin(PathOffer(self, self._rows, strip_controls(event.text), paths))

    # Modes -------------------------------------------------------------------------------------

    def _begin(self, mode: Mode) -> None:
        self.end_mode()
        self._mode = mode
        self._show_hint()

    def end_mode(self) -> None:
        """Close what is drawn beside the prompt; keys write again."""
        if self._mode is not None:
            self._mode.close()
            self._mode = None
            self._show_hint()

    async def action_search_prompts(self, words: str = "") -> None:
        """Find a prompt of before by a few of its letters."""

        async def find(query: str, limit: int) -> list[str]:
            return await asyncio.to_thread(self.find_earlier, query, limit)

        search = EarlierSearch(self, self._rows, find, words)
        self._begin(search)
        await search.begin()

    async def action_edit_in_editor(self) -> None:
        """Write in the user's own editor, pastes unfolded; what it leaves comes back here."""
        before = self.prompt
        try:
            text = await edit_text(self.app, before)
        except ChatAppError as error:
            self.app.notify(explain(error), severity="warning", markup=False)
            return
        if text != before:
            self.replace_all(text)

    def _offer_files(self) -> None:
        """An `@` was typed: where it begins a word, it may be a file."""
        before = self.before_cursor[:-1]
        if not before or before[-1].isspace() or before[-1] in "([{<\"'":
            try:
                files = FileSearch(Path.cwd())
            except OSError:  # the current folder was deleted
                return
            self._begin(FilePicker(self, self._rows, files))

    def _on_blur(self, event: Blur) -> None:
        super()._on_blur(event)
        self.end_mode()

    @on(TextArea.SelectionChanged)
    @on(TextArea.Changed)
    def _show_hint(self) -> None:
        """What a key does here that it does not do elsewhere stands at the prompt's edge."""
        hint = self._mode.hint if self._mode else ""
        if not hint and self._mode is None and self.fold_here():
            hint = self.keys.paste_hint
        self.border_subtitle = hint

    # Keys --------------------------------------------------------------------------------------

    def takes(self, key: str) -> bool:
        """Whether a key is the prompt's as it stands, before it is the screen's or the app's: a key
        of what is drawn beside it, and in a text that is being written readline's."""
        if self._mode is not None:
            return self._mode.takes(key)
        leaves = key in self.keys.given_away or key in self.leaves
        return bool(self.text) and key in self.readline.commands and not leaves

    def edits_with(self, key: str) -> bool:
        """Whether a key changes the text or the cursor here, and nothing elsewhere."""
        if key in self.keys.given_away or key in self.leaves or key in ("up", "down"):
            return False
        if (sends := self.keys.sends(key)) is not None:
            return not sends
        return key in self.readline.commands or key in self._bindings.key_to_bindings

    async def _on_key(self, event: Key) -> None:
        """Do all that a key does here and now."""
        if await self._press(event):
            event.stop()
            event.prevent_default()  # Textual calls the handler of every base class too

    async def _press(self, event: Key) -> bool:
        self._restart_blink()
        mode = self._mode
        if mode is not None and mode.takes(event.key):
            outcome = await mode.press(event)
            if outcome is Outcome.STAYS:
                return True
            self.end_mode()
            if outcome is Outcome.ENDS:
                return True
        taken = await self._write_with(event)
        if mode is not None and mode is self._mode and not mode.follow():
            self.end_mode()
        return taken

    async def _write_with(self, event: Key) -> bool:
        key = event.key
        if _is_text(event) and event.character:
            self.readline.run("")
            self._replace_via_keyboard(event.character, *self.selection)
            self.named.type(self.cursor_location[0], self.before_cursor)
            if event.character == "@":
                self._offer_files()
            elif self._mode is None and begins_command(self.text):
                self._begin(CommandPicker(self, self._rows, self.sources))
            return True
        if key in self.keys.given_away or key in self.leaves or (key == "ctrl+e" and not self.text):
            return False
        if self.readline.run(key):
            return True
        if (sends := self.keys.sends(key)) is not None:
            (self.action_submit if sends else self.action_newline)()
        elif key in ("up", "down"):
            (self._up if key == "up" else self._down)()
        elif key == "ctrl+x":
            self._cut_or_wait()
        elif action := self.keys.actions.get(key):
            await self.run_action(action)
        elif bound := self._bindings.key_to_bindings.get(key):
            await self.run_action(bound[0].action)
        else:
            return False
        return True

    def _cut_or_wait(self) -> None:
        if self.selection.is_empty:
            self._begin(Prefix(self.action_edit_in_editor))
        else:
            self.action_cut()


def _is_text(event: Key) -> bool:
    """Whether a key is a character to write. To Python, the blanks of Japanese and French and the
    joiners of Persian and of emoji are not printable."""
    character = event.character
    return event.is_printable or (
        character is not None
        and unicodedata.category(character) in ("Zs", "Cf")
        and strip_controls(character) == character
    )
