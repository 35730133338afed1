"""What the tests of imports share: fixtures as files, and trees as something to compare."""

import sqlite3
from pathlib import Path
from typing import Any

from chatapp.export.imports import PROGRAMS, Program, Report, import_from
from chatapp.parts import File, Image, Part, Reasoning, Text, ToolCall
from chatapp.store import Store

FIXTURES = Path(__file__).parent / "programs"
PNG = bytes.fromhex("89504e470d0a1a0a")


def bring_in(store: Store, path: Path, program: Program | str | None = None) -> Report:
    """Import what is at a path."""
    report = Report()
    chosen = PROGRAMS[program] if isinstance(program, str) else program
    import_from(store, path, chosen, report, lambda _: None)
    return report


def make_database(script: Path, path: Path) -> Path:
    """A database out of the statements in a file."""
    db = sqlite3.connect(path)
    db.executescript(script.read_text(encoding="utf-8"))
    db.close()
    return path


def tell(part: Part) -> Any:
    """A part as a short value."""
    if isinstance(part, Text):
        return part.text
    if isinstance(part, Reasoning):
        return ("thought", part.text.strip())
    if isinstance(part, File):
        return ("file", part.name, part.text)
    if isinstance(part, Image):
        assert part.data.startswith(PNG)
        return ("image", part.media_type)
    if isinstance(part, ToolCall):
        return ("call", part.id, part.name, part.arguments)
    return ("result", part.call_id, *map(tell, part.parts))


def outline(store: Store, conversation: int) -> list[tuple[int | None, str, list[Any]]]:
    """The messages of a conversation: the place of the parent, the role, what is said."""
    messages = store.get_tree(conversation).messages
    places = {message.id: place for place, message in enumerate(messages)}
    return [
        (
            None if message.parent_id is None else places[message.parent_id],
            message.role,
            [tell(part) for part in message.parts],
        )
        for message in messages
    ]


def shown(store: Store, conversation: int) -> list[Any]:
    """What is said on the branch that is shown."""
    return [[tell(part) for part in row.parts] for row in store.get_path(conversation)]


def heads(store: Store, report: Report) -> list[tuple[str, str]]:
    """Title and system prompt of the new conversations."""
    rows = [store.get_conversation(id_) for id_ in report.new]
    return [(row.title, row.system) for row in rows]
