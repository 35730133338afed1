"""What the user said, over all conversations: what the prompt has had before."""

from collections.abc import Collection

from sqlite_utils import Database

from chatapp.parts import text_of
from chatapp.store.parts import read_parts
from chatapp.store.rows import Prompt
from chatapp.store.search import build_match, parse_query

MAX_LOOKED_AT = 5000
"""Messages that are looked at for one answer: somebody may have said the same all the time."""

_BATCH = 100

# CROSS JOIN: newest first, so that the LIMIT ends the walk.
_NEWEST = """
SELECT m.id, m.conversation_id, m.created_at FROM messages m
CROSS JOIN conversations c ON c.id = m.conversation_id
WHERE m.role = 'user' AND m.id < :before AND c.deleted_at IS NULL
ORDER BY m.id DESC LIMIT :limit
"""
_MATCHING = """
SELECT m.id, m.conversation_id, m.created_at FROM message_fts
CROSS JOIN messages m ON m.id = message_fts.rowid
CROSS JOIN conversations c ON c.id = m.conversation_id
WHERE message_fts MATCH :match AND message_fts.rowid < :before
  AND m.role = 'user' AND c.deleted_at IS NULL
ORDER BY message_fts.rowid DESC LIMIT :limit
"""


def find_prompts(
    db: Database, query: str, limit: int, before: int | None, known: Collection[str]
) -> list[Prompt]:
    """What the user said and `query` finds, newest first, each text once."""
    phrases = parse_query(query)
    below = 2**63 - 1 if before is None else before
    seen, found = set(known), list[Prompt]()
    for _ in range(0, MAX_LOOKED_AT, _BATCH):
        rows = db.execute(
            _MATCHING if phrases else _NEWEST,
            {"match": build_match(phrases), "before": below, "limit": _BATCH},
        ).fetchall()
        parts = read_parts(db, [row[0] for row in rows])
        for message_id, conversation_id, created_at in rows:
            text = text_of(parts.get(message_id, ()))
            if text.strip() and text not in seen:
                seen.add(text)
                found.append(Prompt(message_id, conversation_id, text, created_at))
        if len(found) >= limit or len(rows) < _BATCH:
            break
        below = rows[-1][0]
    return found[:limit]
