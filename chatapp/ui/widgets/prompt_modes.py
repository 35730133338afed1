"""What the prompt does with keys while something is drawn beside it. Each mode ends with Esc.

A mode is told its keys in the order in which they came by the prompt's handler, which waits for it:
what a key depends on is awaited, so that keys in a burst end as those that are typed slowly.
"""

import asyncio
from collections.abc import Awaitable, Callable
from enum import Enum, auto
from pathlib import Path
from typing import Protocol

from textual.events import Key

from chatapp.material.mentions import mention
from chatapp.ui.file_search import FileSearch
from chatapp.ui.widgets.pick_list import PickList
from chatapp.ui.widgets.typed_names import TypedNames

Find = Callable[[str, int], Awaitable[list[str]]]

MAX_FOUND = 50
"""Rows that are offered."""

LOOK_AGAIN_S = 0.3
"""How often the files that are being listed are looked at."""

WAYS = "↑↓ choose · Enter takes · Esc ends"

_ENDS = ("escape", "ctrl+c")
_LIST_KEYS = (*_ENDS, "enter", "tab", "up", "down")


class Outcome(Enum):
    """What became of a mode by a key that it took."""

    STAYS = auto()
    ENDS = auto()
    PASSES = auto()
    """It ends, and the key means what it means without it."""


class Written(Protocol):
    """What a mode may do with the text that is being written."""

    @property
    def before_cursor(self) -> str:
        """The cursor's line up to the cursor."""
        ...

    def replace_before_cursor(self, length: int, text: str) -> None:
        """Put `text` in place of that many characters before the cursor, to be undone at once."""
        ...

    @property
    def named(self) -> TypedNames:
        """The files that the user has named by hand."""
        ...

    def replace_all(self, text: str) -> None:
        """Put `text` in place of all that is written, to be undone at once."""
        ...


class Mode(Protocol):
    """What is drawn, and the keys that mean something else meanwhile."""

    hint: str
    """What stands at the prompt's edge; empty: the mode draws a list."""

    def takes(self, key: str) -> bool:
        """Whether a key is this mode's and not the prompt's or the screen's."""
        ...

    async def press(self, event: Key) -> Outcome:
        """Do what a key that it takes does."""
        ...

    def follow(self) -> bool:
        """The text or the cursor has moved; whether the mode goes on."""
        ...

    def close(self) -> None:
        """It has ended; nothing more is looked for."""
        ...


class Prefix:
    """Ctrl+X was pressed: one more key makes the command."""

    hint = "Ctrl+X: Ctrl+E opens the editor, Esc cancels"

    def __init__(self, edit: Callable[[], Awaitable[None]]) -> None:
        self._edit = edit

    def takes(self, key: str) -> bool:  # noqa: ARG002
        """Whatever comes next."""
        return True

    async def press(self, event: Key) -> Outcome:
        """Whatever it is, the wait is over."""
        if event.key == "ctrl+e":
            await self._edit()
            return Outcome.ENDS
        return Outcome.ENDS if event.key in _ENDS else Outcome.PASSES

    def follow(self) -> bool:
        """Something was written instead."""
        return False

    def close(self) -> None:
        """Nothing is left."""


class EarlierSearch:
    """What was written before, in all chats, by a few of its letters."""

    hint = ""

    def __init__(self, written: Written, rows: PickList, find: Find, query: str = "") -> None:
        self._written, self._rows, self._find = written, rows, find
        self._query = query
        self._found: list[str] = []

    async def begin(self) -> None:
        """Show the newest that fit."""
        self._found = await self._find(self._query, MAX_FOUND)
        sought = f": {self._query}▏" if self._query else ", type to find one"
        rows = [" ".join(text.split()) for text in self._found]
        self._rows.show(f"Earlier prompts{sought}", rows or ["none"], WAYS)

    def takes(self, key: str) -> bool:  # noqa: ARG002
        """All of them: what one types is what is looked for."""
        return True

    async def press(self, event: Key) -> Outcome:
        """Look for more, choose, take, or end."""
        if event.key in _ENDS:
            return Outcome.ENDS
        if event.key in ("enter", "tab"):
            if self._found:
                self._written.replace_all(self._found[self._rows.marked])
            return Outcome.ENDS
        if event.key in ("up", "down"):
            self._rows.step(-1 if event.key == "up" else 1)
            return Outcome.STAYS
        query = self._query
        if event.key == "backspace":
            query = query[:-1]
        elif event.key in ("ctrl+u", "ctrl+w"):
            query = ""
        elif event.is_printable and event.character:
            query += event.character
        if query != self._query:
            self._query = query
            await self.begin()
        return Outcome.STAYS

    def follow(self) -> bool:
        """Nothing is written meanwhile."""
        return True

    def close(self) -> None:
        """Nothing is left."""
        self._rows.hide()


class FilePicker:
    """A file below the folder, by a few letters behind an `@` in the text."""

    hint = ""

    def __init__(self, written: Written, rows: PickList, files: FileSearch) -> None:
        self._written, self._rows, self._files = written, rows, files
        self._found: list[str] = []
        self._looking: asyncio.Task[None] | None = None
        self._query = ""
        files.start()
        self._look()

    @property
    def _typed(self) -> str | None:
        """What stands between the `@` and the cursor; None where there is no `@` any more."""
        _, at, typed = self._written.before_cursor.rpartition("@")
        return None if not at or any(char.isspace() for char in typed) else typed

    def takes(self, key: str) -> bool:
        """The keys of a list."""
        return key in _LIST_KEYS

    async def press(self, event: Key) -> Outcome:
        """Choose, take, or end. What is taken is the best of all files, however fast one types."""
        typed = self._typed
        if event.key in _ENDS or typed is None:
            return Outcome.ENDS
        await self._settle()
        if not self._found:
            return Outcome.PASSES
        if event.key in ("up", "down"):
            self._rows.step(-1 if event.key == "up" else 1)
            return Outcome.STAYS
        path = self._found[self._rows.marked]
        self._written.replace_before_cursor(len(typed) + 1, mention(path) + " ")
        self._written.named.add([path])
        return Outcome.ENDS

    def follow(self) -> bool:
        """Look for what stands there now, beside what one types."""
        typed = self._typed
        if typed is None:
            return False
        if typed != self._query:
            self._query = typed
            self._look()
        return True

    def close(self) -> None:
        """Look no further."""
        self._files.stop()
        self._rows.hide()
        if self._looking is not None:
            self._looking.cancel()

    def _look(self) -> None:
        if self._looking is not None:
            self._looking.cancel()
        self._looking = asyncio.create_task(self._find())

    async def _find(self) -> None:
        """Show what is found, again and again while there may be more."""
        while True:
            listing = self._files.listing
            found = await self._files.find(self._query, MAX_FOUND)
            if found != self._found or not self._rows.is_open:
                self._found = found
                more = " (looking)" if listing else ""
                none = "no file yet" if listing else "no such file"
                self._rows.show(f"Files below {self._files.folder}{more}", found or [none], WAYS)
            if not listing:
                return
            await self._files.listed(LOOK_AGAIN_S)

    async def _settle(self) -> None:
        """All files are listed, and the best ones shown."""
        if self._looking is not None:
            await asyncio.wait([self._looking])


class PathOffer:
    """Files were dropped: they can be put before the model, or their paths stay text."""

    hint = ""

    def __init__(self, written: Written, rows: PickList, pasted: str, paths: list[Path]) -> None:
        self._written, self._rows, self._pasted = written, rows, pasted
        self._mentions = " ".join(mention(str(path)) for path in paths) + " "
        self._paths = [str(path) for path in paths]
        names = ", ".join(path.name for path in paths)
        rows.show(
            "A file was dropped" if len(paths) == 1 else f"{len(paths)} files were dropped",
            [f"Put before the model: {names}", "Keep as text"],
            WAYS,
        )

    def takes(self, key: str) -> bool:
        """The keys of a list."""
        return key in _LIST_KEYS

    async def press(self, event: Key) -> Outcome:
        """Choose, take, or end."""
        if event.key in ("up", "down"):
            self._rows.step(-1 if event.key == "up" else 1)
            return Outcome.STAYS
        if event.key not in _ENDS and self._rows.marked == 0:
            self._written.replace_before_cursor(len(self._pasted), self._mentions)
            self._written.named.add(self._paths)
        return Outcome.ENDS

    def follow(self) -> bool:
        """Whoever goes on writing keeps the text."""
        return False

    def close(self) -> None:
        """Nothing is left."""
        self._rows.hide()
