"""Full-text search over messages and titles.

A message is in the index exactly while its status is not `streaming`: a journalled answer would
otherwise be indexed twice a second. The index holds no text; `unindex` must be given the text
that was indexed. A query is words that must all occur, each also as a beginning of a longer
word; "in quotes" they are an exact phrase. No character in it is an operator, so nothing in it can
be a syntax error.
"""

import re
from collections.abc import Sequence
from typing import Literal, cast

from sqlite_utils import Database

from chatapp.conversation import Role
from chatapp.store.rows import SearchHit
from chatapp.store.session import Session
from chatapp.store.snippets import make_snippet
from chatapp.store.words import Phrase, compose, cut_words

CANDIDATES = 2000
"""Newest matches that are ranked; ranking all of a million messages would take seconds."""

_MAX_QUERY = 1000
_MAX_PHRASES = 32

Index = Literal["message_fts", "title_fts"]


def index_text(db: Database, index: Index, rowid: int, words: str) -> None:
    """Make a row searchable. `words` come from `join_words`, made before the transaction."""
    db.execute(f"INSERT INTO {index} (rowid, text) VALUES (?, ?)", (rowid, words))  # noqa: S608


def unindex_text(db: Database, index: Index, rowid: int, words: str) -> None:
    """Undo `index_text`; `words` must be the same."""
    db.execute(
        f"INSERT INTO {index} ({index}, rowid, text) VALUES ('delete', ?, ?)",  # noqa: S608
        (rowid, words),
    )


class Search(Session):
    """The searching part of the store."""

    def search(
        self, query: str, limit: int = 50, conversation_id: int | None = None
    ) -> list[SearchHit]:
        """Messages that match, prompts before answers, then the best first.

        Deleted conversations do not show. A query without a word in it finds nothing.
        """
        phrases = parse_query(query)
        if not phrases:
            return []
        with self.reading() as db:
            ids = [
                row[0]
                for row in db.execute(
                    _RANKED,
                    {
                        "match": build_match(phrases),
                        "conversation": conversation_id,
                        "candidates": CANDIDATES,
                        "limit": limit,
                    },
                )
            ]
            return [_fetch_hit(db, message_id, phrases) for message_id in ids]


# CROSS JOIN keeps SQLite from starting anywhere but at the index, newest first, so that the
# inner LIMIT ends the walk early.
_RANKED = """
SELECT id FROM (
  SELECT m.id AS id, m.role AS role, bm25(message_fts) AS rank
  FROM message_fts
  CROSS JOIN messages m ON m.id = message_fts.rowid
  CROSS JOIN conversations c ON c.id = m.conversation_id
  WHERE message_fts MATCH :match AND c.deleted_at IS NULL
    AND (:conversation IS NULL OR m.conversation_id = :conversation)
  ORDER BY message_fts.rowid DESC LIMIT :candidates
)
ORDER BY role != 'user', rank, id DESC LIMIT :limit
"""


def parse_query(query: str) -> list[Phrase]:
    """The phrases a message must all contain; empty: nothing to look for."""
    phrases: list[Phrase] = []
    for quoted, bare in re.findall(r'"([^"]*)"|([^\s"]+)', query[:_MAX_QUERY]):
        words = list(cut_words(compose(quoted or bare)))
        if not words:
            continue
        # One letter alone as a beginning would match nearly every message.
        longer = len(words) > 1 or len(words[0].text) > 1
        prefix = bool(bare) and longer and not words[-1].alone
        phrases.append(Phrase(tuple(word.text for word in words), prefix))
    return phrases[:_MAX_PHRASES]


def build_match(phrases: Sequence[Phrase]) -> str:
    """The FTS5 expression for `phrases`. Words hold no quotes, so quoting them is enough."""
    return " ".join(
        f'"{" ".join(phrase.words)}"{"*" if phrase.prefix else ""}' for phrase in phrases
    )


def _fetch_hit(db: Database, message_id: int, phrases: Sequence[Phrase]) -> SearchHit:
    row = db.execute(
        "SELECT m.conversation_id, c.title, m.role, m.created_at, m.content"
        " FROM messages m JOIN conversations c ON c.id = m.conversation_id WHERE m.id = ?",
        (message_id,),
    ).fetchone()
    return SearchHit(
        conversation_id=row[0],
        message_id=message_id,
        title=row[1],
        role=cast(Role, row[2]),
        snippet=make_snippet(row[4], phrases),
        created_at=row[3],
    )
