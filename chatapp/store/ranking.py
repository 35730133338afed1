"""The order of what a search found: prompts, then whatever is more about the words.

SQLite's own `bm25` counts in how many messages each word is by walking all of them, 40 ms for a
word that is in each of a million. That weighs the words of a query against each other; here every
word weighs the same, and a message is more about a word the oftener it stands there for the length
of the text. Words are counted as letters in it, folded as cheaply as can be: close enough to sort.
"""

import json
import unicodedata
from collections import defaultdict
from collections.abc import Mapping, Sequence

from sqlite_utils import Database

from chatapp.conversation import Role
from chatapp.store.words import Phrase

_COUNTED = 4000
"""Characters of a part in which words are counted."""

_OFTEN, _LENGTH = 1.2, 0.75
"""How soon more of a word stops to count, and how much a long text costs: as `bm25` has them."""

_TEXTS = f"""
SELECT p.message_id, substr(p.text, 1, {_COUNTED}) FROM json_each(?) wanted
CROSS JOIN parts p ON p.message_id = wanted.value
WHERE p.kind = ? AND p.depth = 0
"""  # noqa: S608


def rank(
    db: Database, roles: Mapping[int, Role], phrases: Sequence[Phrase], kind: str
) -> list[int]:
    """The messages with these roles, prompts first, then the best, then the newest."""
    texts: defaultdict[int, str] = defaultdict(str)
    for message_id, text in db.execute(_TEXTS, (json.dumps(list(roles)), kind)):
        texts[message_id] += _fold(text)
    mean = sum(map(len, texts.values())) / max(1, len(texts)) or 1.0
    scores = {one: _score(texts[one], phrases, mean) for one in roles}
    return sorted(roles, key=lambda one: (roles[one] != "user", -scores[one], -one))


def _score(text: str, phrases: Sequence[Phrase], mean: float) -> float:
    cost = _OFTEN * (1 - _LENGTH + _LENGTH * len(text) / mean)
    counts = (min(text.count(word) for word in phrase.words) for phrase in phrases)
    return sum(count / (count + cost) for count in counts)


def _fold(text: str) -> str:
    return text.lower() if text.isascii() else unicodedata.normalize("NFKD", text).casefold()
