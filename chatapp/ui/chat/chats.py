"""Whole conversations: open, new, rename, label. The part that knows the list of chats."""

import asyncio
from collections.abc import Callable, Sequence

from textual.message import Message as Fact

from chatapp.commands.parsing import read_switch
from chatapp.errors import StoreError
from chatapp.store.labels import clean_tag
from chatapp.store.rows import ConversationRow, Purged, is_temporary
from chatapp.ui.chat.commands import Does
from chatapp.ui.chat.desk import Desk
from chatapp.ui.chat.flow import ChatFlow
from chatapp.ui.messages import (
    AnswerAsked,
    AnswerEnded,
    AnswerWaiting,
    ConversationOpened,
    ConversationsChanged,
)
from chatapp.ui.setup import ChatSetup
from chatapp.ui.widgets.chat_list import ChatList
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
        self.forget_deleted: Callable[[], None] = _nothing
        """Told when the bin was emptied."""
        self.commands: dict[str, Does] = {
            "new": lambda _: self.action_new(),
            "title": self.title,
            "tag": self.tag,
            "archive": self.archive,
            "history": lambda _: self.action_sidebar(),
        }

    @property
    def open_id(self) -> int | None:
        """The conversation on the screen."""
        return self._flow.conversation.id if self._flow.conversation else None

    def take(self, fact: Fact) -> None:
        """Bring the list up to date."""
        if isinstance(fact, AnswerWaiting | AnswerAsked | AnswerEnded | ConversationOpened):
            self._sidebar.show_answering(self._flow.answering.busy_in)
        if isinstance(fact, ConversationOpened | ConversationsChanged):
            self.refresh_list()

    def do(self, wish: Fact) -> None:
        """What is asked for in the list."""
        match wish:
            case ChatList.Chosen(chosen):
                self.open(chosen)
            case ChatList.Asked("tag", ids):
                self.ask_tags(ids)
            case ChatList.Asked("pin", ids):
                self.pin_chats(ids)
            case ChatList.Asked("archive", ids):
                self.archive_chats(ids)
            case ChatList.ArchiveRequested():
                self._sidebar.switch_shelf()
            case ChatList.Left():
                self.leave_list()

    def refresh_list(self) -> None:
        """Bring the list up to date if it can be seen."""
        if self._sidebar.display:
            self._sidebar.show_open(self.open_id)

    # Opening

    def action_new(self) -> None:
        """An empty conversation."""
        self._uncover()
        self._pane.write_to_new(leaving=self._flow.answering.waiting)
        self._desk.work_on(self._flow.new(), group="open")

    def open(self, conversation_id: int, message_id: int | None = None) -> None:
        """Show a conversation, at a message if one is given."""
        self._uncover()
        self._pane.write_to(conversation_id)
        self._desk.work_on(self._open(conversation_id, message_id), group="open")

    async def _open(self, conversation_id: int, message_id: int | None) -> None:
        try:
            await self._flow.open(conversation_id, message_id)
        except StoreError:
            self._pane.turn_back()
            raise

    def _uncover(self) -> None:
        """A list that takes the whole terminal makes room for what is opened."""
        if self._sidebar.covers:
            self._sidebar.display = False

    def action_sidebar(self) -> None:
        """Show the list and go to it; from it, hide it."""
        sidebar = self._sidebar
        if sidebar.has_keys:
            sidebar.display = False
            self._pane.write_to(self.open_id)
        else:
            sidebar.display = True
            sidebar.show_open(self.open_id)
            sidebar.chats.focus()

    def leave_list(self) -> None:
        """The keys are for the prompt again."""
        self._uncover()
        self._pane.prompt.focus()

    def action_filter(self) -> None:
        """Go to the filter above the list."""
        if not self._sidebar.display:
            self.action_sidebar()
        self._sidebar.filter.focus()

    def action_show_archive(self) -> None:
        """Show the archive in place of the chats, or the chats again."""
        if not self._sidebar.has_keys:
            self.action_sidebar()
        self._sidebar.switch_shelf()

    async def show_drafts(self) -> None:
        """Mark the chats in which something was begun."""
        if self._sidebar.display:
            drafts = await asyncio.to_thread(self._store.prompts.list_drafts)
            ids = {one.conversation_id for one in drafts if one.conversation_id is not None}
            self._sidebar.show_drafts(ids)

    # What the deleting part asks

    def neighbour(self, gone: Sequence[int]) -> int | None:
        """The chat to open when the open one is among these; None: a new one."""
        return self._sidebar.chats.below(gone) if self._sidebar.display else None

    async def relist(self, conversation_ids: Sequence[int]) -> None:
        """These have changed, were deleted, or are back."""
        await self._flow.reread()
        for one in conversation_ids:
            row = await asyncio.to_thread(self._store.get_conversation, one)
            if row.deleted_at is None:
                self._sidebar.put(row)
        deleted = await asyncio.to_thread(self._find_deleted, conversation_ids)
        self._sidebar.drop(deleted)

    def _find_deleted(self, ids: Sequence[int]) -> set[int]:
        rows = map(self._store.get_conversation, ids)
        return {row.id for row in rows if row.deleted_at is not None}

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
        self._desk.redraw()
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
        row = await asyncio.to_thread(self._store.get_conversation, conversation_id)
        wanted = list(row.tags)
        for tag in map(clean_tag, tags):
            if tag in wanted:
                wanted.remove(tag)
            else:
                wanted.append(tag)
        kept = row.tags
        if tags:
            kept = await asyncio.to_thread(self._store.labels.set_tags, conversation_id, wanted)
            await self.relist([conversation_id])
        shown = ", ".join(kept)
        self._desk.say(f"Tags of this chat: {shown}." if kept else "This chat has no tags.")

    def action_tag(self) -> None:
        """Ask for the tags of the open chat."""
        if (conversation_id := self._need_open("A tag")) is not None:
            self.ask_tags([conversation_id])

    def ask_tags(self, conversation_ids: Sequence[int]) -> None:
        """Ask for the tags of these chats: those that all of them have stand there."""
        self._desk.work_on(self._ask_tags(conversation_ids), group="labels")

    async def _ask_tags(self, ids: Sequence[int]) -> None:
        from chatapp.ui.forms.tags import TagsForm

        rows = [await asyncio.to_thread(self._store.get_conversation, one) for one in ids]
        shared = [tag for tag in rows[0].tags if all(tag in row.tags for row in rows)]
        known = await asyncio.to_thread(self._store.labels.list_tags)
        form = TagsForm(" ".join(shared), len(ids), " ".join(tag for tag, _ in known[:40]))
        if (written := await self._desk.ask(form)) is None:
            return
        new = written.replace(",", " ").split()
        try:
            for row in rows:
                others = [tag for tag in row.tags if tag not in shared]
                await asyncio.to_thread(self._store.labels.set_tags, row.id, [*others, *new])
        finally:  # what the store took is shown, though it refused the rest
            await self.relist(ids)

    def pin(self, args: str) -> None:
        """`/pin [on | off]`."""
        if (conversation_id := self._need_open("A pin")) is not None:
            self.pin_chats([conversation_id], read_switch(args))

    def action_pin(self) -> None:
        """Pin the open chat, or no longer."""
        self.pin("")

    def pin_chats(self, conversation_ids: Sequence[int], wanted: bool | None = None) -> None:
        """Pin these chats; without a wish: unless all of them are."""
        self._desk.work_on(self._pin(conversation_ids, wanted), group="labels")

    async def _pin(self, ids: Sequence[int], wanted: bool | None) -> None:
        rows = [await asyncio.to_thread(self._store.get_conversation, one) for one in ids]
        wanted = not all(row.pinned for row in rows) if wanted is None else wanted
        labels = self._store.labels
        await asyncio.to_thread(labels.pin if wanted else labels.unpin, *ids)
        await self.relist(ids)
        what = "at the top of the list from now on" if wanted else "no longer pinned"
        self._desk.say(f"{_name(rows)}: {what}.")

    def archive(self, args: str) -> None:
        """`/archive [on | off]`."""
        if (conversation_id := self._need_open("The archive")) is not None:
            self.archive_chats([conversation_id], read_switch(args))

    def action_archive(self) -> None:
        """Archive the open chat, or take it out."""
        self.archive("")

    def archive_chats(self, conversation_ids: Sequence[int], wanted: bool | None = None) -> None:
        """Archive these chats; without a wish: unless all of them are."""
        self._desk.work_on(self._archive(conversation_ids, wanted), group="labels")

    async def _archive(self, ids: Sequence[int], wanted: bool | None) -> None:
        rows = [await asyncio.to_thread(self._store.get_conversation, one) for one in ids]
        wanted = not all(row.archived for row in rows) if wanted is None else wanted
        labels = self._store.labels
        await asyncio.to_thread(labels.archive if wanted else labels.unarchive, *ids)
        await self.relist(ids)
        shows = self._desk.keys("show_archive")
        what = f"in the archive; search finds it, {shows} in the list shows it"
        self._desk.say(f"{_name(rows)}: {what if wanted else 'in the list again'}.")

    def _need_open(self, what: str) -> int | None:
        if self.open_id is None:
            self._desk.say(f"{what} needs a chat with a message.")
        elif is_temporary(self.open_id):
            self._desk.say("A temporary chat is in no list. /keep moves it into the history.")
            return None
        return self.open_id

    def action_empty_bin(self) -> None:
        """Remove for good what was deleted, after a question."""
        self._desk.work_on(self._empty_bin(), group="delete")

    async def _empty_bin(self) -> None:
        from chatapp.ui.forms.empty_bin import EmptyBinForm

        deleted = await asyncio.to_thread(self._store.list_deleted)
        if not await self._desk.ask(EmptyBinForm(len(deleted))):
            return
        self.forget_deleted()
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


def _name(rows: Sequence[ConversationRow]) -> str:
    """Chats in a sentence."""
    return f"“{clean_line(rows[0].title)}”" if len(rows) == 1 else f"{len(rows)} chats"


def _nothing() -> None:
    return
