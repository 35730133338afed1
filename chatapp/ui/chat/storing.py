"""How what was written becomes rows: with the files that it names, in its preset's prompt."""

import asyncio
from collections.abc import Callable

from textual.message import Message as Fact

from chatapp.chat_settings import ChatSettings, read_chat_settings
from chatapp.compaction import edit_head
from chatapp.conversation import Message, make_title
from chatapp.heads import is_head
from chatapp.material.mentions import compose_message
from chatapp.material.text_files import folder_here
from chatapp.parts import Parts, Reasoning, Text, parts_of
from chatapp.store import Store
from chatapp.store.rows import ConversationRow, MessageRow
from chatapp.ui.messages import Notice


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
        self, conversation: ConversationRow, parent_id: int | None, text: str
    ) -> MessageRow:
        """A message of the user below another one."""
        settings, _ = read_chat_settings(conversation.settings)
        message = Message("user", await self._compose(settings.compose(text)))
        return await asyncio.to_thread(self._store.add_message, conversation.id, message, parent_id)

    async def replace(self, replaced: MessageRow, text: str) -> MessageRow:
        """Another version of a message, with what is attached to it."""
        if is_head(replaced):
            return await asyncio.to_thread(edit_head, self._store, replaced, text)
        kept = tuple(p for p in replaced.parts if not isinstance(p, Text | Reasoning))
        parts = parts_of(text)
        if replaced.role == "user":
            parts = tuple(part for part in await self._compose(text) if part not in kept)
        return await asyncio.to_thread(self._store.branches.edit, replaced.id, (*kept, *parts))

    async def _compose(self, text: str) -> Parts:
        """A message with the files that it names."""
        if (folder := folder_here()) is None:
            return parts_of(text)
        composed = await asyncio.to_thread(compose_message, text, folder)
        for note in composed.notes:
            self._post(Notice(note))
        return composed.parts
