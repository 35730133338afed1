"""The `logs.db` of the program `llm`, in each of its shapes.

Until 0.4 a table `logs`; then `conversations` and `responses`, where a row is a prompt with its
answer; in newer versions also `threads`, `turns` and a tree of `messages` named by their content,
which `llm_threads.py` reads.
"""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from chatapp.export.imports import llm_threads
from chatapp.export.imports.draft import Draft, Reading, Said
from chatapp.export.imports.fields import as_json, image_from_bytes, name, seconds, text
from chatapp.export.imports.wire import as_result
from chatapp.export.names import gist, make_uid
from chatapp.parts import File, Part, Reasoning, Text, ToolCall
from chatapp.store.foreign import ForeignDatabase

Rows = dict[str, list[dict[str, Any]]]


def recognise(database: ForeignDatabase) -> bool:
    """There are responses with prompts, or one of the older and newer tables."""
    return any(
        {"prompt", "response"} <= set(database.columns(table))
        for table in ("responses", "logs", "log")
    ) or llm_threads.recognise(database)


def read(database: ForeignDatabase, reading: Reading) -> Iterator[Draft]:
    """Every conversation, from each of the shapes that the file has."""
    for table in ("log", "logs"):
        yield from _read_old(database, table)
    turns = {name(row, "id") for row in database.rows("turns", "id")}
    yield from _read_responses(database, turns, reading)
    yield from llm_threads.read(database, reading)


def _read_old(database: ForeignDatabase, table: str) -> Iterator[Draft]:
    columns = ("id", "model", "prompt", "system", "response", "chat_id", "datetime_utc")
    chats: dict[str, list[dict[str, Any]]] = {}
    for row in database.rows(table, *columns, "timestamp"):
        chats.setdefault(name(row, "chat_id") or name(row, "id"), []).append(row)
    for key, rows in chats.items():
        said: list[Said] = []
        for row in rows:
            _add(said, name(row, "id"), "prompt", "user", [Text(text(row, "prompt"))], row)
            _add(said, name(row, "id"), "answer", "assistant", [Text(text(row, "response"))], row)
        # The ids are small numbers, the same on every machine.
        yield Draft(
            id=make_uid(key, gist(said[0].parts)) if said else key,
            said=said,
            system=text(rows[0], "system"),
        )


def _add(
    said: list[Said], key: str, what: str, role: Any, parts: list[Part], row: dict[str, Any]
) -> None:
    """A message below the last one, if it says anything."""
    held = tuple(part for part in parts if not isinstance(part, Text) or part.text)
    if not held:
        return
    said.append(
        Said(
            id=f"{key} {what}",
            parent=said[-1].id if said else None,
            role=role,
            parts=held,
            created_at=seconds(row, "datetime_utc", "timestamp"),
            model=text(row, "resolved_model", "model") if role == "assistant" else "",
        )
    )


def _read_responses(
    database: ForeignDatabase, turns: set[str], reading: Reading
) -> Iterator[Draft]:
    columns = ("id", "model", "resolved_model", "prompt", "system", "response", "reasoning")
    chats: dict[str, list[dict[str, Any]]] = {}
    for row in database.rows("responses", *columns, "conversation_id", "datetime_utc"):
        if name(row, "id") not in turns:
            key = name(row, "conversation_id") or name(row, "id")
            chats.setdefault(key, []).append(row)
    titles = {
        name(row, "id"): text(row, "name") for row in database.rows("conversations", "id", "name")
    }
    held = _Held(database, reading)
    for key, rows in chats.items():
        rows.sort(key=lambda row: seconds(row, "datetime_utc"))
        yield Draft(
            id=key,
            said=_read_turns(rows, held),
            title=titles.get(key, ""),
            system=held.system(rows[0]),
        )


def _read_turns(rows: list[dict[str, Any]], held: "_Held") -> list[Said]:
    said: list[Said] = []
    system = held.system(rows[0])
    for row in rows:
        key = name(row, "id")
        told = held.system(row)
        if told and told != system:  # another than the conversation began with
            _add(said, key, "system", "system", [Text(told)], row)
            system = told
        _add(said, key, "results", "tool", held.results[key], row)
        _add(said, key, "prompt", "user", held.prompt(row), row)
        thought = text(row, "reasoning")
        parts = [Reasoning(thought)] if thought else []
        answer = [*parts, Text(text(row, "response")), *held.calls[key]]
        _add(said, key, "answer", "assistant", answer, row)
    return said


class _Held:
    """What the other tables hold for a response: fragments, attachments, calls and results."""

    def __init__(self, database: ForeignDatabase, reading: Reading) -> None:
        fragments = {
            row["id"]: row for row in database.rows("fragments", "id", "content", "source")
        }
        images = _read_attachments(database)
        self._files = _join(database, "prompt_fragments", "fragment_id", fragments)
        self._systems = _join(database, "system_fragments", "fragment_id", fragments)
        self._attached = _join(database, "prompt_attachments", "attachment_id", images)
        self._reading = reading
        self.calls: defaultdict[str, list[Part]] = defaultdict(list)
        self.results: defaultdict[str, list[Part]] = defaultdict(list)
        for row in database.rows(
            "tool_calls", "response_id", "name", "arguments", "tool_call_id", "id"
        ):
            call = ToolCall(
                name(row, "tool_call_id", "id"), text(row, "name"), as_json(row["arguments"])
            )
            self.calls[name(row, "response_id")].append(call)
        for row in database.rows(
            "tool_results", "response_id", "output", "tool_call_id", "exception"
        ):
            failed = text(row, "exception")
            told = text(row, "output") or failed
            result = as_result(name(row, "tool_call_id"), [Text(told)], is_error=bool(failed))
            self.results[name(row, "response_id")].append(result)

    def system(self, row: dict[str, Any]) -> str:
        """The system prompt of a response, its fragments before it."""
        pieces = [text(held, "content") for held in self._systems[name(row, "id")]]
        return "\n\n".join(filter(None, [*pieces, text(row, "system")]))

    def prompt(self, row: dict[str, Any]) -> list[Part]:
        """The prompt: fragments as files, what was asked, attachments."""
        key = name(row, "id")
        parts: list[Part] = [
            File(text(held, "source") or "fragment", text(held, "content"))
            for held in self._files[key]
        ]
        parts.append(Text(text(row, "prompt")))
        for held in self._attached[key]:
            parts += [held["part"]] if held["part"] is not None else []
            self._reading.lose("attachments that are no images in the file", held["part"] is None)
        return parts


def _read_attachments(database: ForeignDatabase) -> dict[Any, dict[str, Any]]:
    images: dict[Any, dict[str, Any]] = {}
    for row in database.rows("attachments", "id", "path", "content"):
        content = row["content"] if isinstance(row["content"], bytes) else b""
        label = text(row, "path").rpartition("/")[2]
        images[row["id"]] = {"part": image_from_bytes(content, label)}
    return images


def _join(
    database: ForeignDatabase, table: str, key: str, held: dict[Any, dict[str, Any]]
) -> defaultdict[str, list[dict[str, Any]]]:
    """The rows that a table links to each response, in its order."""
    links = [row for row in database.rows(table, "response_id", key, "order") if row[key] in held]
    links.sort(key=lambda row: row["order"] if type(row["order"]) is int else 0)
    joined: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in links:
        joined[name(row, "response_id")].append(held[row[key]])
    return joined
