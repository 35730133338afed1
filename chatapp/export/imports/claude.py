"""Claude's export: `conversations.json`, a list of conversations with `chat_messages`.

A message has blocks (text, thinking, tool_use, tool_result) and attachments, whose text stands in
`extracted_content`. Where messages name their parents they are a tree, else one line.
"""

from typing import Any

from chatapp.export.imports.draft import Draft, Reading, Said
from chatapp.export.imports.fields import (
    as_json,
    entries,
    flag,
    image_from_text,
    name,
    seconds,
    text,
)
from chatapp.parts import File, Image, Part, Reasoning, Text, ToolCall, ToolResult


def recognise(value: object) -> bool:
    """A conversation has a list of `chat_messages`."""
    return isinstance(value, dict) and isinstance(value.get("chat_messages"), list)


def read(value: dict[str, Any], reading: Reading) -> Draft:
    """One conversation with all its branches."""
    messages = entries(value, "chat_messages")
    is_tree = any("parent_message_uuid" in message for message in messages)
    said: list[Said] = []
    for number, message in enumerate(messages):
        above = said[-1].id if said else None
        said.append(
            Said(
                id=name(message, "uuid") or f"message {number}",
                parent=(name(message, "parent_message_uuid") or None) if is_tree else above,
                role="assistant" if text(message, "sender") == "assistant" else "user",
                parts=_read_parts(message, reading),
                created_at=seconds(message, "created_at"),
                model=text(value, "model") if text(message, "sender") == "assistant" else "",
            )
        )
    return Draft(
        id=name(value, "uuid"),
        said=said,
        current=name(value, "current_leaf_message_uuid") or None,
        title=text(value, "name"),
        created_at=seconds(value, "created_at"),
        updated_at=seconds(value, "updated_at"),
        pinned=flag(value, "is_starred"),
    )


def _read_parts(message: dict[str, Any], reading: Reading) -> tuple[Part, ...]:
    files: list[Part] = []
    for attached in entries(message, "attachments"):
        content = text(attached, "extracted_content")
        if content:
            files.append(File(text(attached, "file_name") or "attachment", content))
        else:
            reading.lose("attached files whose text the export does not hold")
    reading.lose("files that the export only names", len(entries(message, "files")))
    parts = [part for block in entries(message, "content") for part in _read_block(block, reading)]
    if not parts and text(message, "text"):
        parts = [Text(text(message, "text"))]
    return (*parts, *files)


def _read_block(block: dict[str, Any], reading: Reading) -> list[Part]:
    kind = text(block, "type")
    reading.lose("lists of sources", 1 if entries(block, "citations") else 0)
    if kind == "thinking":
        thought = text(block, "thinking")
        return [Reasoning(thought)] if thought else []
    if kind == "tool_use":
        call = ToolCall(name(block, "id"), text(block, "name"), as_json(block.get("input")))
        return [call]
    if kind == "tool_result":
        inside = tuple(_read_inside(block, reading))
        return [ToolResult(name(block, "tool_use_id", "id"), inside, block.get("is_error") is True)]
    said = text(block, "text")
    if said:
        return [Text(said)]
    if kind not in ("text", "token_budget"):
        reading.lose(f"blocks of the kind {kind[:40] or 'unknown'}")
    return []


def _read_inside(block: dict[str, Any], reading: Reading) -> list[Text | File | Image]:
    if isinstance(block.get("content"), str):
        return [Text(block["content"])]
    inside: list[Text | File | Image] = []
    for piece in entries(block, "content"):
        said = text(piece, "text")
        source = piece.get("source")
        image = image_from_text(text(source, "data")) if isinstance(source, dict) else None
        if said:
            inside.append(File(text(piece, "title"), said) if text(piece, "title") else Text(said))
        elif image is not None:
            inside.append(image)
        else:
            reading.lose("results of tools that are no text")
    return inside
