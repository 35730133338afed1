"""The programs whose chats can be imported: a new one is a module beside this and a line here."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from chatapp.errors import UsageError
from chatapp.export.imports import (
    chatgpt,
    claude,
    llamacpp,
    llm,
    lmstudio,
    openai_messages,
    openwebui,
    oterm,
)
from chatapp.export.imports.draft import Draft, Reading
from chatapp.store.foreign import ForeignDatabase

OWN = "chatapp"


@dataclass(frozen=True, slots=True)
class Program:
    """One program whose chats can be read."""

    name: str
    """What `--from` calls it."""
    title: str
    where: str
    """Where one finds its export or its files."""
    recognise: Callable[[object], bool] | None = None
    read: Callable[[Any, Reading], Draft] | None = None
    """A conversation out of a JSON value that was recognised."""
    recognise_tables: Callable[[ForeignDatabase], bool] | None = None
    read_tables: Callable[[ForeignDatabase, Reading], Iterator[Draft]] | None = None


PROGRAMS = {
    program.name: program
    for program in (
        Program(OWN, "chatapp", "chatapp history export --format json"),
        Program(
            "chatgpt",
            "ChatGPT",
            "Settings, Data controls, Export data: the ZIP that comes by mail",
            chatgpt.recognise,
            chatgpt.read,
        ),
        Program(
            "claude",
            "Claude",
            "Settings, Privacy, Export data: the ZIP that comes by mail",
            claude.recognise,
            claude.read,
        ),
        Program(
            "openwebui",
            "Open WebUI",
            "Settings, Chats (or Data controls), Export chats: one JSON file",
            openwebui.recognise,
            openwebui.read,
        ),
        Program(
            "llamacpp",
            "llama.cpp's web interface",
            "Settings, Import/Export: a .jsonl file or a ZIP",
            llamacpp.recognise,
            llamacpp.read,
        ),
        Program(
            "lmstudio",
            "LM Studio",
            "the folder ~/.lmstudio/conversations",
            lmstudio.recognise,
            lmstudio.read,
        ),
        Program(
            "llm",
            "llm",
            "the file that `llm logs path` prints",
            recognise_tables=llm.recognise,
            read_tables=llm.read,
        ),
        Program(
            "oterm",
            "oterm",
            "~/.local/share/oterm/store.db",
            recognise_tables=oterm.recognise,
            read_tables=oterm.read,
        ),
        Program(
            "openai",
            "a list of messages",
            'JSON as the chat API takes it: {"messages": [{"role": …, "content": …}]}',
            openai_messages.recognise,
            openai_messages.read,
        ),
    )
}


def choose(name: str) -> Program:
    """The program of this name. Raises `UsageError` with all names for another."""
    if name not in PROGRAMS:
        raise UsageError(f"There is no program {name!r} to import from.", known())
    return PROGRAMS[name]


def known() -> str:
    """The names that `--from` takes, as a sentence."""
    return f"It can be {', '.join(PROGRAMS)}. Where each keeps its chats: chatapp history import -h"


def recognise(value: object) -> Program | None:
    """Whose conversation a JSON value is; None: nobody's that is known."""
    return next(
        (one for one in PROGRAMS.values() if one.recognise is not None and one.recognise(value)),
        None,
    )


def recognise_tables(database: ForeignDatabase) -> Program | None:
    """Whose a database is; None: nobody's that is known."""
    return next(
        (
            one
            for one in PROGRAMS.values()
            if one.recognise_tables is not None and one.recognise_tables(database)
        ),
        None,
    )
