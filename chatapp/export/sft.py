"""Chats to fine-tune a model on, a line of JSON each: what one has corrected, and may teach.

Promises OpenAI's form (`messages`, each with `role` and `content`), the system prompt first, files
as the model was given them. An answer that was cut off has `weight` 0, which means that it is read
and not learned; `corrections` gives it to every answer but those that somebody edited, or chose
among several. What is not text alone cannot be written so; `refuse` says why.
"""

import json
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any

from chatapp.engine.content import as_text
from chatapp.engine.protocol import ChatMessage
from chatapp.errors import UsageError
from chatapp.export.branch import Told
from chatapp.export.registry import Format
from chatapp.parts import Image, ToolCall, ToolResult
from chatapp.store.rows import MessageRow

_KINDS: dict[type, str] = {
    Image: "a picture",
    ToolCall: "a call of a tool",
    ToolResult: "the result of a tool",
}


def is_corrected(message: MessageRow) -> bool:
    """Whether it is an answer in the user's words, or one of several that is shown."""
    is_chosen = message.sibling_count > 1 and message.status == "complete"
    return message.role == "assistant" and (message.by_hand or is_chosen)


def refuse(messages: Iterable[MessageRow]) -> str:
    """What in the shown branch cannot be written as text, in words; empty where all can."""
    for message in messages:
        for part in message.parts:
            if type(part) in _KINDS:
                return _KINDS[type(part)]
    return ""


def _write(conversations: Iterable[Told], *, corrections: bool) -> Iterator[str]:
    for told in conversations:
        rows = list(told.messages)
        system = told.conversation.system.strip()
        messages = [{"role": "system", "content": system}] if system else []
        try:
            messages += [line for row in rows if (line := _describe(row, corrections))]
        except UsageError:
            continue
        while messages and messages[-1]["role"] != "assistant":
            messages.pop()
        if any(line["role"] == "assistant" and line.get("weight", 1) for line in messages):
            yield f"{json.dumps({'messages': messages}, ensure_ascii=False)}\n"


def _describe(row: MessageRow, corrections: bool) -> dict[str, Any] | None:
    """One message; None where it says nothing. Raises `UsageError` for what is not text."""
    content = as_text(ChatMessage(row.role, row.parts)).content.strip()
    if not content:
        return None
    line: dict[str, Any] = {"role": row.role, "content": content}
    if row.role == "assistant":
        if row.reasoning.strip():
            line["reasoning_content"] = row.reasoning.strip()
        if row.status != "complete" or (corrections and not is_corrected(row)):
            line["weight"] = 0
    return line


ANSWERS = Format(
    "sft", ".jsonl", "Every answer of the shown branch.", partial(_write, corrections=False)
)
CORRECTIONS = Format(
    "sft",
    ".jsonl",
    "What was edited or chosen in the shown branch; conversations without it are left out.",
    partial(_write, corrections=True),
)
