"""How what was written becomes rows: with the files that it names, in its preset's prompt."""

import asyncio
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from textual.message import Message as Fact

from chatapp.chat_settings import ChatSettings, read_chat_settings
from chatapp.compaction import edit_head
from chatapp.conversation import Message, make_title
from chatapp.guide.wording import WANTED, is_knowledge, put_before
from chatapp.heads import is_head
from chatapp.material.mentions import compose_message, find_named
from chatapp.material.text_files import folder_here
from chatapp.parts import File, Parts, Reasoning, Text, parts_of
from chatapp.store import Store
from chatapp.store.rows import ConversationRow, MessageRow
from chatapp.ui.messages import Notice, Queued


class Storing:
    """Writes messages and new conversations. Everything raises `StoreError`."""

    def __init__(self, store: Store, post: Callable[[Fact], object]) -> None:
        self._store = store
        self._post = post

    async def create(self, text: str, system: str, settings: ChatSettings) -> int:
        """A conversation that begins with `text`; its id."""
        create = self._store.create_conversation
        conversation_id = await asyncio.to_thread(create, make_title(text), system)
        if written := settings.write():
            await asyncio.to_thread(self._store.set_settings, conversation_id, written)
        return conversation_id

    async def add(
        self, conversation: ConversationRow, parent_id: int | None, queued: Queued
    ) -> MessageRow:
        """A message of the user below another one."""
        settings, _ = read_chat_settings(conversation.settings)
        text = settings.compose(queued.text)
        parts = await self._read_files(text, (), queued.refused)
        message = Message("user", put_before(parts, WANTED) if queued.known else parts)
        return await asyncio.to_thread(self._store.add_message, conversation.id, message, parent_id)

    async def replace(self, replaced: MessageRow, queued: Queued) -> MessageRow:
        """Another version of a message, with what is attached to it.

        A file that its text named comes and goes with its name; what came otherwise stays. What
        chatapp knew of it is found anew.
        """
        text = queued.text
        if is_head(replaced):
            return await asyncio.to_thread(edit_head, self._store, replaced, text)
        kept = tuple(p for p in replaced.parts if not isinstance(p, Text | Reasoning))
        parts = parts_of(text)
        if replaced.role == "user" and (folder := folder_here()) is not None:
            files = [part for part in kept if isinstance(part, File)]
            named = await asyncio.to_thread(find_named, replaced.content, files, folder)
            parts = await self._read_files(text, files, queued.refused)
            names = {part.name for part in parts if isinstance(part, File)}
            names.update(file.name for file in named)
            kept = tuple(p for p in kept if not (isinstance(p, File) and p.name in names))
        kept = tuple(WANTED if is_knowledge(part) else part for part in kept)
        return await asyncio.to_thread(self._store.branches.edit, replaced.id, (*kept, *parts))

    async def _read_files(
        self, text: str, known: Sequence[File], refused: Collection[Path]
    ) -> Parts:
        """A message with the files that it names."""
        if (folder := folder_here()) is None:
            return parts_of(text)
        composed = await asyncio.to_thread(compose_message, text, folder, known, refused)
        for note in composed.notes:
            self._post(Notice(note))
        return composed.parts
