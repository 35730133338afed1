"""JSON that loses nothing: every branch, status, token, time and figure.

Messages are numbered anew in each conversation, so that the same conversation gives the same
file whatever ids it had. One message a line. An answer that is still being written is recorded
as `interrupted`: in the file nobody goes on with it. `reading.py` is the way back.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from chatapp.store.rows import ConversationTree, MessageRow

FORMAT = "chatapp-conversations"
VERSION = 1


def render_json(trees: Sequence[ConversationTree]) -> str:
    """An object with `format`, `version` and `conversations`."""
    head = f'{{"format": "{FORMAT}", "version": {VERSION}, "conversations": ['
    return _enclose(head, [_render_tree(tree) for tree in trees], "]}") + "\n"


def _render_tree(tree: ConversationTree) -> str:
    conversation = tree.conversation
    numbers = {message.id: number for number, message in enumerate(tree.messages, start=1)}
    head = _dump(
        {
            "title": conversation.title,
            "system": conversation.system,
            "created_at": conversation.created_at,
            "updated_at": conversation.updated_at,
            "active": _renumber(numbers, conversation.active_leaf_id),
        }
    )
    lines = [_dump(_describe_message(message, numbers)) for message in tree.messages]
    return _enclose(f'{head[:-1]}, "messages": [', lines, "]}")


def _describe_message(message: MessageRow, numbers: dict[int, int]) -> dict[str, Any]:
    generation = None
    if message.generation is not None:
        generation = asdict(message.generation)
        del generation["id"], generation["message_id"]
    return {
        "id": numbers[message.id],
        "parent": _renumber(numbers, message.parent_id),
        "role": message.role,
        "status": "interrupted" if message.status == "streaming" else message.status,
        "created_at": message.created_at,
        "content": message.content,
        "reasoning": message.reasoning,
        "tokens": message.tokens,
        "generation": generation,
    }


def _renumber(numbers: dict[int, int], message_id: int | None) -> int | None:
    return None if message_id is None else numbers[message_id]


def _dump(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _enclose(head: str, lines: Sequence[str], tail: str) -> str:
    return "\n".join([head, ",\n".join(lines), tail]) if lines else head + tail
