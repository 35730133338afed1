"""Answers while they are written: claimed, journalled, finished, and found again after a crash.

A journal writes the part that grew, the tokens and a heartbeat, and is meant to be called four
times a second; the answer becomes searchable when it is finished. An answer belongs to the
process that writes it. If another instance took it for abandoned, the writer simply goes on:
nothing it says is refused.
"""

from collections.abc import Sequence
from functools import cache

from sqlite_utils import Database

from chatapp.errors import StoreError
from chatapp.parts import Parts, Reasoning, Text
from chatapp.store.generations import begin_run, end_run
from chatapp.store.messages import check_parent, insert_message, pack_tokens
from chatapp.store.owner import identify, is_gone, parse_owner
from chatapp.store.parts import read_parts, write_parts
from chatapp.store.rows import FinalStatus, NewGeneration, Outcome, Status
from chatapp.store.search import Words, index_message, unindex_message, words_of
from chatapp.store.session import fetch_required


@cache
def this_process() -> str:
    """The owner of answers that are written here."""
    return str(identify())


def insert(
    db: Database,
    conversation_id: int,
    parent_id: int,
    generation: NewGeneration | None,
    now: float,
) -> int:
    """An empty answer of ours under `parent_id`, with its first run; its id."""
    check_parent(db, conversation_id, parent_id)
    message_id = insert_message(
        db, conversation_id, parent_id, "assistant", "streaming", now, owner=this_process()
    )
    begin_run(db, message_id, generation or NewGeneration(), now)
    return message_id


def claim(db: Database, message_id: int) -> None:
    """Make sure that the answer is ours. Raises `StoreError` if this process is not writing it."""
    row = db.execute("SELECT status, owner FROM messages WHERE id = ?", (message_id,)).fetchone()
    if row == ("interrupted", this_process()):
        # Another instance gave us up, and made the answer searchable.
        unindex_message(db, message_id)
        _set_status(db, message_id, "streaming")
    elif row != ("streaming", this_process()):
        raise StoreError(f"Answer {message_id} is not being written here.")


def take_up(
    db: Database, message_id: int, parts: Parts, generation: NewGeneration | None, now: float
) -> None:
    """Make an answer `streaming` again, and ours: a run begins after what stands in it.

    `parts` are what it says; where something else was stored, they take its place. Raises
    `StoreError` if it is no answer, or is being written by a running process.
    """
    cursor = db.execute(
        "SELECT role, status, owner, heartbeat FROM messages WHERE id = ?", (message_id,)
    )
    role, status, owner, heartbeat = fetch_required(cursor, f"message {message_id}")
    if role != "assistant":
        raise StoreError(f"Message {message_id} is not an answer: it cannot go on.")
    if status != "streaming":
        unindex_message(db, message_id)
    elif not is_gone(parse_owner(owner), now - heartbeat):
        raise StoreError("This answer is being written at the moment.", "Stop it first, or wait.")
    db.execute(
        "UPDATE messages SET status = 'streaming', owner = ?, heartbeat = ? WHERE id = ?",
        (this_process(), now, message_id),
    )
    write_parts(db, message_id, parts)
    offset = sum(len(part.text) for part in parts if isinstance(part, Text | Reasoning))
    begin_run(db, message_id, generation or NewGeneration(), now, offset)


def save(db: Database, message_id: int, parts: Parts, tokens: Sequence[int], now: float) -> None:
    """All parts and all tokens of an answer so far."""
    write_parts(db, message_id, parts)
    db.execute(
        "UPDATE messages SET tokens = ?, heartbeat = ? WHERE id = ?",
        (pack_tokens(tokens), now, message_id),
    )


def end(
    db: Database,
    message_id: int,
    status: FinalStatus,
    words: Words,
    outcome: Outcome,
    now: float,
) -> None:
    """Give an answer its last status and make it searchable; its conversation was used now."""
    end_run(db, message_id, outcome)
    db.execute("UPDATE messages SET status = ?, owner = '' WHERE id = ?", (status, message_id))
    index_message(db, message_id, words)
    db.execute(
        "UPDATE conversations SET updated_at = ?"
        " WHERE id = (SELECT conversation_id FROM messages WHERE id = ?)",
        (now, message_id),
    )


def drop(db: Database, message_id: int) -> bool:
    """Remove an answer that nobody looks at and nothing stands below; False: it stays."""
    held = db.execute(
        "SELECT EXISTS (SELECT 1 FROM messages m JOIN conversations c ON c.id = m.conversation_id"
        " WHERE m.id = ?1 AND (c.active_leaf_id = ?1 OR EXISTS (SELECT 1 FROM messages below"
        " WHERE below.conversation_id = c.id AND below.parent_id = ?1)))",
        (message_id,),
    ).fetchone()
    if held[0]:
        return False
    for table in ("generations", "parts"):
        db.execute(f"DELETE FROM {table} WHERE message_id = ?", (message_id,))  # noqa: S608
    db.execute("DELETE FROM messages WHERE id = ?", (message_id,))
    return True


def recover(db: Database, now: float) -> list[int]:
    """Mark answers whose writer is gone as `interrupted`; their ids.

    Answers of this process and of other running instances are left alone.
    """
    recovered = []
    rows = db.execute(
        "SELECT id, owner, heartbeat FROM messages WHERE status = 'streaming'"
    ).fetchall()
    for message_id, owner, heartbeat in rows:
        if owner != this_process() and is_gone(parse_owner(owner), now - heartbeat):
            _set_status(db, message_id, "interrupted")
            parts = read_parts(db, [message_id]).get(message_id, ())
            index_message(db, message_id, words_of(parts))
            recovered.append(message_id)
    return recovered


def _set_status(db: Database, message_id: int, status: Status) -> None:
    db.execute("UPDATE messages SET status = ? WHERE id = ?", (status, message_id))
