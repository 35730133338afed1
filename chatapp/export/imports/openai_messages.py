"""Lists of messages as OpenAI's wire has them: `[{"role": …, "content": …}, …]`, alone, under
`messages` in an object, or one such object a line (as files for fine-tuning are).

They have no ids: a conversation is named by how it begins, a message by all that is said up to it.
"""

from typing import Any

from chatapp.conversation import Role
from chatapp.export.imports.draft import Draft, Reading, Said
from chatapp.export.imports.fields import entries, name, seconds, text
from chatapp.export.imports.forest import chain, name_by_beginning
from chatapp.export.imports.wire import as_result, read_calls, read_content, read_thoughts

_ROLES: dict[str, Role] = {
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "model": "assistant",
    "system": "system",
    "developer": "system",
    "tool": "tool",
    "function": "tool",
}


def recognise(value: object) -> bool:
    """A list of objects that each have a role, or an object with such a list."""
    listed = value.get("messages") if isinstance(value, dict) else value
    return (
        isinstance(listed, list)
        and bool(listed)
        and all(isinstance(one, dict) and isinstance(one.get("role"), str) for one in listed)
    )


def read(value: object, reading: Reading) -> Draft:
    """One conversation, which is one line of messages."""
    holder: dict[str, Any] = value if isinstance(value, dict) else {"messages": value}
    said = chain(
        [_read_message(message, holder, reading) for message in entries(holder, "messages")]
    )
    return Draft(
        id=name_by_beginning(said),
        said=said,
        title=text(holder, "title", "name"),
        system=text(holder, "system"),
        created_at=seconds(holder, "created_at", "created"),
    )


def _read_message(message: dict[str, Any], holder: dict[str, Any], reading: Reading) -> Said:
    given = text(message, "role").lower()
    role = _ROLES.get(given)
    if role is None:
        reading.lose(f"roles called {given[:40]}, taken for the user's")
        role = "user"
    parts = [
        *read_thoughts(message),
        *read_content(message.get("content"), reading),
        *read_calls(message.get("tool_calls")),
    ]
    if role == "tool":
        parts = [as_result(name(message, "tool_call_id"), parts)]
    model = text(message, "model") or text(holder, "model")
    return Said(
        id="",
        parent=None,
        role=role,
        parts=tuple(parts),
        created_at=seconds(message, "created_at", "timestamp"),
        model=model if role == "assistant" else "",
    )
