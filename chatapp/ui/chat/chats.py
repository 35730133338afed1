"""Whole conversations: open, new, rename, delete, find. The part that knows the list of chats."""

import asyncio
from collections.abc import Callable

from textual.message import Message as Fact

from chatapp.errors import StoreError
from chatapp.store.rows import Purged, SearchHit
from chatapp.ui.chat.desk import Desk
from chatapp.ui.chat.flow import ChatFlow
from chatapp.ui.messages import ConversationOpened, ConversationsChanged
from chatapp.ui.setup import ChatSetup
from chatapp.ui.widgets.sidebar import Sidebar
from chatapp.ui.wording import clean_line


class Chats:
    """What can be done with conversations as wholes."""

    def __init__(
        self,
        setup: ChatSetup,
        flow: ChatFlow,
        desk: Desk,
        sidebar: Sidebar,
        *,
        turn_to: Callable[[int | None], object],
        turn_back: Callable[[], object],
        undo_key: str,
    ) -> None:
        """`turn_to` gives the keys to the prompt, for a conversation that is about to be opened;
        `turn_back` is for one that cannot be. `undo_key` is the list's, for people."""
        self._setup = setup
        self._store = setup.store
        self._flow = flow
        self._desk = desk
        self._sidebar = sidebar
        self._turn_to = turn_to
        self._turn_back = turn_back
        self._undo_key = undo_key
        self._deleted: list[tuple[int, str]] = []

    @property
    def open_id(self) -> int | None:
        """The conversation on the screen."""
        return self._flow.conversation.id if self._flow.conversation else None

    def take(self, fact: Fact) -> None:
        """Bring the list up to date."""
        if isinstance(fact, ConversationOpened | ConversationsChanged):
            self.refresh_list()

    def refresh_list(self) -> None:
        """Bring the list up to date if it can be seen."""
        if self._sidebar.display:
            self._sidebar.show_open(self.open_id)

    # Opening

    def action_new(self) -> None:
        """An empty conversation."""
        self._turn_to(None)
        self._desk.work_on(self._flow.new(), group="open")

    def open(self, conversation_id: int, message_id: int | None = None) -> None:
        """Show a conversation, at a message if one is given."""
        self._turn_to(conversation_id)
        self._desk.work_on(self._open(conversation_id, message_id), group="open")

    async def _open(self, conversation_id: int, message_id: int | None) -> None:
        try:
            await self._flow.open(conversation_id, message_id)
        except StoreError:
            self._turn_back()
            raise

    def action_sidebar(self) -> None:
        """Show the list and go to it, or hide it."""
        sidebar = self._sidebar
        sidebar.display = not sidebar.display
        if sidebar.display:
            sidebar.show_open(self.open_id)
            sidebar.chats.focus()
        else:
            self._turn_to(self.open_id)

    def action_filter(self) -> None:
        """Go to the filter above the list."""
        if not self._sidebar.display:
            self.action_sidebar()
        self._sidebar.filter.focus()

    def action_search(self) -> None:
        """Search all messages."""
        from chatapp.ui.screens.search import SearchScreen

        def jump(hit: SearchHit | None) -> None:
            if hit is not None:
                self.open(hit.conversation_id, hit.message_id)

        self._desk.open(SearchScreen(self._store), jump)

    # Changing

    def action_rename(self) -> None:
        """Rename the highlighted chat in the list, else the open one."""
        in_list = self._sidebar.chats.has_focus
        chosen = self._sidebar.chats.chosen_id if in_list else self.open_id
        if chosen is None:
            self._desk.say("This chat has no name yet: it gets one with its message.")
        else:
            self._ask_for_title(chosen)

    def _ask_for_title(self, conversation_id: int) -> None:
        """The form is there at once: the keys behind F2 are meant for it."""
        from chatapp.ui.forms.rename import RenameForm

        rows = [row for row in (self._flow.conversation, *self._sidebar.chats.rows) if row]
        old = next((row.title for row in rows if row.id == conversation_id), "")

        def rename(title: str | None) -> None:
            if title and title != old:
                self._desk.work_on(self.rename(conversation_id, title), group="rename")

        self._desk.open(RenameForm(old), rename)

    async def rename(self, conversation_id: int, title: str) -> None:
        """Give a conversation its title."""
        await asyncio.to_thread(self._store.rename_conversation, conversation_id, title)
        await self._flow.reread()
        self._sidebar.put(await asyncio.to_thread(self._store.get_conversation, conversation_id))

    def action_delete(self) -> None:
        """Delete the open chat."""
        if self.open_id is not None:
            self.delete(self.open_id)

    def delete(self, conversation_id: int) -> None:
        """Delete a chat; it can be brought back."""
        self._desk.work_on(self._delete(conversation_id), group="delete")

    async def _delete(self, conversation_id: int) -> None:
        row = await asyncio.to_thread(self._store.get_conversation, conversation_id)
        if conversation_id == self._flow.answering.busy_in:
            self._flow.answering.stop()
            await self._flow.answering.idle.wait()
        await asyncio.to_thread(self._store.delete_conversation, conversation_id)
        title = clean_line(row.title)
        self._deleted.append((conversation_id, title))
        if conversation_id == self.open_id:
            await self._flow.new()
        self._sidebar.drop(conversation_id)
        self._desk.say(f"Deleted “{title}”. {self._undo_key} in the list brings it back.")

    def action_undelete(self) -> None:
        """Bring back the chat that was deleted last."""
        if self._deleted:
            self._desk.work_on(self._undelete(), group="delete")
        else:
            self._desk.say("Nothing was deleted since the start.")

    async def _undelete(self) -> None:
        conversation_id, title = self._deleted[-1]
        await asyncio.to_thread(self._store.undelete_conversation, conversation_id)
        self._deleted.pop()
        self._sidebar.put(await asyncio.to_thread(self._store.get_conversation, conversation_id))
        self._desk.say(f"“{title}” is back.")

    def action_empty_bin(self) -> None:
        """Remove for good what was deleted, after a question."""
        self._desk.work_on(self._empty_bin(), group="delete")

    async def _empty_bin(self) -> None:
        from chatapp.ui.forms.empty_bin import EmptyBinForm

        deleted = await asyncio.to_thread(self._store.list_deleted)
        if not await self._desk.ask(EmptyBinForm(len(deleted))):
            return
        self._deleted.clear()
        self._tell_purged(await asyncio.to_thread(self._store.empty_bin))

    async def purge_old(self) -> None:
        """Remove for good what was deleted longer ago than the settings say."""
        days = self._setup.config.history.keep_deleted_days
        done = await asyncio.to_thread(self._store.purge_deleted, days)
        if done.conversations:
            self._tell_purged(done)

    def _tell_purged(self, done: Purged) -> None:
        count = done.conversations
        chats = "1 deleted chat was" if count == 1 else f"{count} deleted chats were"
        later = "" if done.swept else " Traces stay in the file until chatapp starts again."
        self._desk.say(f"{chats} removed for good.{later}")
