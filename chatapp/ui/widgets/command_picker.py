"""The list of what may come next while a slash command is typed.

It belongs to a text of one line that begins with a slash and a letter, and opens with that letter.
What it offers is looked up in a thread. The keys of a list wait for that, and mean what they mean
without a list where there is nothing to offer. So the same keys do the same however fast they come:
what a key does depends on the text before it, never on when the list was drawn.

Enter takes the marked row only where the text is no command yet, or where one has moved the mark;
else it does the command.
"""

import asyncio
from collections.abc import Callable
from typing import Protocol

from textual.events import Key

from chatapp.commands import Invocation, parse
from chatapp.commands.completion import Candidate, Completion, Sources, complete
from chatapp.commands.table import Takes
from chatapp.ui.widgets.pick_list import PickList
from chatapp.ui.widgets.prompt_modes import Outcome, Written

WAYS = "↑↓ choose · Tab takes · Esc closes"
_ENDS = ("escape", "ctrl+c")
_CLOSED = frozenset(
    {Takes.PRESET, Takes.TEMPLATE, Takes.THEME, Takes.COMMAND, Takes.PARAMETER, Takes.THINKING}
)
"""What must be one of what is offered: half a name of these is no whole command."""


class CommandLine(Written, Protocol):
    """A text that is being written."""

    text: str


class CommandPicker:
    """Commands, and what stands behind them."""

    hint = ""

    def __init__(self, written: CommandLine, rows: PickList, sources: Callable[[], Sources]):
        self._written, self._rows, self._sources = written, rows, sources()
        self._asked = ("", 0)
        """The text and the cursor that were looked at last."""
        self._found: Completion | None = None
        self._looking: asyncio.Task[None] | None = None
        self._stepped = False
        self._closed = False
        """By Esc; it opens again with the next command."""
        self.follow()

    def takes(self, key: str) -> bool:
        """The keys of a list that is drawn, or is about to be."""
        return not self._closed and key in (*_ENDS, "enter", "tab", "up", "down")

    async def press(self, event: Key) -> Outcome:
        """Choose, take, or close."""
        if self._looking is not None:
            await asyncio.wait([self._looking])
        found = self._found
        if found is not None and event.key in _ENDS:
            self._closed = True
            self._rows.hide()
            return Outcome.STAYS
        if found is None or (event.key == "enter" and not self._stepped and self._is_whole(found)):
            return Outcome.PASSES
        if event.key in ("up", "down"):
            self._stepped = True
            self._rows.step(-1 if event.key == "up" else 1)
            return Outcome.STAYS
        chosen = found.candidates[self._rows.marked]
        self._written.replace_before_cursor(found.end - found.start, chosen.text)
        return Outcome.STAYS if self.follow() else Outcome.ENDS

    def follow(self) -> bool:
        """Look for what fits what stands there now."""
        text, before = self._written.text, self._written.before_cursor
        if not begins_command(text):
            return False
        if (text, len(before)) != self._asked and not self._closed:
            self._asked = (text, len(before))
            self._stepped = False
            if self._looking is not None:
                self._looking.cancel()
            self._looking = asyncio.create_task(self._look(text, len(before)))
        return True

    def close(self) -> None:
        """Look no further."""
        self._rows.hide()
        if self._looking is not None:
            self._looking.cancel()

    async def _look(self, text: str, cursor: int) -> None:
        self._found = None
        found = await asyncio.to_thread(complete, text, cursor, self._sources)
        if found is None or self._says_all(found, text):
            self._rows.hide()
            return
        self._found = found
        rows = [" · ".join(filter(None, (one.shown, one.help))) for one in found.candidates]
        self._rows.show(_title(text), rows, WAYS)

    def _says_all(self, found: Completion, text: str) -> bool:
        """Whether all that is offered stands there already."""
        typed = text[found.start : found.end]
        return [one.text.strip() for one in found.candidates] == [typed] and bool(typed)

    def _is_whole(self, found: Completion) -> bool:
        parsed = parse(self._written.text)
        if not isinstance(parsed, Invocation):
            return False
        typed = self._written.text[found.start : found.end]
        if not typed or parsed.command.takes not in _CLOSED or " " in parsed.args:
            return True
        return any(_names(one, typed) for one in found.candidates)


def begins_command(text: str) -> bool:
    """Whether a text is one line that begins with a slash and a letter."""
    return len(text) > 1 and text[0] == "/" and text[1].isalpha() and "\n" not in text


def _names(candidate: Candidate, typed: str) -> bool:
    return candidate.text.strip().lower() == typed.lower()


def _title(text: str) -> str:
    parsed = parse(text.split(maxsplit=1)[0])
    is_named = isinstance(parsed, Invocation) and any(char.isspace() for char in text)
    return parsed.command.spelled if isinstance(parsed, Invocation) and is_named else "Commands"
