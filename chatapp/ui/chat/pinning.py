"""Pins: of chats, which stand at the top of the list, and of messages, which never fall out."""

import asyncio
from collections.abc import Callable

from chatapp.commands.parsing import read_switch
from chatapp.errors import UsageError
from chatapp.store import Store
from chatapp.ui.chat.acting import Acting, name_message
from chatapp.ui.chat.commands import Does
from chatapp.ui.chat.desk import Desk
from chatapp.ui.items import item_of
from chatapp.ui.widgets.pane import ConversationPane


class Pinning:
    """`/pin`, and the key for a pinned message."""

    def __init__(
        self,
        store: Store,
        desk: Desk,
        acting: Acting,
        pane: ConversationPane,
        *,
        pin_chat: Callable[[str], None],
    ) -> None:
        self._store = store
        self._desk = desk
        self._acting = acting
        self._pane = pane
        self._pin_chat = pin_chat
        self.commands: dict[str, Does] = {"pin": self.pin}

    def pin(self, args: str) -> None:
        """`/pin [chat | message] [on | off]`."""
        words = args.lower().split()
        what = words.pop(0) if words and words[0] in ("chat", "message") else "chat"
        if len(words) > 1 or (words and read_switch(words[0]) is None):
            raise UsageError(
                "/pin takes `chat` or `message`, and `on` or `off`.",
                "`/pin message` keeps the marked message or the last one word for word.",
            )
        switch = "".join(words)
        if what == "chat":
            self._pin_chat(switch)
        else:
            self.pin_message(read_switch(switch))

    def action_pin_message(self) -> None:
        """Pin the marked message or the last one, or no longer."""
        self.pin_message()

    def pin_message(self, wanted: bool | None = None) -> None:
        """The same; `wanted` says which."""
        target = self._acting.target()
        if target is None or target.row.status == "streaming":
            self._desk.say("There is no finished message to pin yet.")
            return
        wanted = not target.row.pinned if wanted is None else wanted
        self._desk.work_on(self._pin_message(target.row.id, wanted), group="labels")

    async def _pin_message(self, message_id: int, wanted: bool) -> None:
        row = await asyncio.to_thread(self._store.branches.pin, message_id, pinned=wanted)
        rows = self._acting.rows
        for place, shown in enumerate(rows):
            if shown.id == row.id:
                rows[place] = row
                self._pane.transcript.finish(row.id, item_of(row))
        stays = "stays word for word when earlier turns are summarised or left out"
        name = name_message(row)
        said = f"{name} {stays}." if wanted else f"{name} is no longer pinned."
        self._desk.say(said[0].upper() + said[1:])
