"""`@path` in a message: the files that it names, as parts before what is said.

A mention begins a word: `@notes.md`, `@"my notes.md"`, `see (@src/main.py)`. What is no file stays
text, so an email address and `@someone` are only that. Blocks while it reads; for a thread.
"""

import os
import re
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path, PurePath
from typing import NamedTuple

from chatapp.errors import UsageError
from chatapp.material.text_files import MAX_BYTES, read_text_file
from chatapp.parts import File, Parts, Text
from chatapp.paths import expand_home, sees_file, sees_folder

_MENTION = re.compile(r"(?<![^\s([{<\"'])@(?:\"([^\"\n]+)\"|([^\s\"]+))")
_BEHIND = ".,;:!?)]}>'…。，、！？）」』"
"""What may stand behind a path without being part of it."""


class Composed(NamedTuple):
    """A message as it is sent."""

    parts: Parts
    """The files that it names, each once, and then its text as it was written."""
    notes: list[str]
    """Sentences for the user: what was put before the model, and what was not, and why."""


class Named(NamedTuple):
    """A file that a text names."""

    written: str
    """The name as it stands in the text."""
    name: str
    """What the model would know it by."""
    path: Path
    size: int
    """Bytes."""
    is_outside: bool
    """It is not below the folder that the message is written in."""


def find_files(text: str, folder: Path) -> list[Named]:
    """The files that a message names and that could be put before a model; none is read."""
    files: dict[Path, Named] = {}
    for written in _named(text):
        try:
            found = _find(written, folder)
            size = found.path.stat().st_size if found else 0
        except OSError:  # a name that is longer than any file's; a file that may not be looked at
            continue
        if found is not None and size <= MAX_BYTES:
            outside = not found.path.is_relative_to(folder.resolve())
            named = Named(found.name, _spelled(found, folder), found.path, size, outside)
            files.setdefault(found.path, named)
    return list(files.values())


def compose_message(
    text: str, folder: Path, known: Sequence[File] = (), refused: Collection[Path] = ()
) -> Composed:
    """The parts of a message that was written in `folder`.

    `known` are files that an earlier version of it has: one that is named and cannot be read any
    more goes on as it was. Files that are `refused` are not read: their names stay text.
    """
    files: list[File] = []
    notes: list[str] = []
    seen: set[Path] = set()
    for name in _named(text):
        try:
            found = _find(name, folder)
        except OSError:  # a name that is longer than any file's
            continue
        if found is not None and found.path in refused:
            continue
        if found is None:
            kept = [file for file in known if _may_mean(name, file)]
            files += [file for file in kept[:1] if file not in files]
            notes += [] if kept else _missing(name, folder)
        elif found.path not in seen:
            seen.add(found.path)
            spelled = _spelled(found, folder)
            try:
                read = read_text_file(found.path, spelled)
                files.append(read.file)
                notes.append(f"{read.summary}.")
            except UsageError as error:
                kept = [file for file in known if file.name == spelled]
                files += kept[:1]
                stays = (
                    "The message keeps it as it was" if kept else "It was not put before the model"
                )
                notes.append(f"{error} {stays}.")
    said: Parts = (Text(text),) if text else ()
    return Composed((*files, *said), notes)


def find_named(text: str, files: Sequence[File], folder: Path) -> list[File]:
    """Those of the files of a message that its text names: they came by it, and not otherwise."""
    named = [(name, _spell_found(name, folder)) for name in _named(text)]
    return [
        file
        for file in files
        if any(file.name == spelled or _may_mean(name, file) for name, spelled in named)
    ]


def mention(path: str) -> str:
    """`path` as it is written in a message."""
    plain = not re.search(r"[\s\"]", path) and path[-1:] not in _BEHIND
    return f"@{path}" if plain else f'@"{path}"'


def names_in(text: str) -> list[str]:
    """What stands behind each `@`."""
    return list(_named(text))


def _named(text: str) -> Iterator[str]:
    for found in _MENTION.finditer(text):
        yield found[1] or found[2]


class _Found(NamedTuple):
    name: str
    """As it stands in the text, without what stands behind it."""
    path: Path


def _find(name: str, folder: Path) -> _Found | None:
    """The file that is meant; what stands behind a name is taken for a part of it first."""
    for short in shorten(name):
        path = folder / expand_home(short)
        if sees_file(path):
            return _Found(short, path.resolve())
    return None


def shorten(name: str) -> Iterator[str]:
    """A name, and what is left of it without what may stand behind it."""
    yield name
    while len(name) > 1 and name[-1] in _BEHIND:
        name = name[:-1]
        yield name


def _spelled(found: _Found, folder: Path) -> str:
    """The path as a model may read it: below the folder if it is."""
    below = folder.resolve()
    inside = found.path.is_relative_to(below)
    return found.path.relative_to(below).as_posix() if inside else found.name


def _spell_found(name: str, folder: Path) -> str:
    """The same, of what a name means; empty where that is no file."""
    try:
        found = _find(name, folder)
    except OSError:  # a name that is longer than any file's
        return ""
    return _spelled(found, folder) if found else ""


def _may_mean(name: str, file: File) -> bool:
    """Whether a name in a text meant this file, in whichever folder that was."""
    plain = [PurePath(os.path.normpath(short)).as_posix() for short in shorten(name)]
    is_whole = plain[0].startswith(("/", "~", "../")) or PurePath(name).is_absolute()
    return file.name in plain or (is_whole and any(p.endswith(f"/{file.name}") for p in plain))


def _missing(name: str, folder: Path) -> list[str]:
    if sees_folder(folder / expand_home(name)):
        return [f"{name} is a folder: name the files in it. It stays text."]
    if "/" in name or Path(name).suffix:
        return [f"There is no file {name} below {folder}: @{name} stays text."]
    return []
