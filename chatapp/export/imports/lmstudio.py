"""LM Studio's chats: a folder of `*.conversation.json`, one chat a file.

A message has `versions`, of which `currentlySelected` is shown and is what the next messages follow
from. Answers are steps; those in the style `thinking` are thoughts. Nothing has an id: messages are
named by all that is said up to them.
"""

from typing import Any

from chatapp.conversation import Role
from chatapp.export.imports.draft import Draft, Reading, Said
from chatapp.export.imports.fields import (
    as_json,
    entries,
    entry,
    flag,
    from_json,
    image_from_bytes,
    name,
    seconds,
    text,
)
from chatapp.export.imports.wire import as_result, read_content
from chatapp.export.names import gist, make_uid
from chatapp.parts import File, Part, Reasoning, Text, ToolCall

_ROLES: dict[str, Role] = {"user": "user", "assistant": "assistant", "system": "system"}


def recognise(value: object) -> bool:
    """A chat has messages with versions; one in which nothing was said has its settings."""
    if not isinstance(value, dict) or not isinstance(value.get("messages"), list):
        return False
    messages = entries(value, "messages")
    return any(isinstance(one.get("versions"), list) for one in messages) or (
        not messages and "perChatPredictionConfig" in value
    )


def read(value: dict[str, Any], reading: Reading) -> Draft:
    """One chat; the versions that are not shown are branches that end."""
    said: list[Said] = []
    above: str | None = None
    current: str | None = None
    for message in entries(value, "messages"):
        versions = entries(message, "versions")
        chosen = message.get("currentlySelected")
        shown = chosen if type(chosen) is int and 0 <= chosen < len(versions) else 0
        for place, version in enumerate(versions):
            one = _read_version(version, above, reading)
            said.append(one)
            if place == shown:
                current = one.id
        above = current
    return Draft(
        # The millisecond in which a chat was begun is the name of its file, too.
        id=name(value, "createdAt") or (said[0].id if said else ""),
        said=said,
        current=current,
        title=text(value, "name"),
        system=text(value, "systemPrompt") or _read_system(value),
        created_at=seconds(value, "createdAt"),
        updated_at=seconds(value, "assistantLastMessagedAt", "userLastMessagedAt"),
        pinned=flag(value, "pinned"),
    )


def _read_system(value: dict[str, Any]) -> str:
    settings = entries(entry(value, "perChatPredictionConfig"), "fields")
    found = (one for one in settings if text(one, "key") == "llm.prediction.systemPrompt")
    return next((text(one, "value") for one in found), "")


def _read_version(version: dict[str, Any], above: str | None, reading: Reading) -> Said:
    role = _ROLES.get(text(version, "role"), "user")
    parts: list[Part] = []
    calls: dict[str, str] = {}
    for step in entries(version, "steps") or [version]:
        is_thought = text(entry(step, "style"), "type") == "thinking"
        for piece in entries(step, "content"):
            # The marks around a thought are pieces too, and no part of what is said.
            if piece.get("isStructural") is not True:
                parts += _read_piece(piece, calls, reading, is_thought=is_thought)
    merged = tuple(_merge(parts))
    return Said(
        id=make_uid(above or "", role, gist(merged)),
        parent=above,
        role=role,
        parts=merged,
        model=text(entry(version, "senderInfo"), "senderName") if role == "assistant" else "",
    )


def _read_piece(
    piece: dict[str, Any], calls: dict[str, str], reading: Reading, *, is_thought: bool
) -> list[Part]:
    """The parts of a piece; `calls` has the ids of requests by their numbers in the answer."""
    kind = text(piece, "type")
    if kind == "text":
        said = text(piece, "text")
        return [Reasoning(said) if is_thought else Text(said)] if said else []
    if kind == "toolCallRequest":
        call_id = name(piece, "toolCallRequestId", "callId")
        calls[name(piece, "callId")] = call_id
        return [ToolCall(call_id, text(piece, "name"), as_json(piece.get("parameters")))]
    if kind == "toolCallResult":
        content = piece.get("content")
        told = from_json(content) if isinstance(content, str) else None
        inside = read_content(told if isinstance(told, list) else content, reading)
        call_id = name(piece, "toolCallRequestId") or calls.get(name(piece, "callId"), "")
        return [as_result(call_id, inside)]
    if kind == "file":
        return _read_file(piece, reading)
    reading.lose(f"pieces of the kind {kind[:40] or 'unknown'}")
    return []


def _read_file(piece: dict[str, Any], reading: Reading) -> list[Part]:
    found = reading.find_asset(text(piece, "fileIdentifier"))
    if found is not None:
        image = image_from_bytes(found[1], found[0])
        if image is not None:
            return [image]
        if text(piece, "fileType") == "text":
            return [File(found[0], found[1].decode("utf-8-sig", "replace"))]
    reading.lose("files that LM Studio keeps elsewhere (in its folder user-files)")
    return []


def _merge(parts: list[Part]) -> list[Part]:
    """Pieces of one text as one part."""
    merged: list[Part] = []
    for part in parts:
        last = merged[-1] if merged else None
        if isinstance(part, Text) and isinstance(last, Text):
            merged[-1] = Text(last.text + part.text)
        elif isinstance(part, Reasoning) and isinstance(last, Reasoning):
            merged[-1] = Reasoning(last.text + part.text)
        else:
            merged.append(part)
    return merged
