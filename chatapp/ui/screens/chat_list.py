"""What the chat screen does with whole conversations: open, new, rename, delete, find.

The part of the chat screen that knows the sidebar; `chat_models.py` and `chat.py` build on it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

from textual import on
from textual.screen import Screen

from chatapp.store.rows import Purged, SearchHit
from chatapp.ui.chat_flow import ChatFlow, settle
from chatapp.ui.messages import ConversationOpened, Notice
from chatapp.ui.setup import ChatSetup
from chatapp.ui.widgets.chat_list import ChatList
from chatapp.ui.widgets.pane import ConversationPane
from chatapp.ui.widgets.sidebar import Sidebar
from chatapp.ui.wording import clean_line


class ChatListScreen(Screen[None]):
    """Conversations as wholes."""

    flow: ChatFlow

    def __init__(self, setup: ChatSetup) -> None:
        super().__init__()
        self.setup = setup
        self._deleted: list[tuple[int, str]] = []

    @property
    def pane(self) -> ConversationPane:
        """The open conversation."""
        return self.query_one(ConversationPane)

    @property
    def sidebar(self) -> Sidebar:
        """The list of conversations."""
        return self.query_one(Sidebar)

    @property
    def open_id(self) -> int | None:
        """The conversation on the screen."""
        return self.flow.conversation.id if self.flow.conversation else None

    def work_on(self, work: Awaitable[None], *, group: str) -> None:
        """Run `work` in a worker; a failure we can explain becomes a notice."""
        self.run_worker(settle(work, self.post_message), group=group)

    def refresh_list(self) -> None:
        """Bring the list up to date if it can be seen."""
        if self.sidebar.display:
            self.sidebar.show_open(self.open_id)

    # Opening

    def action_new(self) -> None:
        """An empty conversation."""
        self.work_on(self.flow.new(), group="open")
        self.pane.prompt.focus()

    def open_conversation(self, conversation_id: int, message_id: int | None = None) -> None:
        """Show a conversation, at a message if one is given."""
        self.work_on(self.flow.open(conversation_id, message_id), group="open")
        self.pane.prompt.focus()

    @on(ChatList.Chosen)
    def _open_chosen(self, event: ChatList.Chosen) -> None:
        self.open_conversation(event.conversation_id)

    @on(ConversationOpened)
    def _mark_open(self) -> None:
        self.refresh_list()

    def action_sidebar(self) -> None:
        """Show the list and go to it, or hide it."""
        sidebar = self.sidebar
        sidebar.display = not sidebar.display
        if sidebar.display:
            sidebar.show_open(self.open_id)
            sidebar.chats.focus()
        else:
            self.pane.prompt.focus()

    def action_filter(self) -> None:
        """Go to the filter above the list."""
        if not self.sidebar.display:
            self.action_sidebar()
        self.sidebar.filter.focus()

    def action_search(self) -> None:
        """Search all messages."""
        from chatapp.ui.screens.search import SearchScreen

        def jump(hit: SearchHit | None) -> None:
            if hit is not None:
                self.open_conversation(hit.conversation_id, hit.message_id)

        self.app.push_screen(SearchScreen(self.setup.store), jump)

    # Changing

    def action_rename(self) -> None:
        """Rename the highlighted chat in the list, else the open one."""
        in_list = isinstance(self.focused, ChatList)
        chosen = self.sidebar.chats.chosen_id if in_list else self.open_id
        if chosen is None:
            self.post_message(Notice("This chat has no name yet: it gets one with its message."))
        else:
            self._ask_for_title(chosen)

    def _ask_for_title(self, conversation_id: int) -> None:
        """The form is there at once: the keys behind F2 are meant for it."""
        from chatapp.ui.forms.rename import RenameForm

        rows = [row for row in (self.flow.conversation, *self.sidebar.chats.rows) if row]
        old = next((row.title for row in rows if row.id == conversation_id), "")

        def rename(title: str | None) -> None:
            if title and title != old:
                self.work_on(self._rename(conversation_id, title), group="rename")

        self.app.push_screen(RenameForm(old), rename)

    async def _rename(self, conversation_id: int, title: str) -> None:
        store = self.setup.store
        await asyncio.to_thread(store.rename_conversation, conversation_id, title)
        await self.flow.reread()
        self.sidebar.put(await asyncio.to_thread(store.get_conversation, conversation_id))

    def action_delete(self) -> None:
        """Delete the open chat."""
        if self.open_id is not None:
            self.work_on(self._delete(self.open_id), group="delete")

    @on(ChatList.DeleteRequested)
    def _delete_chosen(self, event: ChatList.DeleteRequested) -> None:
        self.work_on(self._delete(event.conversation_id), group="delete")

    async def _delete(self, conversation_id: int) -> None:
        store = self.setup.store
        row = await asyncio.to_thread(store.get_conversation, conversation_id)
        if conversation_id == self.flow.answering.busy_in:
            self.flow.answering.stop()
            await self.flow.answering.idle.wait()
        await asyncio.to_thread(store.delete_conversation, conversation_id)
        title = clean_line(row.title)
        self._deleted.append((conversation_id, title))
        if conversation_id == self.open_id:
            await self.flow.new()
        self.sidebar.drop(conversation_id)
        self.post_message(Notice(f"Deleted “{title}”. Ctrl+Z in the list brings it back."))

    @on(ChatList.UndeleteRequested)
    def action_undelete(self) -> None:
        """Bring back the chat that was deleted last."""
        if self._deleted:
            self.work_on(self._undelete(), group="delete")
        else:
            self.post_message(Notice("Nothing was deleted since the start."))

    async def _undelete(self) -> None:
        conversation_id, title = self._deleted[-1]
        await asyncio.to_thread(self.setup.store.undelete_conversation, conversation_id)
        self._deleted.pop()
        store = self.setup.store
        self.sidebar.put(await asyncio.to_thread(store.get_conversation, conversation_id))
        self.post_message(Notice(f"“{title}” is back."))

    def action_empty_bin(self) -> None:
        """Remove for good what was deleted, after a question."""
        self.work_on(self._empty_bin(), group="delete")

    async def _empty_bin(self) -> None:
        from chatapp.ui.forms.empty_bin import EmptyBinForm

        store = self.setup.store
        deleted = await asyncio.to_thread(store.list_deleted)
        if not await self.app.push_screen_wait(EmptyBinForm(len(deleted))):
            return
        self._deleted.clear()
        self._tell_purged(await asyncio.to_thread(store.empty_bin))

    async def purge_old(self) -> None:
        """Remove for good what was deleted longer ago than the settings say."""
        days = self.setup.config.history.keep_deleted_days
        done = await asyncio.to_thread(self.setup.store.purge_deleted, days)
        if done.conversations:
            self._tell_purged(done)

    def _tell_purged(self, done: Purged) -> None:
        count = done.conversations
        chats = "1 deleted chat was" if count == 1 else f"{count} deleted chats were"
        later = "" if done.swept else " Traces stay in the file until chatapp starts again."
        self.post_message(Notice(f"{chats} removed for good.{later}"))
