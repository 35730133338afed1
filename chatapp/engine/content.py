"""Messages made of parts, as a text template and as an OpenAI-compatible server take them.

What one of them cannot carry is refused by its name, never left out in silence. Thoughts are not
sent back.
"""

import base64
from typing import Any

from chatapp.engine.protocol import ChatMessage
from chatapp.errors import UsageError
from chatapp.parts import File, Image, Part, Reasoning, Text, ToolCall, ToolResult

_NAMES: dict[type, str] = {
    Image: "a picture",
    ToolCall: "a call of a tool",
    ToolResult: "the result of a tool",
}


def as_text(message: ChatMessage) -> ChatMessage:
    """The message as text alone, files in a fence under their names.

    Raises `UsageError` that names what is not text.
    """
    texts = [_text_of(part) for part in message.parts if not isinstance(part, Reasoning)]
    return ChatMessage.of(message.role, "".join(texts), message.tokens)


def as_openai(message: ChatMessage) -> list[dict[str, Any]]:
    """The message as chat completions have it: one, or one for every result of a tool."""
    results = [part for part in message.parts if isinstance(part, ToolResult)]
    if results:
        return [_as_tool_message(result) for result in results]
    body: dict[str, Any] = {"role": message.role, "content": _content_of(message.parts)}
    calls = [
        {
            "id": part.id,
            "type": "function",
            "function": {"name": part.name, "arguments": part.arguments},
        }
        for part in message.parts
        if isinstance(part, ToolCall)
    ]
    return [body | {"tool_calls": calls} if calls else body]


def countable(part: Part) -> str:
    """The text that a part puts before the model: nothing of a thought or a picture."""
    match part:
        case Text() | File():
            return _text_of(part)
        case ToolCall():
            return f"{part.name} {part.arguments}"
        case ToolResult():
            return "".join(map(countable, part.parts))
        case _:
            return ""


def _text_of(part: Part) -> str:
    if isinstance(part, Text):
        return part.text
    if isinstance(part, File):
        fence = "`" * max(3, _longest_run(part.text) + 1)
        return f"{part.name}\n{fence}\n{part.text.rstrip()}\n{fence}\n\n"
    raise UsageError(
        f"This model takes text alone, and the chat holds {_NAMES[type(part)]}.",
        "Choose a model that takes it, or start a new chat.",
    )


def _longest_run(text: str) -> int:
    longest = run = 0
    for character in text:
        run = run + 1 if character == "`" else 0
        longest = max(longest, run)
    return longest


def _content_of(parts: tuple[Part, ...]) -> str | list[dict[str, Any]]:
    shown = [part for part in parts if isinstance(part, Text | File | Image)]
    if not any(isinstance(part, Image) for part in shown):
        return "".join(_text_of(part) for part in shown)
    return [_block_of(part) for part in shown]


def _block_of(part: Text | File | Image) -> dict[str, Any]:
    if isinstance(part, Image):
        data = base64.b64encode(part.data).decode()
        return {"type": "image_url", "image_url": {"url": f"data:{part.media_type};base64,{data}"}}
    return {"type": "text", "text": _text_of(part)}


def _as_tool_message(result: ToolResult) -> dict[str, Any]:
    content = _content_of(result.parts)
    if result.is_error and isinstance(content, str):
        content = f"Error: {content}"
    return {"role": "tool", "tool_call_id": result.call_id, "content": content}
