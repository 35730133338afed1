"""The import itself: every file of a place, every conversation of a file, a batch at a time.

Promises that the store holds whole conversations at any moment: a batch is one transaction. A file
of our own comes in whole or not at all. What is known is not added again, so an import that was
stopped is gone on with by starting it again.
"""

from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from chatapp.errors import UsageError
from chatapp.export.imports.documents import read_values
from chatapp.export.imports.draft import Draft, Reading
from chatapp.export.imports.forest import build
from chatapp.export.imports.llamacpp import gather
from chatapp.export.imports.places import Found, as_part, find_files
from chatapp.export.imports.registry import (
    OWN,
    PROGRAMS,
    Program,
    known,
    recognise,
    recognise_tables,
)
from chatapp.export.lossless import FORMAT
from chatapp.export.reading import parse_document
from chatapp.store.foreign import ForeignDatabase
from chatapp.store.rows import ConversationTree, Merged

_BATCH = 500
"""Messages of a transaction, about; a conversation is never divided."""


class Shelf(Protocol):
    """What takes the conversations: the store."""

    def add_trees(self, trees: list[ConversationTree], /) -> list[Merged]:
        """Add all or none; what became of each."""


@dataclass(slots=True)
class Report:
    """What an import did, for as far as it came."""

    new: list[int] = field(default_factory=list)
    """The conversations that were added, by their ids in the history."""
    messages: int = 0
    """Messages that were added, in new and in known conversations."""
    grown: list[int] = field(default_factory=list)
    """Known conversations that got new messages."""
    known: int = 0
    """Known conversations in which nothing was new."""
    deleted: list[int] = field(default_factory=list)
    """Known conversations that are among the deleted ones."""
    empty: int = 0
    """Conversations in which nothing was said, which were left out."""
    programs: Counter[str] = field(default_factory=Counter)
    """Conversations by the title of their program."""
    losses: Counter[str] = field(default_factory=Counter)
    """What could not be carried over, by what it is."""
    passed_over: dict[str, str] = field(default_factory=dict)
    """Files that hold no chats, and why."""
    is_storing: bool = False
    """A batch is on its way into the store, and not counted yet."""


Progress = Callable[[Report], None]


def import_from(
    store: Shelf, path: Path, program: Program | None, report: Report, progress: Progress
) -> None:
    """Import everything at `path`; `report` grows while it does, and `progress` is told.

    `program` None: each conversation is recognised by its shape. Raises `UsageError` when a file
    that was named cannot be read or holds nothing known; files in a folder or a ZIP are passed
    over.
    """
    importer = _Importer(store, program, report, progress)
    with ExitStack() as stack:
        for file in find_files(path, stack):
            importer.import_file(file)
    importer.forget_assets()
    if not (report.programs or report.empty):
        first = next(iter(report.passed_over.items()), ("", ""))
        more = f" {first[0]}: {first[1]}" if len(report.passed_over) == 1 else ""
        raise UsageError(f"No chats were found in {path}.{more}", known())


class _Importer:
    def __init__(
        self, store: Shelf, program: Program | None, report: Report, progress: Progress
    ) -> None:
        self._store = store
        self._forced = program
        self._report = report
        self._progress = progress
        self._batch: list[ConversationTree] = []
        self._size = 0
        self._passed_over: list[Found] = []

    def forget_assets(self) -> None:
        """Files that are part of a chat were not passed over."""
        for file in self._passed_over:
            if file.base in file.assets.used:
                self._report.passed_over.pop(file.name, None)

    def import_file(self, file: Found) -> None:
        """One file; that one of several cannot be read is noted, not raised."""
        before = sum(self._report.programs.values()) + self._report.empty
        try:
            try:
                self._read(file)
            finally:
                self._store_batch()
        except UsageError as error:
            came = sum(self._report.programs.values()) + self._report.empty - before
            note = f" What stands before that place was imported ({came})." if came else ""
            sentence = f"{as_part(error.message)}{note}"
            if file.alone:
                raise UsageError(f"{file.name}: {sentence}", error.hint) from None
            self._passed_over.append(file)
            self._report.passed_over[file.name] = sentence

    def _read(self, file: Found) -> None:
        reading = Reading(self._report.losses, file.assets.find, file.made_at)
        if file.is_database:
            self._read_database(file, reading)
        elif file.is_json:
            self._read_json(file, reading)
        elif not file.head:
            raise UsageError("It is empty, or cannot be read.")
        else:
            raise UsageError(
                "It is neither an object or a list in JSON, nor a database, nor a ZIP.", known()
            )

    def _read_database(self, file: Found, reading: Reading) -> None:
        assert file.path is not None
        with ForeignDatabase(file.path) as database:
            program = self._forced or recognise_tables(database)
            if program is None or program.read_tables is None:
                raise UsageError("It is no database of a program that is known.", known())
            for draft in program.read_tables(database, reading):
                self._add(program, draft, reading)

    def _read_json(self, file: Found, reading: Reading) -> None:
        others = 0
        found = False
        for value in gather(read_values(file.read())):
            program = self._forced or _recognise(value)
            if program is not None and program.name == OWN:
                self._add_own(value)
            elif program is not None and program.read is not None and _is_entry(value):
                self._add(program, program.read(value, reading), reading)
            else:
                others += 1
                continue
            found = True
        if not found:
            raise UsageError("It holds no chats of a program that is known.", known())
        reading.lose("entries that are no chats", others)

    def _add_own(self, value: object) -> None:
        trees = parse_document(value)
        self._store_batch()
        self._batch = trees
        self._report.programs[PROGRAMS[OWN].title] += len(trees)
        self._store_batch()

    def _add(self, program: Program, draft: Draft, reading: Reading) -> None:
        tree = build(program.name, draft, reading)
        if tree is None:
            self._report.empty += 1
            return
        self._report.programs[program.title] += 1
        self._batch.append(tree)
        self._size += len(tree.messages)
        if self._size >= _BATCH:
            self._store_batch()

    def _store_batch(self) -> None:
        batch, self._batch, self._size = self._batch, [], 0
        if not batch:
            return
        self._report.is_storing = True
        try:
            for merged in self._store.add_trees(batch):
                self._count(merged)
        finally:
            self._report.is_storing = False
        self._progress(self._report)

    def _count(self, merged: Merged) -> None:
        report = self._report
        report.messages += merged.messages
        if merged.is_new:
            report.new.append(merged.conversation_id)
        elif merged.messages:
            report.grown.append(merged.conversation_id)
        else:
            report.known += 1
        if merged.is_deleted:
            report.deleted.append(merged.conversation_id)


def _recognise(value: object) -> Program | None:
    if isinstance(value, dict) and value.get("format") == FORMAT:
        return PROGRAMS[OWN]
    return recognise(value)


def _is_entry(value: object) -> bool:
    return isinstance(value, dict | list)
