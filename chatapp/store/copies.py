"""The history as a whole: backups, imported conversations, its size and its health."""

import sqlite3
from collections.abc import Iterable
from pathlib import Path

from sqlite_utils import Database

from chatapp.errors import StoreError
from chatapp.gguf.replacing import replacement
from chatapp.store.conversations import clean_title, insert_conversation
from chatapp.store.faults import translate
from chatapp.store.messages import pack_tokens
from chatapp.store.migrations import MIGRATIONS
from chatapp.store.rows import ConversationTree, GenerationRow, MessageRow
from chatapp.store.search import index_text
from chatapp.store.session import Session, clean, make_uid
from chatapp.store.words import join_words


class Copies(Session):
    """The part of the store that copies, imports and measures."""

    @property
    def schema_version(self) -> int:
        """How many migrations the database has seen."""
        with self.reading() as db:
            return len(MIGRATIONS.applied(db))

    def disk_usage(self) -> int:
        """Bytes of the file and its write-ahead log; in memory: of its pages."""
        if self.path is None:
            with self.reading() as db:
                pages, size = (
                    db.execute(f"PRAGMA {name}").fetchone()[0]
                    for name in ("page_count", "page_size")
                )
            return int(pages * size)
        files = (self.path.with_name(self.path.name + suffix) for suffix in ("", "-wal", "-shm"))
        return sum(file.stat().st_size for file in files if file.exists())

    def find_damage(self) -> list[str]:
        """What SQLite's integrity check complains about; empty: nothing. Reads the whole file."""
        with self.reading() as db:
            found = [str(row[0]) for row in db.execute("PRAGMA integrity_check(20)")]
        return [] if found == ["ok"] else found

    def backup(self, path: Path) -> None:
        """Write a sound copy (mode 0600) to `path`, replacing a file there once it is whole.

        Works while answers are being written. Raises `StoreError` when `path` is the history
        itself or cannot be written.
        """
        path = path.expanduser().absolute()
        if self.path is not None and path.exists() and path.samefile(self.path):
            raise StoreError("A backup cannot replace the history itself.", "Name another file.")
        try:
            with replacement(path) as part:
                self._copy_to(part)
        except OSError as error:
            raise _cannot_write(path, error) from error

    def add_trees(self, trees: Iterable[ConversationTree]) -> list[int]:
        """Add whole conversations under new ids, all or none; the new ids.

        Messages keep their order, so parents must stand before their children. An answer that
        was being written becomes `interrupted`.
        """
        with self.writing() as db:
            return [_insert_tree(db, tree) for tree in trees]

    def _copy_to(self, path: Path) -> None:
        with self.reading() as db, translate(str(path)):
            target = sqlite3.connect(path, isolation_level=None)
            try:
                db.conn.backup(target)
                # The copy would otherwise be in WAL mode and leave two more files behind.
                target.execute("PRAGMA journal_mode = DELETE")
            finally:
                target.close()


def _cannot_write(path: Path, error: OSError) -> StoreError:
    return StoreError(
        f"The backup {path} cannot be written: {error.strerror or error}.",
        "Name a file in a folder you can write.",
    )


def _insert_tree(db: Database, tree: ConversationTree) -> int:
    given = tree.conversation
    conversation_id = insert_conversation(
        db, clean_title(given.title), clean(given.system), given.created_at, given.updated_at
    )
    ids: dict[int | None, int | None] = {None: None}
    for message in tree.messages:
        if message.parent_id not in ids or message.id in ids:
            raise StoreError(f"Message {message.id} has no place in its conversation.")
        ids[message.id] = _insert_message(db, conversation_id, ids[message.parent_id], message)
    if given.active_leaf_id not in ids:
        raise StoreError("The active message of a conversation is missing.")
    db.execute(
        "UPDATE conversations SET active_leaf_id = ? WHERE id = ?",
        (ids[given.active_leaf_id], conversation_id),
    )
    return conversation_id


def _insert_message(
    db: Database, conversation_id: int, parent_id: int | None, message: MessageRow
) -> int:
    content = clean(message.content)
    cursor = db.execute(
        "INSERT INTO messages (conversation_id, parent_id, role, status, created_at, tokens,"
        " reasoning, content, uid) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            conversation_id,
            parent_id,
            message.role,
            "interrupted" if message.status == "streaming" else message.status,
            message.created_at,
            pack_tokens(message.tokens),
            clean(message.reasoning),
            content,
            make_uid(),
        ),
    )
    message_id = cursor.lastrowid or 0
    index_text(db, "message_fts", message_id, join_words(content))
    for generation in message.generations:
        _insert_generation(db, message_id, generation)
    return message_id


def _insert_generation(db: Database, message_id: int, generation: GenerationRow) -> None:
    db.execute(
        "INSERT INTO generations (message_id, model_path, model_name, fingerprint, template_hash,"
        " params_json, seed, prompt_tokens, reused_tokens, completion_tokens, load_s, ttft_s,"
        " prefill_tps, decode_tps, finish_reason, error, created_at, offset)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            message_id,
            clean(generation.model_path),
            clean(generation.model_name),
            clean(generation.fingerprint),
            clean(generation.template_hash),
            clean(generation.params_json),
            generation.seed,
            generation.prompt_tokens,
            generation.reused_tokens,
            generation.completion_tokens,
            generation.load_s,
            generation.ttft_s,
            generation.prefill_tps,
            generation.decode_tps,
            clean(generation.finish_reason),
            clean(generation.error),
            generation.created_at,
            generation.offset,
        ),
    )
