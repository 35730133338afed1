"""Which conversations a filter finds, in the order of the list.

A common word is in so many messages that asking each for its conversation would take half a
second for a million. So the newest `MOST` matches are looked up. If there are more, the list is
walked from its beginning: a conversation that is none of theirs and has older messages is asked
itself, and the walk ends when the page is full. A beginning of words that are in very many messages
can be asked for only once (see `search.plan_query`), and finds the newest `MOST`.
"""

import itertools
import json
from collections.abc import Iterator
from typing import Any

from sqlite_utils import Database

from chatapp.store.search import Query
from chatapp.store.spans import is_found_within

MOST = 3000
"""Messages that are looked up."""

_NEWEST = """
SELECT found.id, m.conversation_id FROM (
  SELECT rowid AS id FROM message_fts WHERE message_fts MATCH ? ORDER BY rowid DESC LIMIT ?
) found CROSS JOIN messages m ON m.id = found.id
"""
_FIRST = "SELECT min(id) FROM messages WHERE conversation_id = ?"


def find_ids(
    db: Database,
    asked: Query,
    wanted: str,
    order: str,
    parameters: dict[str, Any],
    limit: int,
    offset: int,
) -> list[int]:
    """The conversations `c` that fulfil `wanted` and that `asked` finds."""
    titles = db.execute("SELECT rowid FROM title_fts WHERE title_fts MATCH ?", (asked.all_match,))
    newest = db.execute(_NEWEST, (asked.match, MOST)).fetchall()
    known = {row[0] for row in titles} | {row[1] for row in newest}
    is_whole = asked.is_costly or len(newest) < MOST
    if is_whole:
        wanted += " AND c.id IN (SELECT value FROM json_each(:known))"
    cursor = db.execute(
        f"SELECT c.id FROM conversations c WHERE {wanted} {order}",  # noqa: S608
        parameters | {"known": json.dumps(list(known))},
    )
    ids: Iterator[int] = (row[0] for row in cursor)
    if not is_whole:
        ids = _ask_each(db, ids, asked.match, known, newest[-1][0])
    return list(itertools.islice(ids, offset, None if limit < 0 else offset + limit))


def _ask_each(
    db: Database, ids: Iterator[int], match: str, known: set[int], oldest: int
) -> Iterator[int]:
    for id_ in ids:
        if id_ in known:
            yield id_
            continue
        (first,) = db.execute(_FIRST, (id_,)).fetchone()
        if first is not None and first < oldest and is_found_within(db, match, id_):
            yield id_
