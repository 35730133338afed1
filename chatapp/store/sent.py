"""What the user said, over all conversations: what the prompt has had before."""

from collections.abc import Collection

from sqlite_utils import Database

from chatapp.parts import text_of
from chatapp.store.parts import read_parts
from chatapp.store.rows import Prompt
from chatapp.store.search import parse_query, plan_query

MAX_LOOKED_AT = 5000
"""Messages that are looked at for one answer: somebody may have said the same all the time, or
only models may have said the word that is looked for."""

_BATCH = 500
"""Messages that are looked at first; then four times as many."""

# CROSS JOIN: newest first, so that the LIMIT ends the walk. Each row is a message that was looked
# at; only what the user said, in a conversation that is there, has a conversation.
_NEWEST = """
SELECT m.id, iif(c.deleted_at IS NULL, c.id, NULL), m.created_at FROM messages m
CROSS JOIN conversations c ON c.id = m.conversation_id
WHERE m.role = 'user' AND m.id < :before
ORDER BY m.id DESC LIMIT :limit
"""
_MATCHING = """
SELECT m.id, iif(c.deleted_at IS NULL AND m.role = 'user', c.id, NULL), m.created_at
FROM message_fts
CROSS JOIN messages m ON m.id = message_fts.rowid
CROSS JOIN conversations c ON c.id = m.conversation_id
WHERE message_fts MATCH :match AND message_fts.rowid < :before
ORDER BY message_fts.rowid DESC LIMIT :limit
"""


def find_prompts(
    db: Database, query: str, limit: int, before: int | None, known: Collection[str]
) -> list[Prompt]:
    """What the user said and `query` finds, newest first, each text once."""
    phrases = parse_query(query)
    asked = plan_query(db, phrases)
    left = MAX_LOOKED_AT
    batch = MAX_LOOKED_AT // 2 if asked.is_costly else _BATCH
    below = 2**63 - 1 if before is None else before
    seen, found = set(known), list[Prompt]()
    while left > 0:
        rows = db.execute(
            _MATCHING if phrases else _NEWEST,
            {"match": asked.match, "before": below, "limit": batch},
        ).fetchall()
        for prompt in _read(db, [row for row in rows if row[1] is not None]):
            if prompt.text.strip() and prompt.text not in seen:
                seen.add(prompt.text)
                found.append(prompt)
        if len(found) >= limit or len(rows) < batch or asked.is_costly:
            break
        below, left, batch = rows[-1][0], left - batch, min(4 * batch, left - batch)
    return found[:limit]


def _read(db: Database, rows: list[tuple[int, int, float]]) -> list[Prompt]:
    parts = read_parts(db, [row[0] for row in rows])
    return [Prompt(row[0], row[1], text_of(parts.get(row[0], ())), row[2]) for row in rows]
