"""Conversations that are nowhere but in memory, beside those of the file. `Store.temporary`.

Each begins a database of its own, whose ids no file ever reaches: so an id tells where its row
lies (`Session.of`), and whoever reads, writes or exports by id need not know. Lists, searches,
prompts that were sent and backups are the file's alone.
"""

import time

from chatapp.store.conversations import insert_conversation
from chatapp.store.opening import open_memory
from chatapp.store.rows import FIRST_TEMPORARY, TEMPORARY_IDS, TEMPORARY_TITLE, temporary_range
from chatapp.store.session import Session, clean


class Temporary:
    """Begins and forgets them."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._n_begun = 0

    def begin(self, system: str = "", settings: str = "") -> int:
        """A new empty conversation, in memory; its id, which is at least `FIRST_TEMPORARY`.

        What is made `beside` it (`Store.create_conversation`) is temporary too.
        """
        first = FIRST_TEMPORARY + self._n_begun * TEMPORARY_IDS
        self._n_begun += 1
        self._session.beside[temporary_range(first)] = memory = open_memory(first)
        now = time.time()
        with memory.writing() as db:
            new = insert_conversation(db, TEMPORARY_TITLE, system, now, now)
            db.execute("UPDATE conversations SET settings = ? WHERE id = ?", (clean(settings), new))
        return new

    def forget(self, conversation_id: int) -> None:
        """A temporary conversation, and all that was made beside it, is no more."""
        memory = self._session.beside.pop(temporary_range(conversation_id), None)
        if memory is not None:
            memory.close()
