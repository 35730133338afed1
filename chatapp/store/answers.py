"""Answers while they are written: begun, journalled, finished, and found again after a crash.

`journal_answer` is one UPDATE by id, meant to be called twice a second; the answer becomes
searchable when it is finished. An answer belongs to the process that writes it. If another
instance took it for abandoned, the writer simply goes on: nothing it says is refused.
"""

import time
from collections.abc import Sequence
from functools import cached_property

from sqlite_utils import Database

from chatapp.errors import StoreError
from chatapp.parts import Parts, reasoning_of, text_of
from chatapp.store.messages import check_parent, fetch_message, go_to, pack_tokens
from chatapp.store.owner import identify, is_gone, parse_owner
from chatapp.store.rows import FinalStatus, MessageRow, NewGeneration, Outcome, Status
from chatapp.store.search import index_text, unindex_text
from chatapp.store.session import Session, clean, fetch_required, make_uid
from chatapp.store.words import join_words


class Answers(Session):
    """The part of the store that writes answers."""

    @cached_property
    def _owner(self) -> str:
        return str(identify())

    def begin_answer(
        self, conversation_id: int, parent_id: int, generation: NewGeneration | None = None
    ) -> MessageRow:
        """Add an empty `streaming` answer under `parent_id` and go there."""
        now = time.time()
        with self.writing() as db:
            message_id = self._insert_answer(db, conversation_id, parent_id, now)
            _insert_generation(db, message_id, generation or NewGeneration(), 0, now)
            go_to(db, conversation_id, message_id, now)
            return fetch_message(db, message_id)

    def add_answer(
        self,
        conversation_id: int,
        parent_id: int,
        parts: Parts,
        tokens: Sequence[int],
        status: FinalStatus,
        generation: NewGeneration | None = None,
        outcome: Outcome | None = None,
    ) -> MessageRow:
        """Add a finished answer under `parent_id`; what is shown stays as it is."""
        now = time.time()
        with self.writing() as db:
            message_id = self._insert_answer(db, conversation_id, parent_id, now)
            _insert_generation(db, message_id, generation or NewGeneration(), 0, now)
            self._finish(db, message_id, parts, tokens, status, outcome, now)
            return fetch_message(db, message_id)

    def _insert_answer(self, db: Database, conversation_id: int, parent_id: int, now: float) -> int:
        check_parent(db, conversation_id, parent_id)
        cursor = db.execute(
            "INSERT INTO messages (conversation_id, parent_id, role, status, created_at,"
            " owner, heartbeat, content, uid)"
            " VALUES (?, ?, 'assistant', 'streaming', ?, ?, ?, '', ?)",
            (conversation_id, parent_id, now, self._owner, now, make_uid()),
        )
        return cursor.lastrowid or 0

    def journal_answer(self, message_id: int, parts: Parts, tokens: Sequence[int]) -> None:
        """Save what there is of a streaming answer: all its parts and all its tokens so far.

        Raises `StoreError` if this process is not writing the answer.
        """
        content, reasoning = clean(text_of(parts)), clean(reasoning_of(parts))
        values = (content, reasoning, pack_tokens(tokens), time.time(), message_id)
        with self.writing() as db:
            self._claim(db, message_id)
            db.execute(
                "UPDATE messages SET content = ?, reasoning = ?, tokens = ?, heartbeat = ?"
                " WHERE id = ?",
                values,
            )

    def resume_answer(self, message_id: int, generation: NewGeneration | None = None) -> MessageRow:
        """Make an answer `streaming` again, its parts and tokens kept, to go on writing it.

        The run that now begins is the last of the row's generations, and its `offset` says how
        many characters stood there before it. Raises `StoreError` if it is no answer, or is
        being written by a running process.
        """
        now = time.time()
        with self.writing() as db:
            role, status, owner, heartbeat, content, reasoning = _fetch_state(db, message_id)
            if role != "assistant":
                raise StoreError(f"Message {message_id} is not an answer: it cannot go on.")
            if status == "streaming":
                if not is_gone(parse_owner(owner), now - heartbeat):
                    raise StoreError(
                        "This answer is being written at the moment.", "Stop it first, or wait."
                    )
            else:
                unindex_text(db, "message_fts", message_id, join_words(content))
            db.execute(
                "UPDATE messages SET status = 'streaming', owner = ?, heartbeat = ? WHERE id = ?",
                (self._owner, now, message_id),
            )
            offset = len(content) + len(reasoning)
            _insert_generation(db, message_id, generation or NewGeneration(), offset, now)
            return fetch_message(db, message_id)

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

        Raises `StoreError` if this process is not writing the answer.
        """
        now = time.time()
        with self.writing() as db:
            self._claim(db, message_id)
            self._finish(db, message_id, parts, tokens, status, outcome, now)

    def _finish(
        self,
        db: Database,
        message_id: int,
        parts: Parts,
        tokens: Sequence[int],
        status: FinalStatus,
        outcome: Outcome | None,
        now: float,
    ) -> None:
        content, reasoning = clean(text_of(parts)), clean(reasoning_of(parts))
        db.execute(
            "UPDATE messages SET content = ?, reasoning = ?, tokens = ?, heartbeat = ?,"
            " status = ?, owner = '' WHERE id = ?",
            (content, reasoning, pack_tokens(tokens), now, status, message_id),
        )
        index_text(db, "message_fts", message_id, join_words(content))
        _record_outcome(db, message_id, outcome or Outcome())
        db.execute(
            "UPDATE conversations SET updated_at = ?"
            " WHERE id = (SELECT conversation_id FROM messages WHERE id = ?)",
            (now, message_id),
        )

    def recover(self) -> list[int]:
        """Mark answers whose writer is gone as `interrupted`; their ids.

        Answers of this process and of other running instances are left alone.
        """
        now = time.time()
        recovered = []
        with self.writing() as db:
            rows = db.execute(
                "SELECT id, owner, heartbeat, content FROM messages WHERE status = 'streaming'"
            ).fetchall()
            for message_id, owner, heartbeat, content in rows:
                if owner != self._owner and is_gone(parse_owner(owner), now - heartbeat):
                    _set_status(db, message_id, "interrupted")
                    index_text(db, "message_fts", message_id, join_words(content))
                    recovered.append(message_id)
        return recovered

    def _claim(self, db: Database, message_id: int) -> None:
        row = db.execute(
            "SELECT status, owner FROM messages WHERE id = ?", (message_id,)
        ).fetchone()
        if row == ("interrupted", self._owner):
            # Another instance gave us up, and made the answer searchable.
            content = _fetch_state(db, message_id)[4]
            unindex_text(db, "message_fts", message_id, join_words(content))
            _set_status(db, message_id, "streaming")
        elif row != ("streaming", self._owner):
            raise StoreError(f"Answer {message_id} is not being written here.")


def _insert_generation(
    db: Database, message_id: int, given: NewGeneration, offset: int, now: float
) -> None:
    db.execute(
        "INSERT INTO generations (message_id, model_path, model_name, fingerprint, template_hash,"
        " params_json, seed, created_at, offset) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            message_id,
            clean(given.model_path),
            clean(given.model_name),
            given.fingerprint,
            given.template_hash,
            clean(given.params_json),
            given.seed,
            now,
            offset,
        ),
    )


def _fetch_state(db: Database, message_id: int) -> tuple[str, Status, str, float, str, str]:
    cursor = db.execute(
        "SELECT role, status, owner, heartbeat, content, reasoning FROM messages WHERE id = ?",
        (message_id,),
    )
    row: tuple[str, Status, str, float, str, str] = fetch_required(cursor, f"message {message_id}")
    return row


def _set_status(db: Database, message_id: int, status: Status) -> None:
    db.execute("UPDATE messages SET status = ? WHERE id = ?", (status, message_id))


def _record_outcome(db: Database, message_id: int, outcome: Outcome) -> None:
    db.execute(
        "UPDATE generations SET finish_reason = ?, error = ?,"
        " seed = CASE WHEN ? = -1 THEN seed ELSE ? END, prompt_tokens = ?, reused_tokens = ?,"
        " completion_tokens = ?, load_s = ?, ttft_s = ?, prefill_tps = ?, decode_tps = ?"
        " WHERE id = (SELECT max(id) FROM generations WHERE message_id = ?)",
        (
            outcome.finish_reason,
            clean(outcome.error),
            outcome.seed,
            outcome.seed,
            outcome.prompt_tokens,
            outcome.reused_tokens,
            outcome.completion_tokens,
            outcome.load_s,
            outcome.ttft_s,
            outcome.prefill_tps,
            outcome.decode_tps,
            message_id,
        ),
    )
