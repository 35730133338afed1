"""A field for a path: what is on the disk is suggested, Tab or → takes the suggestion."""

import asyncio
import os
from typing import Any, ClassVar

from textual.binding import Binding, BindingType
from textual.suggester import Suggester
from textual.widgets import Input

from chatapp.paths import expand_home

_ENTRIES = 5000
"""Entries of a folder that are looked at."""


class PathSuggester(Suggester):
    """The first name in the folder that begins like what was typed."""

    def __init__(self) -> None:
        super().__init__(use_cache=False, case_sensitive=True)

    async def get_suggestion(self, value: str) -> str | None:
        """The whole path; a folder ends in a slash. The disk is read in a thread."""
        return await asyncio.to_thread(complete, value) if value else None


def complete(typed: str) -> str | None:
    """`typed` completed by the first entry that fits, or None."""
    folder, _, beginning = typed.rpartition("/")
    try:
        where = expand_home(folder or ("/" if typed.startswith("/") else "."))
        with os.scandir(where) as entries:
            names = [
                entry.name + ("/" if entry.is_dir() else "")
                for _, entry in zip(range(_ENTRIES), entries, strict=False)
                if entry.name.startswith(beginning) and _wanted(entry.name, beginning)
            ]
    except (OSError, ValueError):
        return None
    if not names or not beginning:
        return None
    return typed[: len(typed) - len(beginning)] + min(names)


def _wanted(name: str, beginning: str) -> bool:
    return name.isprintable() and (beginning.startswith(".") or not name.startswith("."))


class PathInput(Input):
    """An input that completes paths."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("tab", "complete", "Complete", show=False, id="complete_path")
    ]

    def __init__(self, **options: Any) -> None:
        super().__init__(suggester=PathSuggester(), compact=True, **options)

    def action_complete(self) -> None:
        """Take the suggestion; without one go to the next field, as Tab does."""
        if self.cursor_at_end and len(self._suggestion) > len(self.value):
            self.value = self._suggestion
            self.cursor_position = len(self.value)
        else:
            self.screen.focus_next()
