"""What several programs keep as OpenAI's wire has it: content as a text or as a list of parts,
calls of tools, thoughts beside the content."""

from typing import Any

from chatapp.export.imports.draft import Reading
from chatapp.export.imports.fields import (
    as_json,
    entries,
    entry,
    from_json,
    image_from_text,
    name,
    text,
)
from chatapp.parts import File, Image, Part, Reasoning, Text, ToolCall, ToolResult


def read_content(content: object, reading: Reading) -> list[Part]:
    """The parts of a `content`."""
    if isinstance(content, str):
        return [Text(content)] if content else []
    if isinstance(content, list):
        return [part for piece in content for part in _read_piece(piece, reading)]
    if content is not None:
        reading.lose("messages whose content is neither text nor parts")
    return []


def _read_piece(piece: object, reading: Reading) -> list[Part]:
    if isinstance(piece, str):
        return [Text(piece)] if piece else []
    kind = text(piece, "type")
    if kind in ("thinking", "reasoning"):
        thought = text(piece, "thinking", "reasoning", "text")
        return [Reasoning(thought)] if thought else []
    if kind == "tool_use":
        return [ToolCall(name(piece, "id"), text(piece, "name"), as_json(entry(piece, "input")))]
    if kind == "tool_result":
        inside = read_content(piece.get("content") if isinstance(piece, dict) else None, reading)
        return [as_result(name(piece, "tool_use_id"), inside)]
    said = text(piece, "text", "refusal")
    if said:
        return [Text(said)]
    url = text(piece, "image_url") or text(entry(piece, "image_url"), "url")
    image = image_from_text(url or text(entry(piece, "source"), "data"))
    if image is not None:
        return [image]
    if kind != "text":
        reading.lose("images that the export only names" if url else "parts that are no text")
    return []


def read_thoughts(message: dict[str, Any]) -> list[Part]:
    """Thoughts that stand beside the content, under any of the names they go by."""
    thought = text(message, "reasoning_content", "reasoningContent", "reasoning", "thinking")
    return [Reasoning(thought)] if thought else []


def read_calls(calls: object) -> list[Part]:
    """Calls of tools, as a list or as a list written in JSON."""
    if isinstance(calls, str):
        calls = from_json(calls)
    return [
        ToolCall(
            name(call, "id"),
            text(entry(call, "function") or call, "name"),
            as_json((entry(call, "function") or call).get("arguments")),
        )
        for call in entries({"calls": calls}, "calls")
    ]


def as_result(call_id: str, parts: list[Part], *, is_error: bool = False) -> ToolResult:
    """What a tool gave back; thoughts and calls are none of its parts."""
    inside = tuple(part for part in parts if isinstance(part, Text | File | Image))
    return ToolResult(call_id, inside, is_error)
