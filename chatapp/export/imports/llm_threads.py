"""The newer tables of `llm`: a tree of messages, each named by a hash of its content and its
parent's, and threads and turns that point into it.

Threads that begin alike share messages; each is a conversation with the whole way to its tip.
"""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from chatapp.conversation import Role
from chatapp.export.imports.draft import Draft, Reading, Said
from chatapp.export.imports.fields import (
    as_json,
    entry,
    from_json,
    image_from_bytes,
    name,
    seconds,
    text,
)
from chatapp.export.imports.wire import as_result
from chatapp.parts import File, Part, Reasoning, Text, ToolCall
from chatapp.store.foreign import ForeignDatabase

_ROLES: dict[str, Role] = {
    "user": "user",
    "assistant": "assistant",
    "system": "system",
    "tool": "tool",
}


def recognise(database: ForeignDatabase) -> bool:
    """Messages have hashes, and turns point at them."""
    return {"hash", "parent_hash"} <= set(database.columns("messages")) and bool(
        database.columns("turns")
    )


def read(database: ForeignDatabase, reading: Reading) -> Iterator[Draft]:
    """Every thread, and every turn that belongs to none."""
    if not recognise(database):
        return
    messages = {
        name(row, "hash"): row for row in database.rows("messages", "hash", "parent_hash", "role")
    }
    parts = _read_parts(database, reading)
    threads: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    columns = ("id", "thread_id", "tip_message_hash", "model", "resolved_model", "datetime_utc")
    for row in database.rows("turns", *columns):
        threads[name(row, "thread_id") or name(row, "id")].append(row)
    named = {
        name(row, "id"): row
        for row in database.rows("threads", "id", "name", "tip_message_hash", "datetime_utc")
    }
    for key in {**named, **threads}:
        thread = entry(named, key)
        yield Draft(
            id=key,
            said=_read_ways(threads[key], name(thread, "tip_message_hash"), messages, parts),
            current=name(thread, "tip_message_hash") or None,
            title=text(thread, "name"),
            created_at=seconds(thread, "datetime_utc"),
        )


def _read_ways(
    turns: list[dict[str, Any]],
    tip: str,
    messages: dict[str, dict[str, Any]],
    parts: dict[str, list[Part]],
) -> list[Said]:
    """The messages on the ways from the first to the tips, each once."""
    made = {name(turn, "tip_message_hash"): turn for turn in turns}
    said: dict[str, Said] = {}
    for leaf in [*made, tip]:
        place = leaf
        while place in messages and place not in said:
            row = messages[place]
            turn = entry(made, place)
            parent = name(row, "parent_hash")
            said[place] = Said(
                id=place,
                parent=parent or None,
                role=_ROLES.get(text(row, "role"), "user"),
                parts=tuple(parts.get(place, [])),
                created_at=seconds(turn, "datetime_utc"),
                model=text(turn, "resolved_model", "model"),
            )
            place = parent
    return list(said.values())


def _read_parts(database: ForeignDatabase, reading: Reading) -> dict[str, list[Part]]:
    fragments = {row["id"]: row for row in database.rows("fragments", "id", "content", "source")}
    borrowed: defaultdict[Any, list[Part]] = defaultdict(list)
    for link in database.rows("part_fragments", "part_id", "fragment_id", "order"):
        held = fragments.get(link["fragment_id"])
        if held is not None:
            file = File(text(held, "source") or "fragment", text(held, "content"))
            borrowed[link["part_id"]].append(file)
    contents = {row["id"]: row["content"] for row in database.rows("attachments", "id", "content")}
    for link in database.rows("part_attachments", "part_id", "attachment_id"):
        content = contents.get(link["attachment_id"])
        image = image_from_bytes(content) if isinstance(content, bytes) else None
        if image is None:
            reading.lose("attachments that are no images in the file")
        else:
            borrowed[link["part_id"]].append(image)
    placed: defaultdict[str, list[tuple[int, list[Part]]]] = defaultdict(list)
    columns = ("id", "message_hash", "position", "type", "tool_name", "text", "payload")
    for row in database.rows("parts", *columns):
        place = row["position"] if type(row["position"]) is int else 0
        made = _read_part(row, borrowed[row["id"]], reading)
        placed[name(row, "message_hash")].append((place, made))
    return {
        key: [part for _, made in sorted(rows, key=lambda row: row[0]) for part in made]
        for key, rows in placed.items()
    }


def _read_part(row: dict[str, Any], borrowed: list[Part], reading: Reading) -> list[Part]:
    kind = text(row, "type")
    payload = entry({"payload": from_json(text(row, "payload"))}, "payload")
    said = text(row, "text") or text(payload, "text", "output", "content")
    if kind == "reasoning":
        return [Reasoning(said)] if said else []
    if kind == "tool_call":
        call_id = name(payload, "tool_call_id", "call_id", "id")
        label = text(row, "tool_name") or text(payload, "name")
        return [ToolCall(call_id, label, as_json(payload.get("arguments")))]
    if kind == "tool_result":
        call_id = name(payload, "tool_call_id", "call_id", "id")
        wrong = payload.get("is_error") is True or bool(text(payload, "exception"))
        inside: list[Part] = [Text(said)] if said else []
        return [as_result(call_id, [*inside, *borrowed], is_error=wrong)]
    if kind == "text":
        return [*borrowed, *([Text(said)] if said else _read_literals(payload))]
    if kind != "attachment":
        reading.lose(f"parts of the kind {kind[:40] or 'unknown'}")
    return borrowed


def _read_literals(payload: dict[str, Any]) -> list[Part]:
    """The texts between fragments that a text borrows."""
    pieces = payload.get("text")
    listed = pieces if isinstance(pieces, list) else []
    said = "".join(piece for piece in listed if isinstance(piece, str))
    return [Text(said)] if said else []
