"""Deleting chats, messages and branches, and the one undo for all of them.

What was deleted in this run of chatapp is brought back in the order of a pile: the last first.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from textual.message import Message as Fact

from chatapp.errors import ChatAppError, UsageError
from chatapp.store import Store
from chatapp.store.rows import Cut, is_temporary, temporary_range
from chatapp.ui.chat.acting import Acting
from chatapp.ui.chat.commands import Does
from chatapp.ui.chat.desk import Desk
from chatapp.ui.chat.flow import ChatFlow
from chatapp.ui.widgets.chat_list import ChatList
from chatapp.ui.wording import clean_line


class Listed(Protocol):
    """What this part asks of the list of chats."""

    def neighbour(self, gone: Sequence[int]) -> int | None:
        """The chat to open when the open one is one of these that are deleted; None: a new one."""

    async def relist(self, conversation_ids: Sequence[int]) -> None:
        """These have changed, were deleted, or are back."""


@dataclass(frozen=True, slots=True)
class RemovedChats:
    """Whole chats."""

    ids: tuple[int, ...]
    words: str
    """What they are called in a sentence."""
    open_id: int | None
    """The one of them that was on the screen."""
    shown_then: int | None
    """What was on the screen afterwards."""


@dataclass(frozen=True, slots=True)
class RemovedPiece:
    """A message, or one and all below it."""

    cut: Cut
    words: str


Removed = RemovedChats | RemovedPiece


class Removing:
    """Deletes, and brings back."""

    def __init__(
        self, store: Store, flow: ChatFlow, desk: Desk, acting: Acting, listed: Listed
    ) -> None:
        self._store = store
        self._flow = flow
        self._desk = desk
        self._acting = acting
        self._listed = listed
        self._removed: list[Removed] = []
        """The pile; its end is brought back first."""
        self._undoing = asyncio.Lock()
        self.commands: dict[str, Does] = {
            "undo": lambda _: self.action_undelete(),
            "delete": self.delete,
        }

    @property
    def _open_id(self) -> int | None:
        return self._flow.conversation.id if self._flow.conversation else None

    def forget(self) -> None:
        """Nothing can be brought back any more: the bin was emptied."""
        self._removed.clear()

    def do(self, wish: Fact) -> bool:
        """What is asked for in the list. False: it is not for this part."""
        match wish:
            case ChatList.Asked("delete", ids):
                self.delete_chats(ids)
            case ChatList.UndeleteRequested():
                self.action_undelete()
            case _:
                return False
        return True

    # Deleting

    def delete(self, args: str) -> None:
        """`/delete [chat | message | branch]`."""
        match args.lower():
            case "" | "chat":
                self.action_delete()
            case "message":
                self.delete_message()
            case "branch":
                self.delete_message(with_branch=True)
            case _:
                raise UsageError(
                    "/delete takes `chat`, `message` or `branch`.",
                    "`message` is the marked one or the last; `branch` is that and all below it.",
                )

    def action_delete(self) -> None:
        """Delete the open chat."""
        if self._open_id is None:
            self._desk.say("This chat holds no message yet: there is nothing to delete.")
        elif is_temporary(self._open_id):
            self._desk.say("Leaving a temporary chat deletes it for good: /temporary goes back.")
        else:
            self.delete_chats([self._open_id])

    def delete_chats(self, conversation_ids: Sequence[int]) -> None:
        """Delete chats; they can be brought back."""
        self._desk.work_on(self._delete_chats(tuple(conversation_ids)), group="delete")

    async def _delete_chats(self, ids: tuple[int, ...]) -> None:
        rows = [await asyncio.to_thread(self._store.get_conversation, one) for one in ids]
        here = [row for row in rows if row.deleted_at is None]
        rows = here or rows  # all may have been deleted in another window
        ids = tuple(row.id for row in rows)
        self._flow.withdraw(ids)
        if self._flow.answering.busy_in in ids:
            self._flow.answering.stop()
            await self._flow.answering.idle.wait()
        title = f"“{clean_line(rows[0].title)}”"
        words = title if len(ids) == 1 else f"{len(ids)} chats"
        shown = self._open_id
        beside = self._listed.neighbour(ids)
        if here:
            await asyncio.to_thread(self._store.delete_conversation, *ids)
        was_open, then = (shown, beside) if shown in ids else (None, shown)
        self._removed.append(RemovedChats(ids, words, was_open, then))
        if was_open is not None and beside is None:
            await self._flow.new()
        elif was_open is not None and beside is not None:
            await self._flow.open(beside)
        await self._listed.relist(ids)
        said = self._tell(words)
        self._desk.say(said if here else said.replace("Deleted", "Another window has deleted", 1))

    def action_remove_message(self) -> None:
        """Delete the marked message."""
        self.delete_message()

    def delete_message(self, *, with_branch: bool = False) -> None:
        """Delete the marked message, or the last; with its branch: and all below it."""
        target = self._acting.target()
        if target is None:
            self._desk.say("There is no message to delete.")
            return
        work = self._delete_piece(target.row.id, target.words, with_branch)
        self._desk.work_on(work, group="delete")

    async def _delete_piece(self, message_id: int, words: str, with_branch: bool) -> None:
        self._acting.unmark()
        self._desk.say(await self.cut(message_id, words, with_branch=with_branch))

    async def cut(self, message_id: int, words: str, *, with_branch: bool) -> str:
        """Delete a message of the open chat, called `words`; a sentence that says so."""
        if self._open_id is not None and self._flow.answering.busy_in == self._open_id:
            raise UsageError(self._flow.why_busy())
        branches = self._store.branches
        does = branches.delete_branch if with_branch else branches.delete_message
        cut = await asyncio.to_thread(does, message_id)
        words = f"{words} and all below it" if with_branch else words
        self._removed.append(RemovedPiece(cut, words))
        await self._flow.open(cut.conversation_id)
        return self._tell(words)

    def _tell(self, words: str) -> str:
        key = self._desk.keys("undelete")
        return f"Deleted {words}. /undo brings it back, and so does {key} in the list."

    # Bringing back

    def action_undelete(self) -> None:
        """Bring back what was deleted last."""
        self._desk.work_on(self._undelete(), group="delete")

    async def _undelete(self) -> None:
        self._desk.say(await self.bring_back())

    async def bring_back(self) -> str:
        """Bring back what was deleted last; a sentence that says so."""
        async with self._undoing:
            self._removed = [one for one in self._removed if not self._is_forgotten(one)]
            if not self._removed:
                return "Nothing was deleted since the start, or all of it is back."
            removed, of = self._removed[-1], ""
            try:
                if isinstance(removed, RemovedChats):
                    of = await self._bring_back_chats(removed)
                else:
                    await self._bring_back_piece(removed)
            except ChatAppError:
                if not await self._is_in_bin(removed):  # another window was faster
                    self._removed.remove(removed)
                raise
            self._removed.remove(removed)
        words = f"{of}{removed.words}"
        return f"{words[:1].upper()}{words[1:]}: back again."

    async def _bring_back_chats(self, removed: RemovedChats) -> str:
        """How many of them are back, in words: another window may have removed some for good."""
        deleted = await asyncio.to_thread(self._store.list_deleted)
        there = {row.id for row in deleted}.intersection(removed.ids)
        ids = tuple(one for one in removed.ids if one in there) or removed.ids
        await asyncio.to_thread(self._store.undelete_conversation, *ids)
        await self._listed.relist(ids)
        opened = removed.open_id
        if opened is not None and opened in ids and self._open_id == removed.shown_then:
            await self._flow.open(opened)
        return "" if ids == removed.ids else f"{len(ids)} of "

    async def _bring_back_piece(self, removed: RemovedPiece) -> None:
        if self._flow.answering.busy_in == removed.cut.conversation_id:
            raise UsageError(self._flow.why_busy())
        back = await asyncio.to_thread(self._store.branches.undelete, removed.cut.id)
        await self._flow.open(back.conversation_id, back.message_id)

    def _is_forgotten(self, removed: Removed) -> bool:
        """It was of a temporary chat, which was left."""
        chat = removed.cut.conversation_id if isinstance(removed, RemovedPiece) else None
        return is_temporary(chat) and temporary_range(chat) != temporary_range(self._open_id)

    async def _is_in_bin(self, removed: Removed) -> bool:
        if isinstance(removed, RemovedChats):
            deleted = await asyncio.to_thread(self._store.list_deleted)
            return any(row.id in removed.ids for row in deleted)
        cuts = await asyncio.to_thread(
            self._store.branches.list_deleted, removed.cut.conversation_id
        )
        return any(cut.id == removed.cut.id for cut in cuts)
