"""The parts of messages as rows, and back.

Text and thoughts stand in `text`; the text of a file and the bytes of an image in `blobs`, once
for all messages that hold them; everything else in `data`, as JSON. What a tool gave back is a
row of its own with the parts inside it in the rows that follow, one `depth` further down.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, cast

import msgspec
from sqlite_utils import Database

from chatapp.errors import StoreError
from chatapp.parts import File, Image, Part, Parts, Reasoning, Text, ToolCall, ToolResult
from chatapp.store.session import clean

_KINDS: dict[str, type[Part]] = {
    "text": Text,
    "reasoning": Reasoning,
    "file": File,
    "image": Image,
    "tool_call": ToolCall,
    "tool_result": ToolResult,
}
_NAMES = {kind: name for name, kind in _KINDS.items()}


class _Row(NamedTuple):
    depth: int
    kind: str
    data: str
    blob: str | None
    """The SHA-256 of the bytes, in hexadecimal."""
    text: str


def write_parts(db: Database, message_id: int, parts: Parts) -> None:
    """Make `parts` the parts of a message. Rows that are as they should be are not written.

    So a journal writes the row of the part that grew, and no other. A blob is put right before its
    row: the row before may have had it until now, and a blob that no row has is deleted.
    """
    stored = db.execute(
        "SELECT depth, kind, data, blob, text FROM parts WHERE message_id = ? ORDER BY position",
        (message_id,),
    ).fetchall()
    n_rows = 0
    for position, row in enumerate(row for part in parts for row in _flatten(db, part, 0)):
        n_rows = position + 1
        if position >= len(stored) or row != stored[position]:
            db.execute(_PUT, (message_id, position, *row))
    if len(stored) > n_rows:
        db.execute("DELETE FROM parts WHERE message_id = ? AND position >= ?", (message_id, n_rows))


_PUT = """
INSERT INTO parts (message_id, position, depth, kind, data, blob, text)
VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (message_id, position) DO UPDATE SET depth = excluded.depth, kind = excluded.kind,
  data = excluded.data, blob = excluded.blob, text = excluded.text
"""


def read_parts(db: Database, message_ids: Sequence[int]) -> dict[int, Parts]:
    """The parts of these messages, by message; one that says nothing has no entry."""
    found: defaultdict[int, list[tuple[int, Part]]] = defaultdict(list)
    for message_id, *row in db.execute(_GET, (json.dumps(list(message_ids)),)):
        found[message_id].append((row[0], _read(message_id, *row[1:])))
    return {message_id: _nest(rows) for message_id, rows in found.items()}


_GET = """
SELECT p.message_id, p.depth, p.kind, p.data, b.bytes, p.text
FROM json_each(?) wanted CROSS JOIN parts p ON p.message_id = wanted.value
LEFT JOIN blobs b ON b.sha256 = p.blob
ORDER BY p.message_id, p.position
"""


def _flatten(db: Database, part: Part, depth: int) -> Iterator[_Row]:
    facts = msgspec.structs.asdict(part)
    text, blob = "", None
    inner: Parts = ()
    if isinstance(part, Text | Reasoning):
        text = clean(facts.pop("text"))
    elif isinstance(part, File):
        blob = _put_blob(db, clean(facts.pop("text")).encode())
    elif isinstance(part, Image):
        blob = _put_blob(db, facts.pop("data"))
    elif isinstance(part, ToolResult):
        inner = facts.pop("parts")
    kept = {name: clean(fact) if isinstance(fact, str) else fact for name, fact in facts.items()}
    data = msgspec.json.encode(kept).decode()
    yield _Row(depth, _NAMES[type(part)], data, blob, text)
    for below in inner:
        yield from _flatten(db, below, depth + 1)


def _put_blob(db: Database, content: bytes) -> str:
    name = hashlib.sha256(content).hexdigest()
    db.execute("INSERT OR IGNORE INTO blobs (sha256, bytes) VALUES (?, ?)", (name, content))
    return name


def _read(message_id: int, kind: str, data: str, blob: bytes | None, text: str) -> Part:
    try:
        facts: dict[str, Any] = msgspec.json.decode(data)
        if kind in ("text", "reasoning"):
            facts["text"] = text
        elif kind == "file":
            facts["text"] = (blob or b"").decode()
        elif kind == "image":
            facts["data"] = blob
        return msgspec.convert(facts, _KINDS[kind])
    except (ValueError, KeyError, TypeError) as error:  # msgspec's own are ValueErrors
        raise StoreError(
            f"A part of message {message_id} is damaged ({error}). It was left as it is.",
            "Put a backup in the history's place, or rescue it with: sqlite3 FILE .recover",
        ) from error


def _nest(rows: Sequence[tuple[int, Part]]) -> Parts:
    parts: list[Part] = []
    for depth, part in rows:
        last = parts[-1] if parts else None
        if depth and isinstance(last, ToolResult):
            inner = (*last.parts, cast(Text | File | Image, part))
            parts[-1] = msgspec.structs.replace(last, parts=inner)
        else:
            parts.append(part)
    return tuple(parts)
