"""What the formats for people share: the shown branch, its labels, and code fences."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from chatapp.gguf.size import size_text
from chatapp.parts import File, Image, ToolCall, ToolResult
from chatapp.store.rows import ConversationRow, ConversationTree, MessageRow
from chatapp.text import strip_controls

_ROLES = {"user": "You", "assistant": "Assistant", "system": "System", "tool": "Tool"}
_FENCE = re.compile(r" {0,3}((?:(?:[-+*]|\d{1,9}[.)]) {1,4})*)(`{3,}(?=[^`]*$)|~{3,})[ \t]*(.*)$")


@dataclass(frozen=True, slots=True)
class Told:
    """A conversation to be written, its messages read while they are written."""

    conversation: ConversationRow
    messages: Iterable[MessageRow]


def active_branch(tree: ConversationTree) -> list[MessageRow]:
    """The messages from the first to the active one, oldest first."""
    by_id = {message.id: message for message in tree.messages}
    branch: list[MessageRow] = []
    # A message is taken out when visited, so that this ends whatever the parents say.
    message = by_id.pop(tree.conversation.active_leaf_id or 0, None)
    while message is not None:
        branch.append(message)
        message = by_id.pop(message.parent_id or 0, None)
    return branch[::-1]


def describe(message: MessageRow) -> str:
    """Who says it and what is unusual about it: `Assistant (tiny, 2 of 3, stopped)`."""
    notes = []
    if message.generation is not None and message.generation.model_name:
        notes.append(message.generation.model_name)
    if message.sibling_count > 1:
        notes.append(f"{message.sibling_index + 1} of {message.sibling_count}")
    if message.status == "streaming":
        notes.append("interrupted")
    elif message.status != "complete":
        notes.append(message.status)
    return f"{_ROLES[message.role]} ({', '.join(notes)})" if notes else _ROLES[message.role]


def label(part: File | Image | ToolCall | ToolResult) -> str:
    """What an attachment is, in a line without control characters: `File notes.txt`."""
    if isinstance(part, File):
        return f"File {_one_line(part.name)}"
    if isinstance(part, Image):
        kind = _one_line(part.media_type)
        return f"Image {_one_line(part.name)} ({kind}, {size_text(len(part.data))})"
    if isinstance(part, ToolCall):
        return f"Tool call {_one_line(part.name)}"
    return "Tool result (an error)" if part.is_error else "Tool result"


def _one_line(text: str) -> str:
    return " ".join(strip_controls(text).split())


def format_time(seconds: float) -> str:
    """Seconds since 1970 as `2026-11-23 18:05 UTC`."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")


@dataclass(frozen=True, slots=True)
class Piece:
    """A run of prose lines, or the inside of one code fence."""

    text: str
    fence: str
    """The characters that opened the fence; empty: prose."""
    closed: bool
    """False: the text ended inside the fence."""


def track_fences(text: str) -> Iterator[tuple[str, str]]:
    """Each line of a Markdown text with the fence that is open behind it (empty: none).

    As CommonMark 0.31 says in section 4.5; a fence may also open behind the mark of a list item.
    """
    fence = ""
    for line in text.split("\n"):
        match = _FENCE.match(line)
        if fence:
            if match and not match[1] and not match[3].strip() and match[2].startswith(fence):
                fence = ""
        elif match:
            fence = match[2]
        yield line, fence


def split_fences(text: str) -> Iterator[Piece]:
    """Prose and code fences of a Markdown text, in order."""
    lines: list[str] = []
    fence = ""
    for line, after in track_fences(text):
        if after == fence:
            lines.append(line)
            continue
        if fence or lines:
            yield Piece("\n".join(lines), fence, closed=True)
        lines = []
        fence = after
    if fence or lines:
        yield Piece("\n".join(lines), fence, closed=not fence)
