"""Where a conversation stands among the others: pinned, archived, tagged. `Store.labels`."""

import time
import unicodedata
from collections.abc import Iterable, Sequence

from sqlite_utils import Database

from chatapp.errors import StoreError
from chatapp.store.conversations import fetch_conversation, set_column
from chatapp.store.session import Session, clean
from chatapp.text import cut_text, one_line

MAX_TAG = 40
"""Characters of a tag that are kept."""


def clean_tag(tag: str) -> str:
    """One line in small letters without a `#` before it, at most `MAX_TAG` characters.

    Empty if nothing of it is left.
    """
    line = unicodedata.normalize("NFC", one_line(clean(tag[:400]))).lower()
    return cut_text(unicodedata.normalize("NFC", line).lstrip("# "), MAX_TAG).strip()


def write_tags(db: Database, conversation_id: int, tags: Iterable[str]) -> None:
    """Add tags, in whatever form they come; those that are there already stay."""
    rows = [(conversation_id, tag) for tag in map(clean_tag, tags) if tag]
    db.conn.executemany("INSERT OR IGNORE INTO tags (conversation_id, tag) VALUES (?, ?)", rows)


class Labels:
    """Pins, the archive and tags. Labelling does not count as use of a conversation."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def pin(self, *conversation_ids: int) -> None:
        """Put these before all that is not pinned: all of them or none."""
        self._set(conversation_ids, "pinned_at", time.time())

    def unpin(self, *conversation_ids: int) -> None:
        """Undo `pin`."""
        self._set(conversation_ids, "pinned_at", None)

    def archive(self, *conversation_ids: int) -> None:
        """Put these away, all or none: out of the list, still found by search."""
        self._set(conversation_ids, "archived_at", time.time())

    def unarchive(self, *conversation_ids: int) -> None:
        """Undo `archive`."""
        self._set(conversation_ids, "archived_at", None)

    def set_tags(self, conversation_id: int, tags: Iterable[str]) -> tuple[str, ...]:
        """Give it these tags and no others; the tags as they are kept."""
        with self._session.writing() as db:
            fetch_conversation(db, conversation_id)
            db.execute("DELETE FROM tags WHERE conversation_id = ?", (conversation_id,))
            write_tags(db, conversation_id, tags)
            return fetch_conversation(db, conversation_id).tags

    def add_tag(self, conversation_id: int, tag: str) -> str:
        """Give it one more tag; the tag as it is kept. Raises `StoreError` for an empty one."""
        cleaned = clean_tag(tag)
        if not cleaned:
            raise StoreError("A tag needs a letter.", "Write a word, such as: work")
        with self._session.writing() as db:
            fetch_conversation(db, conversation_id)
            write_tags(db, conversation_id, [cleaned])
        return cleaned

    def remove_tag(self, conversation_id: int, tag: str) -> None:
        """Take a tag away; one that is not there changes nothing."""
        with self._session.writing() as db:
            fetch_conversation(db, conversation_id)
            db.execute(
                "DELETE FROM tags WHERE conversation_id = ? AND tag = ?",
                (conversation_id, clean_tag(tag)),
            )

    def list_tags(self) -> list[tuple[str, int]]:
        """Every tag of a conversation that is not deleted, with how many have it, by name."""
        with self._session.browsing() as db:
            rows = db.execute(
                "SELECT t.tag, count(*) FROM tags t CROSS JOIN conversations c"
                " ON c.id = t.conversation_id WHERE c.deleted_at IS NULL"
                " GROUP BY t.tag ORDER BY t.tag"
            )
            return [(tag, count) for tag, count in rows.fetchall()]

    def _set(self, conversation_ids: Sequence[int], column: str, value: float | None) -> None:
        with self._session.writing() as db:
            set_column(db, conversation_ids, column, value)
