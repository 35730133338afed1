"""`/export`: the open chat in a file."""

import asyncio
from pathlib import Path

from chatapp.errors import StoreError
from chatapp.export.places import choose_place, find_free
from chatapp.export.registry import Format, export
from chatapp.gguf.replacing import replacement
from chatapp.gguf.size import size_text
from chatapp.material.text_files import folder_here
from chatapp.paths import spell_path
from chatapp.store import Store
from chatapp.store.rows import ConversationRow
from chatapp.ui.chat.commands import Does
from chatapp.ui.chat.desk import Desk
from chatapp.ui.chat.flow import ChatFlow
from chatapp.ui.wording import clean_line


class Exporting:
    """Writes the open chat: the shown branch, or as JSON every branch."""

    def __init__(self, store: Store, flow: ChatFlow, desk: Desk) -> None:
        self._store = store
        self._flow = flow
        self._desk = desk
        self.commands: dict[str, Does] = {"export": self.export}

    def action_export(self) -> None:
        """Write the open chat into the current folder, named by its title."""
        self.export("")

    def export(self, args: str) -> None:
        """`/export [FILE]`."""
        chat = self._flow.conversation
        if chat is None:
            self._desk.say("This chat holds no message yet: there is nothing to export.")
            return
        path, how = choose_place(args, chat.title, folder_here() or Path.home())
        self._desk.work_on(self._export(chat, path, how), group="export")

    async def _export(self, chat: ConversationRow, path: Path, how: Format) -> None:
        from chatapp.ui.forms.overwrite import OverwriteForm

        try:
            free = await asyncio.to_thread(find_free, path)
            if free != path:
                form = OverwriteForm(clean_line(spell_path(path)), clean_line(free.name))
                way = await self._desk.ask(form)
                if way is None:
                    return
                path = free if way == "beside" else path
            size = await asyncio.to_thread(self._write, chat.id, path, how)
        except OSError as error:
            reason = error.strerror or str(error)
            raise StoreError(
                f"{clean_line(spell_path(path))} cannot be written: {reason}.",
                "Give another place: /export ~/chat.md",
            ) from error
        what = "every branch" if how.every_branch else "the branch that is shown"
        self._desk.say(f"Wrote {what}, {size_text(size)}, to {clean_line(spell_path(path))}")

    def _write(self, conversation_id: int, path: Path, how: Format) -> int:
        with replacement(path) as part, part.open("w", encoding="utf-8") as file:
            file.writelines(export(how.name, self._store, [conversation_id]))
            file.flush()
            return part.stat().st_size
