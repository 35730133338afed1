"""What the transcript shows of the store's rows: the one place where a row becomes an item."""

from collections.abc import Sequence
from datetime import datetime

from chatapp.export.branch import label
from chatapp.fullness import ended_at_context
from chatapp.heads import read_head
from chatapp.parts import File, Image, Parts, Reasoning, Text, ToolCall, ToolResult, text_of
from chatapp.store.rows import MessageRow
from chatapp.ui.widgets.item import MessageItem
from chatapp.ui.wording import clean_line, grouped, moment_text, rate

_SHOWN = 120
"""Characters of a tool's arguments or result that are shown."""


def item_of(row: MessageRow, *, note: str = "") -> MessageItem:
    """One message; `note` replaces the line made from its figures."""
    return MessageItem(
        id=row.id,
        role=row.role,
        content=row.content,
        status=row.status,
        sibling_index=row.sibling_index,
        sibling_count=row.sibling_count,
        note=note or note_of(row),
        reasoning=row.reasoning,
        when=moment_text(row.created_at, datetime.now().astimezone()),
        attached=describe_parts(row.parts),
        pinned=row.pinned,
    )


def describe_parts(parts: Parts) -> tuple[str, ...]:
    """A line for every part that is neither said nor thought."""
    return tuple(_describe(part) for part in parts if not isinstance(part, Text | Reasoning))


def _describe(part: File | Image | ToolCall | ToolResult) -> str:
    """An attachment in a line, with the beginning of what a tool was asked or gave."""
    if isinstance(part, ToolCall):
        more = part.arguments
    else:
        more = text_of(part.parts) if isinstance(part, ToolResult) else ""
    line = clean_line(more[: 4 * _SHOWN])
    if not line:
        return label(part)
    return f"{label(part)}: {line if len(line) <= _SHOWN else line[: _SHOWN - 1] + '…'}"


def items_of(rows: Sequence[MessageRow], *, answered: bool) -> list[MessageItem]:
    """A branch. A last message of the user that nobody is answering says how to ask again."""
    items = [item_of(row) for row in rows]
    if rows and rows[-1].role == "user" and not answered:
        items[-1] = item_of(rows[-1], note="Not answered yet. Ctrl+R asks for an answer.")
    return items


def note_of(row: MessageRow) -> str:
    """Figures of an answer, or why it ended early; of a head, what it stands for."""
    generation = row.generation
    if head := read_head(row):
        done = "summarised" if head.kind == "summary" else "left out"
        what = "1 message" if head.n_messages == 1 else f"{head.n_messages} messages"
        shows = ", Alt+← shows them" if row.sibling_count > 1 else ""
        return f"earlier: {what} {done}{shows}"
    if generation is None or row.status == "streaming":
        return ""
    if row.status == "failed":
        return clean_line(generation.error)
    parts = [clean_line(generation.model_name)]
    if generation.completion_tokens:
        parts.append(f"{grouped(generation.completion_tokens)} tokens")
    if generation.decode_tps:
        parts.append(f"{rate(generation.decode_tps)} tok/s")
    if row.status == "complete" and ended_at_context(row):
        parts.append("the context is full: /compact or /context N makes room")
    elif generation.finish_reason == "length" and row.status == "complete":
        parts.append("length limit reached, Ctrl+G continues")
    return " · ".join(part for part in parts if part)
