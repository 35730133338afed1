"""Matches inside one conversation, without walking those of all the others.

The index knows message ids and no conversations, and a common word is in a million messages. But
the messages of a conversation stand in a few runs of ids, for they were written one after the
other; the index is asked about these only.
"""

import itertools
from collections.abc import Iterator

from sqlite_utils import Database

MAX_SPANS = 64
"""Runs of a conversation that are asked about one by one; with more, neighbours are one run."""

MAX_MATCHES = 20_000
"""Messages that are looked at where the index is asked once."""

_FIRST_GAP = 32

# Oldest first: from the other end FTS5 reads a whole page of the index to find its place, which
# takes eight times as long.
_MATCHES = """
SELECT message_fts.rowid FROM message_fts
CROSS JOIN messages m ON m.id = message_fts.rowid
WHERE message_fts MATCH ? AND message_fts.rowid BETWEEN ? AND ? AND m.conversation_id = ?
ORDER BY message_fts.rowid LIMIT ?
"""


def match_within(
    db: Database, index: str, match: str, conversation_id: int, limit: int
) -> Iterator[int]:
    """The newest messages of a conversation that `index` finds, at most `limit`, newest first."""
    sql = _MATCHES.replace("message_fts", index)
    for first, last in find_spans(db, conversation_id):
        found = db.execute(sql, (match, first, last, conversation_id, -1)).fetchall()
        yield from (row[0] for row in reversed(found[-limit:]))
        limit -= len(found)
        if limit <= 0:
            return


def is_found_within(db: Database, match: str, conversation_id: int) -> bool:
    """Whether what was said in a conversation matches anywhere."""
    return any(
        db.execute(_MATCHES, (match, first, last, conversation_id, 1)).fetchone()
        for first, last in find_spans(db, conversation_id)
    )


def match_at_once(
    db: Database, index: str, match: str, conversation_id: int, limit: int
) -> Iterator[int]:
    """As `match_within`, for what costs much each time: the index is asked once.

    Of the matches that stand between the first and the last message of the conversation, in
    whichever, the newest `MAX_MATCHES` are looked at.
    """
    ids = _find_ids(db, conversation_id)
    if not ids:
        return
    rows = db.execute(
        f"SELECT rowid FROM {index} WHERE {index} MATCH ? AND rowid BETWEEN ? AND ?"  # noqa: S608
        " ORDER BY rowid DESC LIMIT ?",
        (match, ids[-1], ids[0], MAX_MATCHES),
    )
    own = set(ids)
    yield from itertools.islice((row[0] for row in rows if row[0] in own), limit)


def find_spans(db: Database, conversation_id: int) -> list[tuple[int, int]]:
    """First and last ids of runs that hold all messages of a conversation, the newest first."""
    ids = _find_ids(db, conversation_id)
    gap = _FIRST_GAP
    spans = _divide(ids, gap)
    while len(spans) > MAX_SPANS:
        gap *= 4
        spans = _divide(ids, gap)
    return spans


def _find_ids(db: Database, conversation_id: int) -> list[int]:
    cursor = db.execute(
        "SELECT id FROM messages WHERE conversation_id = ? ORDER BY id DESC", (conversation_id,)
    )
    return [row[0] for row in cursor]


def _divide(ids: list[int], gap: int) -> list[tuple[int, int]]:
    spans: list[tuple[int, int]] = []
    last = before = 0
    for id_ in ids:
        if not last:
            last = id_
        elif before - id_ > gap:
            spans.append((before, last))
            last = id_
        before = id_
    return [*spans, (before, last)] if ids else []
