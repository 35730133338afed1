"""The bar under the conversation while words are looked for in it.

Two states, both drawn: a field for the words, and what was found. With the keys on what was found,
`n` and `N` are commands; any other letter goes to the prompt.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal
from textual.message import Message
from textual.widgets import Input, Static

from chatapp.ui.keymap import bindings
from chatapp.ui.wording import clean_line


class FindBar(Horizontal, can_focus=True):
    """Not displayed while nothing is looked for."""

    DEFAULT_CSS = """
    FindBar {
        display: none; height: 1; padding: 0 1; background: $panel; color: $text-warning;
        &:focus { background: $warning 30%; text-style: bold; }
        & > Static { width: 1fr; height: 1; }
        & > Input { display: none; border: none; height: 1; padding: 0; background: $panel; }
        &.-asking > Input { display: block; width: 1fr; }
        &.-asking > Static { width: auto; padding-right: 1; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = bindings("find")

    @dataclass
    class Asked(Message):
        """Look for these words."""

        words: str

    @dataclass
    class Stepped(Message):
        """To the next hit (1), or the one before (-1)."""

        step: int

    @dataclass
    class Chosen(Message):
        """To this hit, counted from 0."""

        place: int

    class Closed(Message):
        """Look for nothing any more."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._field = Input(placeholder="Words", id="find-words", compact=True)
        self._line = Static("", markup=False)
        self.entries: Callable[[], list[str]] = list
        """The hits with the words around them, for whoever is told the screen line by line."""

    def compose(self) -> ComposeResult:
        """What was found, or the field."""
        yield self._line
        yield self._field

    def plain_entries(self) -> list[str]:
        """The hits."""
        return self.entries()

    def choose_entry(self, place: int) -> None:
        """Go to one of them."""
        self.post_message(self.Chosen(place))

    def ask(self, words: str = "") -> None:
        """Let the user write what to look for."""
        self.display = True
        self.add_class("-asking")
        self._line.update("Find:")
        self._field.value = words
        self._field.focus()

    def tell(self, line: str, *, take_keys: bool) -> None:
        """Show what was found; with `take_keys` letters are commands now."""
        if self.has_class("-asking") and not take_keys:
            return  # other words are being written
        self.display = True
        self.remove_class("-asking")
        self._line.update(clean_line(line))
        if take_keys:
            self.focus()

    def close(self) -> None:
        """Nothing is looked for."""
        self.display = False
        self.remove_class("-asking")

    @property
    def has_keys(self) -> bool:
        """The bar or its field has the focus."""
        return self.has_focus or self._field.has_focus

    @on(Input.Submitted)
    def _ask(self, event: Input.Submitted) -> None:
        event.stop()
        if event.value.strip():
            self.post_message(self.Asked(event.value))
        else:
            self.post_message(self.Closed())

    def action_find_step(self, step: int) -> None:
        """To another hit."""
        self.post_message(self.Stepped(step))

    def action_find_words(self) -> None:
        """Change the words."""
        self.ask(self._field.value)

    def action_find_end(self) -> None:
        """Leave."""
        self.post_message(self.Closed())
