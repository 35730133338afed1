"""`@path` in a message: the files that it names, as parts before what is said.

A mention begins a word: `@notes.md`, `@"my notes.md"`, `see (@src/main.py)`. What is no file stays
text, so an email address and `@someone` are only that. Blocks while it reads; for a thread.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from chatapp.errors import UsageError
from chatapp.material.text_files import TextFile, read_text_file
from chatapp.parts import Parts, Text
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


def compose_message(text: str, folder: Path) -> Composed:
    """The parts of a message that was written in `folder`."""
    files: list[TextFile] = []
    notes: list[str] = []
    seen: set[Path] = set()
    for name in _named(text):
        try:
            path = _find(name, folder)
        except OSError:  # a name that is longer than any file's
            continue
        if path is None:
            notes += _missing(name, folder)
        elif path not in seen:
            seen.add(path)
            try:
                files.append(read_text_file(path, _spelled(name, path, folder)))
                notes.append(f"{files[-1].summary}.")
            except UsageError as error:
                notes.append(f"{error} It was not put before the model.")
    said: Parts = (Text(text),) if text else ()
    return Composed((*(file.file for file in files), *said), notes)


def mention(path: str) -> str:
    """`path` as it is written in a message."""
    plain = not re.search(r"[\s\"]", path) and path[-1:] not in _BEHIND
    return f"@{path}" if plain else f'@"{path}"'


def _named(text: str) -> Iterator[str]:
    for found in _MENTION.finditer(text):
        yield found[1] or found[2]


def _find(name: str, folder: Path) -> Path | None:
    """The file that is meant; what stands behind a name is taken for a part of it first."""
    while name:
        path = folder / expand_home(name)
        if sees_file(path):
            return path.resolve()
        if name[-1] not in _BEHIND:
            return None
        name = name[:-1]
    return None


def _spelled(name: str, path: Path, folder: Path) -> str:
    """The path as a model may read it: below the folder if it is."""
    below = folder.resolve()
    return path.relative_to(below).as_posix() if path.is_relative_to(below) else name


def _missing(name: str, folder: Path) -> list[str]:
    if sees_folder(folder / expand_home(name)):
        return [f"{name} is a folder: name the files in it. It stays text."]
    if "/" in name or Path(name).suffix:
        return [f"There is no file {name} below {folder}: @{name} stays text."]
    return []
