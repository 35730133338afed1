"""The export of llama.cpp's web interface: JSON lines, a file for each chat, several in a ZIP.

A line of the type `session` opens a chat, lines of the type `message` are its messages. Older
exports are objects with `conv` and `messages`, alone or in a list. Messages are a tree below one
of the type `root`.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from chatapp.conversation import Role
from chatapp.export.imports.draft import Draft, Reading, Said
from chatapp.export.imports.fields import entries, entry, flag, image_from_text, name, seconds, text
from chatapp.export.imports.wire import as_result, read_calls, read_content, read_thoughts
from chatapp.parts import File, Part

_ROLES: dict[str, Role] = {
    "user": "user",
    "assistant": "assistant",
    "system": "system",
    "tool": "tool",
}


def gather(values: Iterable[object]) -> Iterator[object]:
    """Values of a file, with the lines of a session made into one object; others as they are."""
    session: dict[str, Any] | None = None
    for value in values:
        kind = value.get("type") if isinstance(value, dict) else None
        if kind == "session":
            if session is not None:
                yield session
            session = {"conv": value, "messages": []}
        elif kind == "message" and session is not None and isinstance(value, dict):
            session["messages"].append(value.get("message"))
        elif session is None or not isinstance(value, dict) or "type" not in value:
            yield value
    if session is not None:
        yield session


def recognise(value: object) -> bool:
    """A chat has `conv` and `messages`."""
    return (
        isinstance(value, dict)
        and isinstance(value.get("conv"), dict)
        and isinstance(value.get("messages"), list)
    )


def read(value: dict[str, Any], reading: Reading) -> Draft:
    """One chat with all its branches."""
    conversation = entry(value, "conv")
    said: list[Said] = []
    for number, message in enumerate(entries(value, "messages")):
        if text(message, "type") == "root":
            continue
        key = name(message, "id")
        parent = name(message, "parent") or None
        if not key:  # the first versions gave no ids
            key = f"message {number}"
            parent = said[-1].id if said else None
        said.append(_read_message(key, parent, message, reading))
    return Draft(
        id=name(conversation, "id"),
        said=said,
        current=name(conversation, "currNode") or None,
        title=text(conversation, "name"),
        updated_at=seconds(conversation, "lastModified"),
        pinned=flag(conversation, "pinned"),
    )


def _read_message(key: str, parent: str | None, message: dict[str, Any], reading: Reading) -> Said:
    role = _ROLES.get(text(message, "role"), "user")
    parts: list[Part] = [
        *read_thoughts(message),
        *read_content(message.get("content"), reading),
        *read_calls(message.get("toolCalls")),
    ]
    for attached in entries(message, "extra"):
        parts += _read_extra(attached, reading)
    if role == "tool":
        parts = [as_result(name(message, "toolCallId"), parts)]
    predicted = entry(message, "timings").get("predicted_n")
    return Said(
        id=key,
        parent=parent,
        role=role,
        parts=tuple(parts),
        created_at=seconds(message, "timestamp"),
        model=text(message, "model") if role == "assistant" else "",
        n_tokens=predicted if type(predicted) is int and 0 < predicted < 2**31 else 0,
    )


def _read_extra(attached: dict[str, Any], reading: Reading) -> list[Part]:
    label = text(attached, "name") or "attachment"
    image = image_from_text(text(attached, "base64Url"), label)
    if image is not None:
        return [image]
    content = text(attached, "content")
    if content:
        return [File(label, content)]
    reading.lose("attachments that are neither text nor images")
    return []
