"""Open WebUI's export: a list of chats, each with a tree in `chat.history`.

`history.messages` has the messages by id, `history.currentId` the last one shown. Thoughts and
calls of tools stand in the text as `<details>` (HTML-escaped), in newer versions also in `output`.
"""

import html
import re
from typing import Any

from chatapp.conversation import Role
from chatapp.export.imports.draft import Draft, Reading, Said
from chatapp.export.imports.fields import (
    as_json,
    entries,
    entry,
    flag,
    from_json,
    image_from_text,
    name,
    seconds,
    text,
    texts,
)
from chatapp.export.imports.wire import as_result, read_content
from chatapp.parts import File, Part, Reasoning, Text, ToolCall

_ROLES: dict[str, Role] = {
    "user": "user",
    "assistant": "assistant",
    "system": "system",
    "tool": "tool",
}
_DETAILS = re.compile(
    r'<details type="(reasoning|tool_calls|code_interpreter)"([^<>]*)>\n?(.*?)</details>\n?',
    re.DOTALL,
)
_END = "</details>"
_SUMMARY = re.compile(r"<summary>.*?</summary>\n?", re.DOTALL)
_ATTRIBUTE = re.compile(r'([a-z_]+)="([^"]*)"')


def recognise(value: object) -> bool:
    """A chat has a `history` of messages, or at least a list of them under `chat`."""
    chat = _chat_of(value)
    return isinstance(entry(chat, "history").get("messages"), dict) or (
        chat is not value and isinstance(chat.get("messages"), list)
    )


def _chat_of(value: object) -> dict[str, Any]:
    chat = entry(value, "chat")
    return chat or (value if isinstance(value, dict) else {})


def read(value: dict[str, Any], reading: Reading) -> Draft:
    """One chat with all its branches."""
    chat = _chat_of(value)
    tree = entry(chat, "history", "messages")
    said: list[Said] = []
    if tree:
        for key, message in tree.items():
            if isinstance(message, dict):
                parent = name(message, "parentId") or None
                said.append(_read_message(key, parent, message, reading))
    else:
        for number, message in enumerate(entries(chat, "messages")):
            key = name(message, "id") or f"message {number}"
            said.append(_read_message(key, said[-1].id if said else None, message, reading))
    return Draft(
        id=name(value, "id") or name(chat, "id"),
        said=said,
        current=name(entry(chat, "history"), "currentId") or None,
        title=text(value, "title") or text(chat, "title"),
        system=text(entry(chat, "params"), "system") or text(chat, "system"),
        created_at=seconds(value, "created_at") or seconds(chat, "timestamp"),
        updated_at=seconds(value, "updated_at"),
        pinned=flag(value, "pinned"),
        archived=flag(value, "archived"),
        tags=texts(entry(value, "meta"), "tags"),
    )


def _read_message(key: str, parent: str | None, message: dict[str, Any], reading: Reading) -> Said:
    role = _ROLES.get(text(message, "role"), "user")
    parts = _read_output(entries(message, "output"), reading)
    if not parts:
        parts = read_content(message.get("content"), reading)
        if role == "assistant":
            parts = [piece for part in parts for piece in _unfold(part)]
    for attached in entries(message, "files"):
        parts += _read_file(attached, reading)
    sources = entries(message, "sources") or entries(message, "citations")
    reading.lose("lists of sources", 1 if sources else 0)
    error = message.get("error")
    said_wrong = error if isinstance(error, str) else text(error, "content", "message", "detail")
    unfinished = role == "assistant" and message.get("done") is False
    return Said(
        id=key,
        parent=parent,
        role=role,
        parts=tuple(parts),
        created_at=seconds(message, "timestamp"),
        model=text(message, "model", "modelName") if role == "assistant" else "",
        status="failed" if said_wrong else "interrupted" if unfinished else "complete",
        error=said_wrong,
    )


def _unfold(part: Part) -> list[Part]:
    """Text with `<details>` in it as text, thoughts, calls and results."""
    if not isinstance(part, Text) or "<details" not in part.text:
        return [part]
    parts: list[Part] = []
    position = 0
    # Behind the last end nothing is looked for: each beginning there would be followed to the end
    # of the text, which takes the square of its length.
    end = part.text.rfind(_END) + len(_END) + 1
    for found in _DETAILS.finditer(part.text, 0, end):
        before = part.text[position : found.start()].strip("\n")
        if before.strip():
            parts.append(Text(before))
        position = found.end()
        attributes = {key: html.unescape(held) for key, held in _ATTRIBUTE.findall(found[2])}
        body = html.unescape(_SUMMARY.sub("", found[3], count=1)).strip("\n")
        parts += _read_details(found[1], attributes, body)
    rest = part.text[position:].strip("\n") if position else part.text
    return [*parts, Text(rest)] if rest.strip() else parts


def _read_details(kind: str, attributes: dict[str, str], body: str) -> list[Part]:
    if kind == "reasoning":
        lines = [line.removeprefix(">").removeprefix(" ") for line in body.split("\n")]
        return [Reasoning("\n".join(lines))] if body else []
    call_id = attributes.get("id", "")
    if kind == "code_interpreter":
        result = attributes.get("output", "")
        call = ToolCall(call_id, "code_interpreter", as_json({"code": body}))
    else:
        result = attributes.get("result", "") or body
        asked = attributes.get("arguments", "{}")
        # The arguments are JSON, and in most versions a text in JSON that holds JSON.
        inner = from_json(asked)
        call = ToolCall(
            call_id, attributes.get("name", ""), inner if isinstance(inner, str) else asked
        )
    if not result:
        return [call]
    told = from_json(result)
    return [call, as_result(call_id, [Text(told if isinstance(told, str) else result)])]


def _read_output(items: list[dict[str, Any]], reading: Reading) -> list[Part]:
    """The items of an answer as OpenAI's newer wire has them."""
    parts: list[Part] = []
    for item in items:
        kind = text(item, "type")
        if kind == "message":
            parts += read_content(item.get("content"), reading)
        elif kind == "reasoning":
            pieces = entries(item, "content") or entries(item, "summary")
            thought = "".join(text(piece, "text") for piece in pieces)
            parts += [Reasoning(thought)] if thought else []
        elif kind == "function_call":
            called = ToolCall(
                name(item, "call_id", "id"), text(item, "name"), as_json(item.get("arguments"))
            )
            parts.append(called)
        elif kind == "function_call_output":
            inside = read_content(item.get("output"), reading)
            parts.append(as_result(name(item, "call_id"), inside))
        elif kind.endswith("code_interpreter"):
            call_id = name(item, "id")
            parts.append(
                ToolCall(call_id, "code_interpreter", as_json({"code": text(item, "code")}))
            )
            parts.append(as_result(call_id, [Text(as_json(item.get("output")))]))
        else:
            reading.lose(f"output of the kind {kind[:40] or 'unknown'}")
    return parts


def _read_file(attached: dict[str, Any], reading: Reading) -> list[Part]:
    label = text(attached, "name") or text(entry(attached, "file"), "filename") or "file"
    image = image_from_text(text(attached, "url"), text(attached, "name"))
    if image is not None:
        return [image]
    content = text(entry(attached, "file", "data"), "content") or text(attached, "content")
    if content:
        return [File(label, content)]
    kind = "images" if text(attached, "type") == "image" else "files"
    reading.lose(f"{kind} that the export only names")
    return []
