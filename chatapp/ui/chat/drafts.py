"""What was begun and not sent, one text for each conversation, kept however the app ends.

Without widgets. A draft is in the store half a second after the last key; what waits in the queue
is kept with it, because it is not in the store yet. Where the store refuses, a file beside it has
to do.
"""

import asyncio
import threading
from collections.abc import Callable, Collection, Sequence
from functools import partial

from chatapp.errors import StoreError
from chatapp.store import Store
from chatapp.store.rows import is_temporary
from chatapp.ui.draft import Begun, DraftFile
from chatapp.ui.messages import Queued

Place = int | None
"""A conversation, or None: the new chat, which is none yet."""


class Drafts:
    """The texts of all conversations that were opened. `fallback` is used when the app ends."""

    def __init__(self, store: Store, fallback: DraftFile, schedule: Callable[[], None]) -> None:
        """`schedule` sees to it that `save` is called soon."""
        self._prompts = store.prompts
        self._fallback = fallback
        self._schedule = schedule
        self._texts: dict[Place, Begun] = {}
        self._unsaved: dict[Place, Callable[[], Begun]] = {}
        """How to read what changed; a text of megabytes is put together only to be saved."""
        self._queue: Sequence[Queued] = ()
        self._n_collected = 0
        self._written: dict[Place, int] = {}
        """Which collection of texts a place was last written from."""
        self._writing = threading.Lock()
        self._fetched: set[Place] = set()
        """Where what the store had is known here; elsewhere nothing is saved over it."""

    def known(self, place: Place) -> Begun:
        """The draft as this run of the app knows it."""
        return self._texts.get(place, Begun())

    def begin(self, place: int) -> None:
        """What was the new chat is this conversation now, and the new chat has no draft."""
        self._fetched.add(place)
        self.put(None, Begun())

    def put(self, place: Place, begun: Begun) -> None:
        """The draft is this from now on."""
        self._texts[place] = begun
        self._note(place, lambda: begun)

    def follow(self, place: Place, read: Callable[[], Begun]) -> None:
        """The draft is being written: `read` gives it when it is to be saved."""
        self._note(place, read)

    def follow_queue(self, queue: Sequence[Queued]) -> None:
        """What waits is this from now on."""
        places = {queued.conversation_id for queued in (*self._queue, *queue)}
        self._queue = tuple(queue)
        for place in places:
            self._note(place, self._unsaved.get(place) or partial(self.known, place))

    async def fetch(self, place: Place) -> Begun:
        """What an earlier run of the app has left; empty when asked again."""
        if place in self._fetched:
            return Begun()
        begun = await asyncio.to_thread(self._read, place)
        self._fetched.add(place)
        if place in self._unsaved:
            self._schedule()
        return begun

    def _read(self, place: Place) -> Begun:
        try:
            draft = self._prompts.get_draft(place)
        except StoreError:  # a draft that cannot be read is no reason not to open a chat
            return Begun()
        return Begun(draft.text, draft.replaces, draft.waits) if draft else Begun()

    def take_fallback(self) -> str:
        """What the store did not take when the app ended last."""
        return self._fallback.take()

    async def save(self) -> None:
        """Write what changed. What the store refuses is tried again with the next change."""
        texts = self._collect(self._fetched)
        self._keep(await asyncio.to_thread(self._write, texts, self._n_collected))

    def save_now(self) -> str:
        """Write what changed, before the app goes on or ends; what could not be kept anywhere."""
        unknown = [place for place in self._unsaved if place not in self._fetched]
        texts = self._collect(self._unsaved)
        for place in unknown:
            texts[place] = texts[place].behind([self._read(place).whole])
        refused = self._write(texts, self._n_collected)
        self._keep(refused)
        rest = "\n\n".join(begun.whole for begun in refused.values() if begun.whole.strip())
        return "" if self._fallback.save(rest) else rest

    def _keep(self, refused: dict[Place, Begun]) -> None:
        """What the store refused is written with the next change."""
        for place, begun in refused.items():
            self._unsaved.setdefault(place, partial(_same, begun))

    def _note(self, place: Place, read: Callable[[], Begun]) -> None:
        self._unsaved[place] = read
        self._schedule()

    def _collect(self, places: Collection[Place]) -> dict[Place, Begun]:
        """What is to be saved in these places."""
        self._n_collected += 1
        texts = {}
        for place in [place for place in self._unsaved if place in places]:
            read = self._unsaved.pop(place)
            self._texts[place] = begun = read()
            waits = [queued for queued in self._queue if queued.conversation_id == place]
            if waits and begun.replaces is None and (last := waits[-1]).replaces is not None:
                begun = Begun(last.text, last.replaces, begun.text)
                waits.pop()
            texts[place] = begun.behind([queued.text for queued in waits])
        return texts

    def _write(self, texts: dict[Place, Begun], number: int) -> dict[Place, Begun]:
        """Save drafts; those that the store refuses. Threads may come in any order: what was
        collected later stays."""
        refused = {}
        with self._writing:
            for place, begun in texts.items():
                if self._written.get(place, 0) > number:
                    continue
                self._written[place] = number
                try:
                    self._prompts.save_draft(
                        place, begun.text, replaces=begun.replaces, waits=begun.waits
                    )
                except StoreError:
                    if begun and not is_temporary(place):  # a chat that was left has no draft
                        refused[place] = begun
        return refused


def _same(begun: Begun) -> Begun:
    return begun
