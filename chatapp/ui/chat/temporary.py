"""Temporary chats: `/temporary` begins one, leaving it forgets it, `/keep` saves it.

Nothing of one reaches the disk: its rows and drafts lie in a database in memory, beside the file
(`Store.temporary`), and what else would write (the logs, the file for what no clipboard takes) is
told not to.
"""

import asyncio

from textual.message import Message as Fact

from chatapp.conversation import make_title
from chatapp.errors import UsageError
from chatapp.store.rows import TEMPORARY_TITLE, is_temporary, temporary_range
from chatapp.ui.chat.chats import Chats
from chatapp.ui.chat.commands import Does
from chatapp.ui.chat.desk import Desk
from chatapp.ui.chat.drafts import Drafts
from chatapp.ui.chat.flow import ChatFlow
from chatapp.ui.messages import ConversationOpened
from chatapp.ui.setup import ChatSetup
from chatapp.ui.widgets.pane import ConversationPane
from chatapp.ui.wording import clean_line


class TemporaryChats:
    """At most one, and it is on the screen."""

    def __init__(
        self,
        setup: ChatSetup,
        flow: ChatFlow,
        desk: Desk,
        chats: Chats,
        pane: ConversationPane,
        drafts: Drafts,
    ) -> None:
        self._setup = setup
        self._store = setup.store
        self._flow = flow
        self._desk = desk
        self._chats = chats
        self._pane = pane
        self._drafts = drafts
        self._open: int | None = None
        """The temporary chat on the screen."""
        self._before: int | None = None
        """What was on the screen when it began."""
        self.commands: dict[str, Does] = {
            "temporary": lambda _: self.action_temporary(),
            "keep": lambda _: self.action_keep(),
        }

    def take(self, fact: Fact) -> None:
        """Forget a temporary chat that was left."""
        if not isinstance(fact, ConversationOpened):
            return
        opened = fact.conversation.id if fact.conversation else None
        left, self._open = self._open, opened if is_temporary(opened) else None
        self._setup.client.silent = self._open is not None
        self._pane.show_temporary(self._open is not None)
        if left is not None and temporary_range(left) != temporary_range(opened):
            self._desk.work_on(self._forget(left), group="temporary")

    def action_temporary(self) -> None:
        """Begin a temporary chat; from one, back to where it was begun."""
        if self._setup.temporary:
            raise UsageError(
                "Every chat is temporary here: chatapp was started with --temporary.",
                "/export writes one to a file.",
            )
        if self._open is None:
            self._begin()
        elif self._before is None:
            self._chats.action_new()
        else:
            self._chats.open(self._before)

    def _begin(self) -> None:
        """At once, 15 ms: what is typed from now on belongs there."""
        flow = self._flow
        is_new = flow.conversation is None
        self._before = None if flow.conversation is None else flow.conversation.id
        settings = flow.settings if is_new else flow.usual
        system = flow.system if is_new else flow.usual_system
        self._chats.open(self._store.temporary.begin(system, settings.write()))

    async def _forget(self, conversation_id: int) -> None:
        answering, gone = self._flow.answering, temporary_range(conversation_id)
        waits = {one.conversation_id for one in self._flow.queue}
        self._flow.withdraw([id_ for id_ in waits if id_ and temporary_range(id_) == gone])
        busy_in = answering.busy_in  # None: nobody knows yet
        if answering.busy and (busy_in is None or temporary_range(busy_in) == gone):
            answering.stop()
            await answering.idle.wait()
        said = await asyncio.to_thread(self._store.get_path, conversation_id, None, 1)
        await asyncio.to_thread(self._store.temporary.forget, conversation_id)
        if said:
            self._desk.say("The temporary chat is gone.")

    def action_keep(self) -> None:
        """Move the temporary chat into the history."""
        flow, kept = self._flow, self._open
        if self._setup.temporary:
            raise UsageError(
                "chatapp was started with --temporary, without a history.",
                "/export chat.json writes this chat to a file that `chatapp history import` reads.",
            )
        if kept is None:
            self._desk.say("This chat is kept already. /temporary begins one that is not.")
        elif flow.answering.busy and flow.answering.busy_in in (None, kept):
            self._desk.say(flow.why_busy())
        elif not flow.rows:
            self._desk.say("Nothing was said here yet: there is nothing to keep.")
        else:
            self._desk.work_on(self._keep(kept), group="temporary")

    async def _keep(self, conversation_id: int) -> None:
        kept = await asyncio.to_thread(self._move, conversation_id)
        self._open = None  # it is not lost
        await self._flow.open(kept)
        if begun := self._drafts.known(conversation_id):
            self._pane.put_before(begun.whole)
        await asyncio.to_thread(self._store.temporary.forget, conversation_id)
        row = await asyncio.to_thread(self._store.get_conversation, kept)
        self._desk.say(f"Kept, as “{clean_line(row.title)}”.")

    def _move(self, conversation_id: int) -> int:
        """Every branch, with tokens and figures; its id in the history."""
        store = self._store
        tree = store.get_tree(conversation_id)
        if tree.conversation.title == TEMPORARY_TITLE:
            asked = next((row for row in tree.messages if row.role == "user"), tree.messages[0])
            store.rename_conversation(conversation_id, make_title(asked.content))
            tree = store.get_tree(conversation_id)
        return store.add_trees([tree])[0].conversation_id
