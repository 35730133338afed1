"""The store: everything chatapp remembers, in one SQLite file.

`Store.open` for a file, `Store.in_memory` for a chat that leaves nothing behind, `Store(db)` for
any migrated database. All methods may be called from any thread; they block, so an event loop
calls them in another. Everything that fails raises `StoreError`.
"""

from pathlib import Path
from typing import Self

from chatapp.store.answers import Answers
from chatapp.store.conversations import Conversations
from chatapp.store.copies import Copies
from chatapp.store.messages import Messages
from chatapp.store.opening import BUSY_TIMEOUT_S, open_file, open_memory
from chatapp.store.search import Search


class Store(Conversations, Messages, Answers, Search, Copies):
    """Conversations, messages, answers being written, search, copies."""

    @classmethod
    def open(cls, path: Path, *, busy_timeout_s: float = BUSY_TIMEOUT_S) -> Self:
        """The history at `path`, made (mode 0600) or migrated if need be.

        Raises `StoreError` when it is locked, newer than this program, damaged, no history of
        ours or not writable, and when the disk is full.
        """
        return cls(open_file(path.expanduser().absolute(), busy_timeout_s))

    @classmethod
    def in_memory(cls) -> Self:
        """An empty history that never touches the disk."""
        return cls(open_memory())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
