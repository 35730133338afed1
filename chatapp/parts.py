"""What a message is made of: values that the store keeps, the wire carries and an export writes.

A message is a tuple of parts, in the order in which they were said. The structs are tagged with
`type`, so that one definition serves JSON in the protocol, in exports and in the store.
"""

from collections.abc import Iterable
from typing import Literal

import msgspec


class Text(msgspec.Struct, frozen=True, tag="text"):
    """What was said, as Markdown or plain text."""

    text: str


class Reasoning(msgspec.Struct, frozen=True, tag="reasoning"):
    """What a model thought aloud before or between what it said; never sent back to it."""

    text: str


class File(msgspec.Struct, frozen=True, tag="file"):
    """A text file that was put before the model."""

    name: str
    text: str
    tokens: int = 0
    """Its length in tokens of the model it was first put before; 0: not counted."""


class Image(msgspec.Struct, frozen=True, tag="image"):
    """A picture: the bytes of the file as it was (JSON carries them in base64)."""

    data: bytes
    media_type: str = "image/png"
    name: str = ""


class ToolCall(msgspec.Struct, frozen=True, tag="tool_call"):
    """A model asks for a tool to be run."""

    id: str
    """Links the call to its result; unique within the conversation."""
    name: str
    arguments: str
    """A JSON object as the model wrote it, which need not be valid."""


class ToolResult(msgspec.Struct, frozen=True, tag="tool_result"):
    """What a tool gave back."""

    call_id: str
    parts: tuple[Text | File | Image, ...] = ()
    is_error: bool = False
    """The tool failed, and `parts` say why."""


Part = Text | Reasoning | File | Image | ToolCall | ToolResult
Parts = tuple[Part, ...]
Spoken = Literal["text", "reasoning"]
Written = Text | Reasoning | ToolCall
"""What a model writes, a character after the other."""


def said_in(part: Part) -> str:
    """What grows of a part while it is written: its text, or the arguments of a call."""
    if isinstance(part, ToolCall):
        return part.arguments
    return part.text if isinstance(part, Text | Reasoning) else ""


def say_in(part: Written, text: str) -> Written:
    """The part with `text` in place of what it says."""
    if isinstance(part, ToolCall):
        return ToolCall(part.id, part.name, text)
    return type(part)(text)


def is_more_of(part: Part, other: Part) -> bool:
    """Whether one may be the other as it is written later: the same kind, the same call."""
    if isinstance(part, ToolCall) and isinstance(other, ToolCall):
        return (part.id, part.name) == (other.id, other.name)
    return isinstance(part, Text | Reasoning) and type(part) is type(other)


def text_of(parts: Iterable[Part]) -> str:
    """Everything that was said: the text parts joined, thoughts and attachments left out."""
    return "".join(part.text for part in parts if isinstance(part, Text))


def reasoning_of(parts: Iterable[Part]) -> str:
    """Everything that was thought aloud."""
    return "".join(part.text for part in parts if isinstance(part, Reasoning))


def parts_of(text: str, reasoning: str = "") -> Parts:
    """The parts of a message that thought (or did not) and then said `text`.

    A message that says nothing has no parts.
    """
    thought: Parts = (Reasoning(reasoning),) if reasoning else ()
    return (*thought, Text(text)) if text else thought


def grow(parts: Parts, kind: Spoken, text: str) -> Parts:
    """`parts` with `text` at their end: in the last part if that is of this kind, else in one
    more."""
    if not text:
        return parts
    made = Text if kind == "text" else Reasoning
    if parts and isinstance(last := parts[-1], made):
        return (*parts[:-1], made(last.text + text))
    return (*parts, made(text))
