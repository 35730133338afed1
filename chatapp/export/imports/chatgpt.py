"""ChatGPT's export: `conversations.json`, or `conversations-000.json` and so on.

A conversation is a `mapping` of nodes with parents and children; `current_node` is the last one
shown. Calls of tools are messages to a recipient, what tools give back are messages of theirs.
Pictures and attached files are files beside the JSON, whose names begin with their ids.
"""

import json
from typing import Any

from chatapp.conversation import Role
from chatapp.export.imports.draft import Draft, Reading, Said
from chatapp.export.imports.fields import (
    entries,
    entry,
    flag,
    from_json,
    image_from_bytes,
    name,
    seconds,
    text,
)
from chatapp.parts import File, Image, Part, Reasoning, Text, ToolCall, ToolResult
from chatapp.store.rows import FinalStatus

_ROLES: dict[str, Role] = {
    "user": "user",
    "assistant": "assistant",
    "system": "system",
    "tool": "tool",
}
_MEMORY = ("user_profile", "user_instructions", "model_set_context")


def recognise(value: object) -> bool:
    """A conversation has a `mapping` of nodes."""
    return isinstance(value, dict) and isinstance(value.get("mapping"), dict)


def read(value: dict[str, Any], reading: Reading) -> Draft:
    """One conversation with all its branches."""
    nodes = {key: node for key, node in entry(value, "mapping").items() if isinstance(node, dict)}
    said = []
    calls: dict[str, ToolCall] = {}
    for key, parent in _walk(nodes):
        message = entry(nodes[key], "message")
        one = _read_message(key, parent, message, calls, reading)
        called = next((part for part in one.parts if isinstance(part, ToolCall)), None)
        if called is not None:
            calls[key] = called
        elif parent in calls:
            calls[key] = calls[parent]
        said.append(one)
    return Draft(
        id=name(value, "conversation_id", "id"),
        said=said,
        current=name(value, "current_node") or None,
        title=text(value, "title"),
        created_at=seconds(value, "create_time"),
        updated_at=seconds(value, "update_time"),
        pinned=flag(value, "is_starred"),
        archived=flag(value, "is_archived"),
    )


def _walk(nodes: dict[str, Any]) -> list[tuple[str, str | None]]:
    """Every node with its parent; parents first, children in the order of their lists."""
    order: dict[str, str | None] = {}
    waiting = [key for key, node in nodes.items() if name(node, "parent") not in nodes]
    for key in [*waiting, *nodes]:
        stack = [key]
        while stack:
            place = stack.pop()
            if place in order or place not in nodes:
                continue
            order[place] = name(nodes[place], "parent") or None
            children = nodes[place].get("children")
            if isinstance(children, list):
                stack += [child for child in reversed(children) if isinstance(child, str)]
    return list(order.items())


def _read_message(
    key: str,
    parent: str | None,
    message: dict[str, Any],
    calls: dict[str, ToolCall],
    reading: Reading,
) -> Said:
    role = _ROLES.get(text(entry(message, "author"), "role"), "assistant")
    content = entry(message, "content")
    kind = text(content, "content_type")
    if kind in ("user_editable_context", "model_editable_context"):
        role = "system"
    parts = [*_read_content(kind, content, reading), *_read_attachments(message, reading)]
    recipient = text(message, "recipient")
    if role == "assistant" and recipient not in ("", "all") and kind in ("code", "text"):
        asked = "".join(part.text for part in parts if isinstance(part, Text))
        if kind == "code":
            asked = text(content, "text")
        parts = [ToolCall(key, recipient, _as_arguments(asked))]
    elif role == "tool" and parts:
        call = calls.get(parent or "")
        inside = tuple(
            Text(part.text) if isinstance(part, Reasoning) else part
            for part in parts
            if isinstance(part, Text | File | Image | Reasoning)
        )
        parts = [ToolResult(call.id if call else key, inside, kind == "system_error")]
    return Said(
        id=key,
        parent=parent,
        role=role,
        parts=tuple(parts),
        created_at=seconds(message, "create_time"),
        model=text(entry(message, "metadata"), "model_slug"),
        status=_read_status(message),
    )


def _read_status(message: dict[str, Any]) -> FinalStatus:
    if text(message, "status") == "in_progress":
        return "interrupted"
    ended = text(entry(message, "metadata", "finish_details"), "type")
    return "stopped" if ended == "interrupted" else "complete"


def _as_arguments(asked: str) -> str:
    """Arguments as JSON: code that a tool is to run is no JSON by itself."""
    if isinstance(from_json(asked), dict):
        return asked
    return json.dumps({"input": asked}, ensure_ascii=False)


def _read_content(kind: str, content: dict[str, Any], reading: Reading) -> list[Part]:
    if kind == "thoughts":
        thoughts = entries(content, "thoughts")
        return [Reasoning(said) for said in map(_read_thought, thoughts) if said]
    if kind == "reasoning_recap":
        reading.lose("notes of how long ChatGPT thought")
        return []
    if kind in ("user_editable_context", "model_editable_context"):
        said = "\n\n".join(filter(None, (text(content, key) for key in _MEMORY)))
        return [Text(said)] if said else []
    if kind == "code":
        code = text(content, "text")
        language = text(content, "language").replace("unknown", "")
        return [Text(f"```{language}\n{code}\n```")] if code else []
    if kind == "tether_quote":
        label = text(content, "title", "url", "domain") or "quote"
        return [File(label, text(content, "text"))]
    listed = content.get("parts")
    if isinstance(listed, list):
        return [part for piece in listed for part in _read_piece(piece, reading)]
    said = text(content, "text", "result", "content")
    if not said and kind not in ("", "text", "execution_output", "tether_browsing_display"):
        reading.lose(f"messages of the kind {kind[:40]}")
    return [Text(said)] if said else []


def _read_thought(thought: dict[str, Any]) -> str:
    head, body = text(thought, "summary"), text(thought, "content")
    return f"**{head}**\n\n{body}\n\n" if head and body else body or head


def _read_piece(piece: object, reading: Reading) -> list[Part]:
    if isinstance(piece, str):
        return [Text(piece)] if piece else []
    if not isinstance(piece, dict):
        return []
    said = text(piece, "text")
    if said:
        return [Text(said)]
    pointer = text(piece, "asset_pointer")
    if not pointer or "audio" in text(piece, "content_type"):
        reading.lose("recordings of speech and video")
        return []
    found = reading.find_asset(pointer.rpartition("/")[2])
    image = image_from_bytes(found[1], found[0]) if found else None
    if image is None:
        reading.lose("images that the export does not hold")
    return [image] if image else []


def _read_attachments(message: dict[str, Any], reading: Reading) -> list[Part]:
    shown = {
        text(piece, "asset_pointer").rpartition("/")[2]
        for piece in entries(entry(message, "content"), "parts")
    }
    parts: list[Part] = []
    for attached in entries(entry(message, "metadata"), "attachments"):
        key = name(attached, "id")
        if key in shown:
            continue
        found = reading.find_asset(key) if key else None
        try:
            content = found[1].decode("utf-8-sig") if found else None
        except UnicodeDecodeError:
            content = None
        if content is None:
            reading.lose("attached files whose text the export does not hold")
        else:
            parts.append(File(text(attached, "name") or key, content))
    return parts
