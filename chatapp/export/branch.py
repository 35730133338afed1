"""What the formats for people share: the shown branch, its labels, and code fences."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from chatapp.store.rows import ConversationTree, MessageRow

_ROLES = {"user": "You", "assistant": "Assistant", "system": "System"}
_FENCE = re.compile(r" {0,3}(`{3,}(?=[^`]*$)|~{3,})[ \t]*(.*)$")


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


def split_fences(text: str) -> Iterator[Piece]:
    """Prose and code fences of a Markdown text, in order (CommonMark 0.31, section 4.5)."""
    lines: list[str] = []
    fence = ""
    for line in text.split("\n"):
        match = _FENCE.match(line)
        closes = fence and match and not match[2].strip() and match[1].startswith(fence)
        if closes or (match and not fence):
            if fence or lines:
                yield Piece("\n".join(lines), fence, closed=True)
            lines = []
            fence = "" if fence else (match[1] if match else "")
        else:
            lines.append(line)
    if fence or lines:
        yield Piece("\n".join(lines), fence, closed=not fence)
