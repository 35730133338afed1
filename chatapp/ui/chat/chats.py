"""Whole conversations: open, new, rename, delete, find. The part that knows the list of chats."""

import asyncio

from textual.message import Message as Fact

from chatapp.commands.parsing import read_switch
from chatapp.errors import StoreError
from chatapp.store.labels import clean_tag
from chatapp.store.rows import Purged, SearchHit
from chatapp.ui.chat.commands import Does
from chatapp.ui.chat.desk import Desk
from chatapp.ui.chat.flow import ChatFlow
from chatapp.ui.messages import ConversationOpened, ConversationsChanged
from chatapp.ui.setup import ChatSetup
from chatapp.ui.widgets.pane import ConversationPane
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
        pane: ConversationPane,
    ) -> None:
        self._setup = setup
        self._store = setup.store
        self._flow = flow
        self._desk = desk
        self._sidebar = sidebar
        self._pane = pane
        self._deleted: list[tuple[int, str]] = []
        self.commands: dict[str, Does] = {
            "undo": lambda _: self.action_undelete(),
            "new": lambda _: self.action_new(),
            "title": self.title,
            "tag": self.tag,
            "pin": self.pin,
            "archive": self.archive,
            "delete": lambda _: self.action_delete(),
            "history": lambda _: self.action_sidebar(),
            "search": lambda _: self.action_search(),
        }

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
        self._pane.write_to(None)
        self._desk.work_on(self._flow.new(), group="open")

    def open(self, conversation_id: int, message_id: int | None = None) -> None:
        """Show a conversation, at a message if one is given."""
        self._pane.write_to(conversation_id)
        self._desk.work_on(self._open(conversation_id, message_id), group="open")

    async def _open(self, conversation_id: int, message_id: int | None) -> None:
        try:
            await self._flow.open(conversation_id, message_id)
        except StoreError:
            self._pane.turn_back()
            raise

    def action_sidebar(self) -> None:
        """Show the list and go to it, or hide it."""
        sidebar = self._sidebar
        sidebar.display = not sidebar.display
        if sidebar.display:
            sidebar.show_open(self.open_id)
            sidebar.chats.focus()
        else:
            self._pane.write_to(self.open_id)

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

    def title(self, args: str) -> None:
        """`/title [TITLE]`."""
        if args and self.open_id is not None:
            self._desk.work_on(self.rename(self.open_id, args), group="rename")
        else:
            self._sidebar.chats.blur()
            self.action_rename()

    def tag(self, args: str) -> None:
        """`/tag [TAG ...]`: each is added, or taken away if it is there."""
        if (conversation_id := self._need_open("A tag")) is not None:
            self._desk.work_on(self._tag(conversation_id, args.split()), group="labels")

    async def _tag(self, conversation_id: int, tags: list[str]) -> None:
        labels = self._store.labels
        row = await asyncio.to_thread(self._store.get_conversation, conversation_id)
        wanted = list(row.tags)
        for tag in map(clean_tag, tags):
            if tag in wanted:
                wanted.remove(tag)
            else:
                wanted.append(tag)
        kept = row.tags
        if tags:
            kept = await asyncio.to_thread(labels.set_tags, conversation_id, wanted)
            await self._relist(conversation_id)
        shown = ", ".join(kept)
        self._desk.say(f"Tags of this chat: {shown}." if kept else "This chat has no tags.")

    def pin(self, args: str) -> None:
        """`/pin [on | off]`."""
        if (conversation_id := self._need_open("A pin")) is not None:
            self._desk.work_on(self._pin(conversation_id, read_switch(args)), group="labels")

    async def _pin(self, conversation_id: int, wanted: bool | None) -> None:
        row = await asyncio.to_thread(self._store.get_conversation, conversation_id)
        wanted = not row.pinned if wanted is None else wanted
        labels = self._store.labels
        await asyncio.to_thread(labels.pin if wanted else labels.unpin, conversation_id)
        await self._relist(conversation_id)
        what = "stays at the top of the list" if wanted else "is no longer pinned"
        self._desk.say(f"“{clean_line(row.title)}” {what}.")

    def archive(self, args: str) -> None:
        """`/archive [on | off]`."""
        if (conversation_id := self._need_open("The archive")) is not None:
            self._desk.work_on(self._archive(conversation_id, read_switch(args)), group="labels")

    async def _archive(self, conversation_id: int, wanted: bool | None) -> None:
        row = await asyncio.to_thread(self._store.get_conversation, conversation_id)
        wanted = not row.archived if wanted is None else wanted
        labels = self._store.labels
        await asyncio.to_thread(labels.archive if wanted else labels.unarchive, conversation_id)
        await self._relist(conversation_id)
        what = "is archived: search finds it, the list does not show it"
        self._desk.say(f"“{clean_line(row.title)}” {what if wanted else 'is in the list again'}.")

    async def _relist(self, conversation_id: int) -> None:
        await self._flow.reread()
        row = await asyncio.to_thread(self._store.get_conversation, conversation_id)
        if row.archived:
            self._sidebar.drop(conversation_id)
        else:
            self._sidebar.put(row)

    def _need_open(self, what: str) -> int | None:
        if self.open_id is None:
            self._desk.say(f"{what} needs a chat with a message.")
        return self.open_id

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
        undo = self._desk.keys("undelete")
        self._desk.say(f"Deleted “{title}”. {undo} in the list brings it back.")

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
