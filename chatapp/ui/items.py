"""What the transcript shows of the store's rows: the one place where a row becomes an item."""

from collections.abc import Callable, Sequence
from datetime import datetime

from chatapp.export.branch import label
from chatapp.fullness import ended_at_context, fills_context
from chatapp.guide.wording import is_knowledge, known_in
from chatapp.heads import read_head
from chatapp.parts import File, Image, Parts, Reasoning, Text, ToolCall, ToolResult, text_of
from chatapp.store.rows import MessageRow
from chatapp.ui.keymap import key_of, shown_keys
from chatapp.ui.widgets.item import MessageItem
from chatapp.ui.wording import clean_line, grouped, moment_text, rate

_SHOWN = 120
"""Characters of a tool's arguments or result that are shown."""


Keys = Callable[[str], str]
"""The keys of a row of the keymap, for people."""


def usual_keys(name: str) -> str:
    """Where nobody has others."""
    return shown_keys(key_of(name), {})


def item_of(
    row: MessageRow, *, note: str = "", keys: Keys = usual_keys, n_ctx: int = 0
) -> MessageItem:
    """One message; `note` replaces the line made from its figures. `n_ctx` is the context of the
    model that is loaded; 0: not known."""
    return MessageItem(
        id=row.id,
        role=row.role,
        content=row.content,
        status=row.status,
        sibling_index=row.sibling_index,
        sibling_count=row.sibling_count,
        note=note or note_of(row, keys, n_ctx),
        goes_on=not fills_context(row, n_ctx),
        reasoning=row.reasoning or list_known(row.parts),
        when=moment_text(row.created_at, datetime.now().astimezone()),
        attached=describe_parts(row.parts),
        pinned=row.pinned,
    )


def describe_parts(parts: Parts) -> tuple[str, ...]:
    """A line for every part that is neither said nor thought, nor known of it."""
    shown = (part for part in parts if not isinstance(part, Text | Reasoning))
    return tuple(_describe(part) for part in shown if not is_knowledge(part))


def list_known(parts: Parts) -> str:
    """What was put before a question of what chatapp knows of itself, as a list in Markdown."""
    return "".join(f"{line}\n\n" for line in known_in(parts).splitlines())


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


def items_of(
    rows: Sequence[MessageRow], *, answered: bool, keys: Keys = usual_keys, n_ctx: int = 0
) -> list[MessageItem]:
    """A branch. A last message of the user that nobody is answering says how to ask again."""
    items = [item_of(row, keys=keys, n_ctx=n_ctx) for row in rows]
    if rows and rows[-1].role == "user" and not answered:
        asks = f"Not answered yet. {keys('regenerate')} asks for an answer."
        items[-1] = item_of(rows[-1], note=asks)
    return items


def note_of(row: MessageRow, keys: Keys = usual_keys, n_ctx: int = 0) -> str:
    """Figures of an answer, or why it ended early; of a head, what it stands for."""
    generation = row.generation
    if head := read_head(row):
        done = "summarised" if head.kind == "summary" else "left out"
        what = "1 message" if head.n_messages == 1 else f"{head.n_messages} messages"
        shows = f", {keys('previous_version')} shows them" if row.sibling_count > 1 else ""
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
    if (row.status == "complete" and ended_at_context(row)) or fills_context(row, n_ctx):
        parts.append("the context is full: /compact or /context N makes room")
    elif generation.finish_reason == "length" and row.status == "complete":
        parts.append(f"length limit reached, {keys('continue')} continues")
    return " · ".join(part for part in parts if part)
