"""oterm's `store.db`: the tables `chat` and `message`, one line of messages a chat, no times.

Ids are small numbers, the same on every machine; a chat is named by its id and how it begins.
"""

from collections.abc import Iterator
from typing import Any

from chatapp.conversation import Role
from chatapp.export.imports.draft import Draft, Reading, Said
from chatapp.export.imports.fields import from_json, image_from_text, name, text
from chatapp.export.names import gist, make_uid
from chatapp.parts import Part, Text
from chatapp.store.foreign import ForeignDatabase

_ROLES: dict[str, Role] = {
    "me": "user",
    "user": "user",
    "ollama": "assistant",
    "assistant": "assistant",
    "system": "system",
    "tool": "tool",
}


def recognise(database: ForeignDatabase) -> bool:
    """Messages have an author."""
    return {"chat_id", "author", "text"} <= set(database.columns("message")) and bool(
        database.columns("chat")
    )


def read(database: ForeignDatabase, reading: Reading) -> Iterator[Draft]:
    """Every chat, in the order in which they were begun."""
    messages: dict[object, list[Said]] = {}
    columns = ("id", "chat_id", "author", "text", "images")
    for row in database.rows("message", *columns):
        messages.setdefault(row["chat_id"], []).append(_read_message(row, reading))
    for chat in database.rows("chat", "id", "name", "model", "system"):
        said = messages.get(chat["id"], [])
        for above, one in zip([None, *said], said, strict=False):
            one.parent = above.id if above else None
            one.model = text(chat, "model") if one.role == "assistant" else ""
        begins = gist(said[0].parts) if said else ""
        yield Draft(
            id=make_uid(name(chat, "id"), begins),
            said=said,
            title=text(chat, "name"),
            system=text(chat, "system"),
        )


def _read_message(row: dict[str, Any], reading: Reading) -> Said:
    author = text(row, "author").lower()
    role = _ROLES.get(author)
    if role is None:
        reading.lose("authors that are neither user nor model, taken for the user's")
    said = text(row, "text")
    parts: list[Part] = [Text(said)] if said else []
    listed = from_json(text(row, "images"))
    for picture in listed if isinstance(listed, list) else []:
        data = picture if isinstance(picture, str) else text(picture, "data", "image")
        image = image_from_text(data)
        if image is not None:
            parts.append(image)
        else:
            reading.lose("images that cannot be read")
    return Said(id=name(row, "id"), parent=None, role=role or "user", parts=tuple(parts))
