"""Full-text search over titles, over what was said and, when asked for, over what was thought.

A message is in the index exactly while its status is not `streaming`: a journalled answer would
otherwise be indexed four times a second. The index holds no text; to take something out it must
be given the words that were put in. Files and what tools gave back are not indexed. A query is
words that must all occur, each also as a beginning of a longer word unless very many messages hold
it; "in quotes" they are an exact phrase. No character in it is an operator, so nothing in it can be
a syntax error. Of very many matches the newest `CANDIDATES` are ranked.
"""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Literal, NamedTuple, cast

from sqlite_utils import Database

from chatapp.conversation import Role
from chatapp.parts import Parts, Reasoning, Text
from chatapp.store.parts import read_parts
from chatapp.store.ranking import rank
from chatapp.store.rows import SearchHit
from chatapp.store.session import clean
from chatapp.store.snippets import make_snippet
from chatapp.store.spans import match_at_once, match_within
from chatapp.store.words import Phrase, compose, cut_words, join_words

CANDIDATES = 500
"""Newest matches that are ranked; ranking all of a million messages would take seconds."""

COMMON = 1000
"""Messages that contain a word which is common."""

_INDEXED = 3
"""Letters of a beginning that the index knows by itself; `prefix='2 3'` in the schema."""

_MAX_QUERY = 1000
_MAX_PHRASES = 32

Index = Literal["message_fts", "reasoning_fts", "title_fts"]


def index_text(db: Database, index: Index, rowid: int, words: str) -> None:
    """Make a row searchable. `words` come from `join_words`, made before the transaction."""
    db.execute(f"INSERT INTO {index} (rowid, text) VALUES (?, ?)", (rowid, words))  # noqa: S608


def unindex_text(db: Database, index: Index, rowid: int, words: str) -> None:
    """Undo `index_text`; `words` must be the same."""
    db.execute(
        f"INSERT INTO {index} ({index}, rowid, text) VALUES ('delete', ?, ?)",  # noqa: S608
        (rowid, words),
    )


Words = tuple[tuple[Index, str], ...]
"""What a message is found by, in each index."""


def words_of(parts: Parts) -> Words:
    """The words of what was said and thought; made before a transaction, for it takes time."""
    thought = join_words(clean(_join(parts, Reasoning)))
    said: Words = (("message_fts", join_words(clean(_join(parts, Text)))),)
    return (*said, ("reasoning_fts", thought)) if thought else said


def index_message(db: Database, message_id: int, words: Words) -> None:
    """Make a message searchable."""
    for index, text in words:
        index_text(db, index, message_id, text)


def unindex_message(db: Database, message_id: int) -> None:
    """Take a message out; its stored parts must be those it was indexed with."""
    parts = read_parts(db, [message_id]).get(message_id, ())
    for index, text in words_of(parts):
        unindex_text(db, index, message_id, text)


def find_messages(
    db: Database,
    query: str,
    limit: int,
    conversation_id: int | None,
    *,
    reasoning: bool,
    read: Callable[[Database, int], Parts],
) -> list[SearchHit]:
    """Messages that match, prompts before answers, then the best first.

    `read` gives the parts that are shown of one; it is found by those that were stored.
    """
    phrases = parse_query(query)
    if not phrases:
        return []
    index: Index = "reasoning_fts" if reasoning else "message_fts"
    asked = plan_query(db, phrases, index)
    if conversation_id is None:
        newest = _NEWEST.replace("message_fts", index)
        found = db.execute(newest, (asked.match, CANDIDATES)).fetchall()
    else:
        within = match_at_once if asked.is_costly else match_within
        ids = list(within(db, index, asked.match, conversation_id, CANDIDATES))
        found = db.execute(_WITHIN, (json.dumps(ids),)).fetchall()
    kind = Reasoning if reasoning else Text
    best = rank(db, dict(found), phrases, "reasoning" if reasoning else "text")[:limit]
    return [_make_hit(db, one, read(db, one), phrases, kind) for one in best]


# CROSS JOIN keeps SQLite from starting anywhere but at the index, newest first, so that the LIMIT
# ends the walk early.
_NEWEST = """
SELECT m.id, m.role FROM message_fts
CROSS JOIN messages m ON m.id = message_fts.rowid
CROSS JOIN conversations c ON c.id = m.conversation_id
WHERE message_fts MATCH ? AND c.deleted_at IS NULL
ORDER BY message_fts.rowid DESC LIMIT ?
"""
_WITHIN = """
SELECT m.id, m.role FROM json_each(?) wanted
CROSS JOIN messages m ON m.id = wanted.value
CROSS JOIN conversations c ON c.id = m.conversation_id
WHERE c.deleted_at IS NULL
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


class Query(NamedTuple):
    """What an index is asked."""

    match: str
    """The FTS5 expression."""
    all_match: str
    """The expression in which common words are beginnings too, for what is never much: titles."""
    is_costly: bool
    """To be asked once: all words that begin so are put together first, 40 ms for a beginning that
    is in half of a million messages. What is not costly ends with the first rows that are read."""


def plan_query(db: Database, phrases: Sequence[Phrase], index: Index = "message_fts") -> Query:
    """How `index` is asked for messages that contain all `phrases`.

    A word that `COMMON` messages contain is no longer a beginning of others: it would cost most
    where it finds enough by itself.
    """
    chosen = [
        replace(phrase, prefix=False)
        if _is_unindexed(phrase) and _is_common(db, phrase, index)
        else phrase
        for phrase in phrases
    ]
    return Query(build_match(chosen), build_match(phrases), any(map(_is_unindexed, chosen)))


def _is_unindexed(phrase: Phrase) -> bool:
    return phrase.prefix and len(phrase.words[-1]) > _INDEXED


def _is_common(db: Database, phrase: Phrase, index: Index) -> bool:
    row = db.execute(
        f"SELECT count(*) FROM (SELECT 1 FROM {index} WHERE {index} MATCH ? LIMIT ?)",  # noqa: S608
        (build_match([replace(phrase, prefix=False)]), COMMON),
    ).fetchone()
    return bool(row[0] == COMMON)


def build_match(phrases: Sequence[Phrase]) -> str:
    """The FTS5 expression for `phrases`. Words hold no quotes, so quoting them is enough."""
    return " ".join(
        f'"{" ".join(phrase.words)}"{"*" if phrase.prefix else ""}' for phrase in phrases
    )


def _join(parts: Parts, kind: type[Text | Reasoning]) -> str:
    # A blank line between parts: the end of one and the beginning of the next are two words.
    return "\n\n".join(part.text for part in parts if isinstance(part, kind))


def _make_hit(
    db: Database,
    message_id: int,
    parts: Parts,
    phrases: Sequence[Phrase],
    kind: type[Text | Reasoning],
) -> SearchHit:
    row = db.execute(
        "SELECT m.conversation_id, c.title, m.role, m.created_at"
        " FROM messages m JOIN conversations c ON c.id = m.conversation_id WHERE m.id = ?",
        (message_id,),
    ).fetchone()
    return SearchHit(
        conversation_id=row[0],
        message_id=message_id,
        title=row[1],
        role=cast(Role, row[2]),
        snippet=make_snippet(_join(parts, kind), phrases),
        created_at=row[3],
    )
