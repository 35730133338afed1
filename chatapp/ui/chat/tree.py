"""`/tree`: every branch of the open chat, to show one or to delete."""

from chatapp.store import Store
from chatapp.ui.branches import Twig
from chatapp.ui.chat.acting import name_said
from chatapp.ui.chat.chats import Chats
from chatapp.ui.chat.commands import Does
from chatapp.ui.chat.desk import Desk
from chatapp.ui.chat.removing import Removing
from chatapp.ui.widgets.pane import ConversationPane


class Tree:
    """Opens the tree's screen, and shows what is chosen there."""

    def __init__(
        self, store: Store, desk: Desk, pane: ConversationPane, chats: Chats, removing: Removing
    ) -> None:
        self._store = store
        self._desk = desk
        self._pane = pane
        self._chats = chats
        self._removing = removing
        self.commands: dict[str, Does] = {"tree": lambda _: self.action_tree()}

    def action_tree(self) -> None:
        """Show every branch of the open chat."""
        from chatapp.ui.screens.tree import TreeScreen

        conversation_id = self._chats.open_id
        if conversation_id is None:
            self._desk.say("This chat holds no message yet: it has no branches.")
            return
        items = self._pane.transcript.items
        marked = self._pane.transcript.marked
        at = marked if marked is not None else (items[-1].id if items else None)

        def show(message_id: int | None) -> None:
            if message_id is not None:
                self._chats.open(conversation_id, message_id)

        screen = TreeScreen(
            self._store,
            conversation_id,
            at=at,
            keys=self._desk.keys,
            delete=self._delete,
            undo=self._removing.bring_back,
        )
        self._desk.open(screen, show)

    async def _delete(self, twig: Twig, with_branch: bool) -> str:
        words = name_said(twig.row.role, twig.row.created_at)
        return await self._removing.cut(twig.row.id, words, with_branch=with_branch)
