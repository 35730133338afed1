"""JSON that loses nothing: every branch, part, status, token, time and figure.

Messages are numbered anew in each conversation; their random names (`uid`) say which they are
everywhere. One message a line, none of them kept once it is written. Images are base64. An answer
that is still being written is recorded as `interrupted`: in the file nobody goes on with it.
`reading.py` is the way back.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import Any

import msgspec

from chatapp.export.branch import Told
from chatapp.store.rows import MessageRow

FORMAT = "chatapp-conversations"
VERSION = 3


def write_json(conversations: Iterable[Told]) -> Iterator[str]:
    """An object with `format`, `version` and `conversations`, in pieces."""
    yield f'{{"format": "{FORMAT}", "version": {VERSION}, "conversations": ['
    gap = "\n"
    for told in conversations:
        yield gap
        gap = ",\n"
        yield from _write_conversation(told)
    yield "]}\n" if gap == "\n" else "\n]}\n"


def _write_conversation(told: Told) -> Iterator[str]:
    conversation = told.conversation
    head = _dump(
        {
            "uid": conversation.uid,
            "title": conversation.title,
            "system": conversation.system,
            "created_at": conversation.created_at,
            "updated_at": conversation.updated_at,
            "settings": conversation.settings,
            "pinned_at": conversation.pinned_at,
            "archived_at": conversation.archived_at,
            "tags": conversation.tags,
        }
    )
    yield f'{head[:-1]}, "messages": ['
    numbers: dict[int, int] = {}
    for message in told.messages:
        yield ",\n" if numbers else "\n"
        numbers[message.id] = len(numbers) + 1
        yield _dump(_describe_message(message, numbers))
    end = "\n" if numbers else ""
    # The number of the active message is known when all have been counted.
    yield f'{end}], "active": {_dump(numbers.get(conversation.active_leaf_id or 0))}}}'


def _describe_message(message: MessageRow, numbers: dict[int, int]) -> dict[str, Any]:
    return {
        "id": numbers[message.id],
        "uid": message.uid,
        "parent": None if message.parent_id is None else numbers[message.parent_id],
        "role": message.role,
        "status": "interrupted" if message.status == "streaming" else message.status,
        "created_at": message.created_at,
        "by_hand": message.by_hand,
        "pinned": message.pinned,
        "parts": msgspec.to_builtins(message.parts),
        "tokens": message.tokens,
        "generations": [
            {name: fact for name, fact in asdict(run).items() if name not in ("id", "message_id")}
            for run in message.generations
        ],
    }


def _dump(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)
