"""The store: everything chatapp remembers, in one SQLite file.

This page says what can be done and in which transaction; the modules beside it know the SQL.
`Store.open` for a file, `Store.in_memory` for a chat that leaves nothing behind. All methods may
be called from any thread; they block, so an event loop calls them in another. Everything that
fails raises `StoreError`.
"""

import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Self

from sqlite_utils import Database

from chatapp.conversation import Message
from chatapp.parts import Parts
from chatapp.store import answers, conversations, copies, messages, purging, search
from chatapp.store.branches import Branches
from chatapp.store.evaluations import Evaluations
from chatapp.store.labels import Labels, clean_tag
from chatapp.store.merging import merge_tree
from chatapp.store.migrations import MIGRATIONS
from chatapp.store.opening import BUSY_TIMEOUT_S, open_file, open_memory
from chatapp.store.prompts import Prompts
from chatapp.store.rows import (
    ConversationRow,
    ConversationTree,
    FinalStatus,
    Merged,
    MessageRow,
    NewGeneration,
    Outcome,
    Purged,
    SearchHit,
)
from chatapp.store.session import Session, clean
from chatapp.store.temporary import Temporary
from chatapp.store.trees import insert_said

_BATCH = 20
"""Messages that are held at once where all of a conversation is read."""


class Store:
    """Conversations, messages, answers being written, search, copies."""

    def __init__(self, session: Session, mend: messages.Mend = messages.as_it_is) -> None:
        self.session = session
        """The connections, for whoever has to do something that this page does not name."""
        self.labels = Labels(session)
        """Pins, archive, tags."""
        self.prompts = Prompts(session)
        """What the user wrote: drafts, and all that was sent."""
        self.branches = Branches(session)
        """Edit, delete, fork, outline."""
        self.evaluations = Evaluations(session)
        """What models were measured at."""
        self.temporary = Temporary(session)
        """Conversations that are in memory alone, beside the file."""
        self._mend = mend
        """Makes of a row what it would be if this version had written it."""

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        busy_timeout_s: float = BUSY_TIMEOUT_S,
        mend: messages.Mend = messages.as_it_is,
    ) -> Self:
        """The history at `path`, made (mode 0600) or brought up to date if need be.

        Messages are read through `mend`; the file keeps them as they are until one is gone on
        with. Raises `StoreError` when it is locked, newer than this program, damaged, no history of
        ours or not writable, when the disk is full, and when an older file cannot be upgraded.
        """
        return cls(open_file(path, busy_timeout_s), mend)

    @classmethod
    def in_memory(cls) -> Self:
        """An empty history that never touches the disk."""
        return cls(open_memory())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file. Closing twice is harmless."""
        self.session.close()

    @property
    def path(self) -> Path | None:
        """The file; None: in memory."""
        return self.session.path

    @property
    def schema_version(self) -> int:
        """How many migrations the database has seen."""
        with self.session.reading() as db:
            return len(MIGRATIONS.applied(db))

    def disk_usage(self) -> int:
        """Bytes of the file and its write-ahead log; in memory: of its pages."""
        if self.path is not None:
            return copies.measure(self.path)
        with self.session.reading() as db:
            return copies.measure_memory(db)

    def find_damage(self) -> list[str]:
        """What SQLite's integrity check complains about; empty: nothing. Reads the whole file."""
        with self.session.browsing() as db:
            return copies.find_damage(db)

    def backup(self, path: Path) -> None:
        """Write a sound copy (mode 0600) to `path`, replacing a file there once it is whole.

        Works while answers are being written. Raises `StoreError` when `path` is the history
        itself or cannot be written.
        """
        with self.session.browsing() as db:
            copies.write_backup(db, self.path, path)

    # Conversations

    def create_conversation(self, title: str = "", system: str = "", beside: int = 0) -> int:
        """A new empty conversation; its id. `beside` a temporary one it is temporary too."""
        now = time.time()
        with self.session.of(beside).writing() as db:
            return conversations.insert_conversation(db, title, system, now, now)

    def list_conversations(
        self,
        limit: int = 100,
        offset: int = 0,
        query: str = "",
        *,
        archived: bool | None = False,
        tag: str = "",
        tags: Sequence[str] = (),
    ) -> list[ConversationRow]:
        """Conversations that are not deleted: pinned ones, then the others, the last used first.

        `query`: their title or messages match it (see `search`); without a word in it: all.
        `archived` None: in the archive or not. `tag`: one they have; `tags`: beginnings of theirs.
        """
        with self.session.browsing() as db:
            return conversations.find_conversations(
                db, query, limit, offset, archived=archived, tag=clean_tag(tag), begun=tags
            )

    def last_conversation(self) -> ConversationRow | None:
        """The conversation that was used last and is not archived; None: there is none."""
        with self.session.browsing() as db:
            return conversations.fetch_last(db)

    def get_conversation(self, conversation_id: int) -> ConversationRow:
        """One conversation, even a deleted one. Raises `StoreError` if there is none."""
        with self.session.of(conversation_id).reading() as db:
            return conversations.fetch_conversation(db, conversation_id)

    def rename_conversation(self, conversation_id: int, title: str) -> None:
        """Give a title: one line, at most `conversations.MAX_TITLE` characters."""
        with self.session.of(conversation_id).writing() as db:
            conversations.rename(db, conversation_id, title)

    def set_system(self, conversation_id: int, text: str) -> None:
        """Give the system prompt; empty: none."""
        with self.session.of(conversation_id).writing() as db:
            conversations.set_column(db, [conversation_id], "system", clean(text))

    def set_settings(self, conversation_id: int, settings: str) -> None:
        """Give the chat's own settings, a JSON object; empty: none."""
        with self.session.of(conversation_id).writing() as db:
            conversations.set_column(db, [conversation_id], "settings", clean(settings))

    def add_trees(self, trees: Iterable[ConversationTree]) -> list[Merged]:
        """Add whole conversations under new ids, all or none; what became of each.

        Messages keep their order, so parents must stand before their children. A conversation
        whose name (`uid`) is known gets the messages whose names it lacks. An answer that was
        being written becomes `interrupted`.
        """
        with self.session.writing() as db:
            return [merge_tree(db, tree) for tree in trees]

    # Deleting: into the bin, and out of it for good

    def delete_conversation(self, *conversation_ids: int) -> None:
        """Hide conversations from lists and search: all or none. `undelete_conversation` undoes."""
        with self.session.of(next(iter(conversation_ids), None)).writing() as db:
            conversations.set_column(db, conversation_ids, "deleted_at", time.time())

    def undelete_conversation(self, *conversation_ids: int) -> None:
        """Undo `delete_conversation`, for all or for none."""
        with self.session.of(next(iter(conversation_ids), None)).writing() as db:
            conversations.set_column(db, conversation_ids, "deleted_at", None)

    def list_deleted(self, days: float = 0.0) -> list[ConversationRow]:
        """What was deleted at least `days` ago and is still there, the longest deleted first."""
        with self.session.browsing() as db:
            return conversations.find_deleted(db, time.time() - days * 86_400)

    def purge_deleted(self, days: float) -> Purged:
        """Remove for good, without a trace, what was deleted at least `days` ago.

        While the copy from an upgrade is there nothing is removed, for it would still be in the
        copy; that goes after `days`, at most after `upgrade.KEEP_COPY_DAYS`.
        """
        return purging.purge(self.session, days)

    def empty_bin(self) -> Purged:
        """Remove for good, without a trace, all that was deleted, renamed or replaced so far.

        The copy from an upgrade goes too.
        """
        return purging.empty_bin(self.session)

    # Messages

    def add_message(
        self, conversation_id: int, message: Message, parent_id: int | None = None
    ) -> MessageRow:
        """Add a finished message under `parent_id` (None: a first message) and go there.

        It is on the disk when this returns. Raises `StoreError` if the parent is no message of
        this conversation.
        """
        words, now = search.words_of(message.parts), time.time()
        with self.session.of(conversation_id).writing() as db:
            messages.check_parent(db, conversation_id, parent_id)
            message_id = insert_said(db, conversation_id, parent_id, message, words, now)
            messages.go_to(db, conversation_id, message_id, now)
            return messages.fetch_message(db, message_id)

    def get_message(self, message_id: int) -> MessageRow:
        """One message. Raises `StoreError` if there is none."""
        with self.session.of(message_id).reading() as db:
            return self._mend(messages.fetch_message(db, message_id))

    def get_path(
        self, conversation_id: int, leaf_id: int | None = None, limit: int | None = None
    ) -> list[MessageRow]:
        """The messages from the first down to `leaf_id` (None: the active leaf), oldest first.

        With `limit` only the last so many. Empty while nothing was said. Raises `StoreError`
        if the conversation, or the leaf in it, does not exist.
        """
        with self.session.of(conversation_id).reading() as db:
            ids = messages.find_path(db, conversation_id, leaf_id, limit)
            rows = messages.fetch_messages(db, ids)
        return list(map(self._mend, rows))

    def get_tree(self, conversation_id: int) -> ConversationTree:
        """A conversation with the messages of every branch, all in memory."""
        with self.session.of(conversation_id).reading() as db:
            conversation = conversations.fetch_conversation(db, conversation_id)
            rows = messages.fetch_messages(db, messages.find_tree(db, conversation_id))
        return ConversationTree(conversation, tuple(map(self._mend, rows)))

    def read_path(self, conversation_id: int) -> Iterator[MessageRow]:
        """The branch that is shown, oldest first, a few messages in memory at a time."""
        with self.session.of(conversation_id).browsing() as db:
            ids = messages.find_path(db, conversation_id)
        yield from self._read(ids)

    def read_tree(self, conversation_id: int) -> Iterator[MessageRow]:
        """Every branch, parents before their children, a few messages in memory at a time."""
        with self.session.of(conversation_id).browsing() as db:
            conversations.fetch_conversation(db, conversation_id)
            ids = messages.find_tree(db, conversation_id)
        yield from self._read(ids)

    def _read(self, ids: Sequence[int]) -> Iterator[MessageRow]:
        for begin in range(0, len(ids), _BATCH):
            with self.session.of(ids[begin]).browsing() as db:
                rows = messages.fetch_messages(db, ids[begin : begin + _BATCH])
            yield from map(self._mend, rows)

    def siblings(self, message_id: int) -> list[int]:
        """The messages with the same parent, itself included, oldest first."""
        with self.session.of(message_id).reading() as db:
            return messages.find_siblings(db, message_id)

    def leaf_below(self, message_id: int) -> int:
        """The newest message of the branches below `message_id`; itself if there is none."""
        with self.session.of(message_id).reading() as db:
            return messages.find_newest_below(db, message_id)

    def select_leaf(self, conversation_id: int, leaf_id: int) -> None:
        """Show the branch that ends at `leaf_id` from now on."""
        with self.session.of(conversation_id).writing() as db:
            messages.check_parent(db, conversation_id, leaf_id)
            conversations.set_column(db, [conversation_id], "active_leaf_id", leaf_id)

    def count_messages(self) -> int:
        """How many messages there are, deleted conversations left out."""
        with self.session.browsing() as db:
            return messages.count(db)

    def search(
        self,
        query: str,
        limit: int = 50,
        conversation_id: int | None = None,
        *,
        reasoning: bool = False,
    ) -> list[SearchHit]:
        """Messages that match, prompts before answers, then the best first.

        With `reasoning` it is what models thought that is searched, not what was said. Deleted
        conversations do not show. A query without a word in it finds nothing.
        """
        with self.session.of(conversation_id).browsing() as db:
            return search.find_messages(
                db, query, limit, conversation_id, reasoning=reasoning, read=self._read_parts
            )

    def _read_parts(self, db: Database, message_id: int) -> Parts:
        return self._mend(messages.fetch_message(db, message_id)).parts

    # Answers

    def begin_answer(
        self, conversation_id: int, parent_id: int, generation: NewGeneration | None = None
    ) -> MessageRow:
        """Add an empty `streaming` answer under `parent_id` and go there."""
        return self.begin_answers(conversation_id, parent_id, generation)[0]

    def begin_answers(
        self,
        conversation_id: int,
        parent_id: int,
        generation: NewGeneration | None = None,
        n: int = 1,
    ) -> list[MessageRow]:
        """Add `n` of them at once, all written in the same way, and go to the first."""
        now = time.time()
        with self.session.of(conversation_id).writing() as db:
            new = (conversation_id, parent_id, generation, now)
            ids = [answers.insert(db, *new) for _ in range(n)]
            messages.go_to(db, conversation_id, ids[0], now)
            return messages.fetch_messages(db, ids)

    def journal_answer(self, message_id: int, parts: Parts, tokens: Sequence[int]) -> None:
        """Save what there is of a streaming answer: all its parts and all its tokens so far.

        Raises `StoreError` if this process is not writing the answer.
        """
        with self.session.of(message_id).writing() as db:
            answers.claim(db, message_id)
            answers.save(db, message_id, parts, tokens, time.time())

    def resume_answer(self, message_id: int, generation: NewGeneration | None = None) -> MessageRow:
        """Make an answer `streaming` again, its parts and tokens kept, to go on writing it.

        The run that now begins is the last of the row's generations, and its `offset` says how
        many characters stood there before it. Raises `StoreError` if it is no answer, or is
        being written by a running process.
        """
        now = time.time()
        with self.session.of(message_id).writing() as db:
            mended = self._mend(messages.fetch_message(db, message_id))
            answers.take_up(db, message_id, mended.parts, generation, now)
            return messages.fetch_message(db, message_id)

    def finish_answer(
        self,
        message_id: int,
        parts: Parts,
        tokens: Sequence[int],
        status: FinalStatus,
        *,
        outcome: Outcome | None = None,
    ) -> None:
        """Save a whole answer with its last status, and make it searchable.

        The outcome is the last run's. Raises `StoreError` if this process is not writing the
        answer.
        """
        words, now = search.words_of(parts), time.time()
        with self.session.of(message_id).writing() as db:
            answers.claim(db, message_id)
            answers.save(db, message_id, parts, tokens, now)
            answers.end(db, message_id, status, words, outcome or Outcome(), now)

    def drop_answer(self, message_id: int) -> bool:
        """Remove an answer that is written here; False: it is shown, or has something below."""
        with self.session.of(message_id).writing() as db:
            answers.claim(db, message_id)
            return answers.drop(db, message_id)

    def recover(self) -> list[int]:
        """Mark answers as `interrupted` whose writer, here or elsewhere, is gone; their ids."""
        with self.session.writing() as db:
            return answers.recover(db, time.time())
