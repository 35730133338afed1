"""A filter above a list: what is typed in the list goes to it, and it hands the list's keys on.

The owner puts the list below it and listens: `Stepped` moves in the list, `Left` goes back to it,
`Input.Submitted` is for what is highlighted there.
"""

from dataclasses import dataclass
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.events import Key
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Input

from chatapp.ui.wording import clean_line


class FilterInput(Input):
    """One line. Esc empties it and leaves."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "Empty the filter", show=False),
        Binding("up", "step(-1)", "Up in the list", show=False),
        Binding("down", "step(1)", "Down in the list", show=False),
    ]

    @dataclass
    class Stepped(Message):
        """Up (-1) or down (1) in the list."""

        step: int

    class Left(Message):
        """The filter is empty, and the keys are for the list."""

    def __init__(self, *, placeholder: str = "", id: str | None = None) -> None:  # noqa: A002
        # What was typed in the list is gone on with, not typed over.
        super().__init__(placeholder=placeholder, id=id, compact=True, select_on_focus=False)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """At the end of the text, Del is the list's."""
        if action == "delete_right" and self.cursor_position == len(self.value):
            return False
        return super().check_action(action, parameters)

    def add(self, text: str) -> None:
        """Add what was typed in the list, and take the keys."""
        self.cursor_position = len(self.value)
        self.insert_text_at_cursor(clean_line(text) if len(text) > 1 else text)
        self.focus()

    def action_leave(self) -> None:
        """Empty the filter and leave it."""
        self.value = ""
        self.post_message(self.Left())

    def action_step(self, step: int) -> None:
        """Move in the list."""
        self.post_message(self.Stepped(step))


def is_typed(owner: Widget, event: Key) -> bool:
    """Whether a key that came to a list is text for its filter, and no key of the list."""
    if not event.is_printable or not event.character:
        return False
    return event.key not in owner.screen.active_bindings
