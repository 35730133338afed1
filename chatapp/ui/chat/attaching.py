"""Files that a message names go before the model when the user knows of it, and else are asked for.

Known is a name that was typed or chosen. A name in a text that was pasted, came from a preset or
back into the prompt need not have been read; a file outside of the current folder that would leave
this machine is asked for, however it was named.
"""

import asyncio
from pathlib import Path

from chatapp.material.mentions import Named, find_files
from chatapp.material.text_files import folder_here
from chatapp.parts import File
from chatapp.remotes import PREFIX
from chatapp.ui.chat.desk import Desk
from chatapp.ui.chat.flow import ChatFlow
from chatapp.ui.chat.status import ChatStatus
from chatapp.ui.forms.attach import AttachForm
from chatapp.ui.widgets.typed_names import TypedNames


class Attaching:
    """Asks before a file is read that nobody need have meant."""

    def __init__(self, flow: ChatFlow, desk: Desk, status: ChatStatus, typed: TypedNames) -> None:
        """`typed` are the names that the user has typed or chosen."""
        self._flow = flow
        self._desk = desk
        self._status = status
        self._typed = typed

    def may_name(self, text: str) -> bool:
        """Whether a message of the open conversation could name a file, with its preset's words."""
        return "@" in self._flow.settings.compose(text)

    async def find_doubtful(self, text: str, replaces: int | None) -> list[Named]:
        """The files that are to be asked for before this is sent."""
        if (folder := folder_here()) is None:
            return []
        composed = self._flow.settings.compose(text) if replaces is None else text
        files = await asyncio.to_thread(find_files, composed, folder)
        known = {file.name for file in self._files_of(replaces)}
        return [file for file in files if file.name not in known and self._is_doubtful(file)]

    async def ask(self, doubtful: list[Named]) -> tuple[Path, ...] | None:
        """Those of them that are not to be read; None: the message is not to be sent."""
        way = await self._desk.ask(AttachForm(doubtful, self._host))
        if way is None:
            return None
        return tuple(file.path for file in doubtful) if way == "text" else ()

    def _is_doubtful(self, file: Named) -> bool:
        return file.written not in self._typed or (file.is_outside and bool(self._host))

    def _files_of(self, message_id: int | None) -> list[File]:
        rows = (row for row in self._flow.rows if row.id == message_id)
        return [part for row in rows for part in row.parts if isinstance(part, File)]

    @property
    def _host(self) -> str:
        """Where what is sent goes; empty: to this machine."""
        chosen = self._flow.settings.choose_model("")
        if chosen.startswith(PREFIX):
            return self._status.line.host or chosen.removeprefix(PREFIX)
        return "" if chosen else self._status.line.host
