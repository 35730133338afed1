"""A block of code as a file: what it may be called, and how it is written."""

import asyncio
import re
from pathlib import Path

from chatapp.errors import ChatAppError
from chatapp.paths import expand_home, sees, sees_folder
from chatapp.running.programs import EXTENSIONS
from chatapp.ui.widgets.code_walk import CodeBlock

_FILE = re.compile(r"(?<![\w./-])(?:[\w.-]*/)*([\w-][\w.-]*\.[A-Za-z][A-Za-z0-9]{0,9})\b")
_DEFINES = re.compile(
    r"^\s*(?:export\s+|async\s+|pub\s+)*(?:def|class|function|fn|func)\s+(\w+)", re.M
)


def suggest_name(block: CodeBlock, folder: Path) -> str:
    """A name that is free in `folder`: one that stands before the block or in its first line, else
    the first thing it defines; it ends as files of its language do."""
    extension = extension_of(block.language)
    stem = "code"
    if found := _DEFINES.search(block.source):
        stem = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", found[1]).lower()
    for text in (block.source.split("\n", 1)[0], block.near):
        names = [name for name in _FILE.findall(text) if _fits(name, block.language)]
        if names:
            stem, _, extension = names[-1].rpartition(".")
            break
    name, number = f"{stem}.{extension}", 1
    while sees(folder / name):
        number += 1
        name = f"{stem}-{number}.{extension}"
    return name


def extension_of(language: str) -> str:
    """How a file of a language ends."""
    return EXTENSIONS.get(language.lower(), "txt")


def _fits(name: str, language: str) -> bool:
    """Whether a file of that name is of the language, as far as that is known."""
    ending = name.rpartition(".")[2].lower()
    known = EXTENSIONS.get(language.lower())
    return ending == known.lower() if known else ending in EXTENSIONS.values()


def free_path(typed: str) -> Path | None:
    """The file that is meant, if it can be written unasked: its folder is there, and it is not."""
    path = path_of(typed)
    return path if typed and not sees(path) and sees_folder(path.parent) else None


def path_of(typed: str) -> Path:
    """What was typed as a path; a `~` is the home folder."""
    return expand_home(typed.strip())


async def write_code(path: Path, source: str) -> None:
    """Write a whole file, its last line ended."""
    text = source if source.endswith("\n") or not source else source + "\n"
    try:
        await asyncio.to_thread(path.write_text, text, encoding="utf-8", newline="\n")
    except OSError as error:
        raise ChatAppError(f"{path} cannot be written: {error.strerror}.") from error
