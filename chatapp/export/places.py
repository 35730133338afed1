"""Where an export goes: the format by a file's suffix, and a name made of the title."""

import re
import unicodedata
from itertools import count
from pathlib import Path

from chatapp.errors import UsageError
from chatapp.export.registry import FORMATS, Format
from chatapp.paths import expand_home, sees_folder
from chatapp.text import cut_text, one_line, strip_controls

_SUFFIXES = {".markdown": ".md", ".htm": ".html"}
_MAX_NAME = 60
"""Characters of a title that a file's name is made of."""
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)


def choose_place(wanted: str, title: str, folder: Path) -> tuple[Path, Format]:
    """The file to write, and how: `wanted` is a path, a folder, a format's name or nothing.

    A path without a suffix becomes Markdown. Relative paths are below `folder`. Raises `UsageError`
    for a suffix that no format has.
    """
    by_suffix = {format_.suffix: format_ for format_ in FORMATS.values()}
    wanted = wanted.strip()
    if len(wanted) > 1 and wanted[0] == wanted[-1] and wanted[0] in "\"'":
        wanted = wanted[1:-1]
    named = FORMATS.get(wanted.lower()) or by_suffix.get(f".{wanted.lower().lstrip('.')}")
    if named is not None or not wanted:
        chosen = named or by_suffix[".md"]
        return folder / f"{name_file(title)}{chosen.suffix}", chosen
    path = folder / expand_home(wanted)
    if wanted.endswith(("/", "\\")) or sees_folder(path):
        return path / f"{name_file(title)}.md", by_suffix[".md"]
    suffix = path.suffix.lower()
    suffix = _SUFFIXES.get(suffix, suffix)
    if not suffix:
        return path.with_name(f"{path.name}.md"), by_suffix[".md"]
    if suffix not in by_suffix:
        raise UsageError(
            f"There is no export format for {one_line(path.suffix)} files.",
            f"The name ends in one of: {', '.join(by_suffix)}.",
        )
    return path, by_suffix[suffix]


def name_file(title: str) -> str:
    """A title as a file's name on every system: letters, digits, `-`, `_`, dots and blanks."""
    line = unicodedata.normalize("NFC", one_line(strip_controls(title)))
    kept = "".join(char if char.isalnum() or char in "-_. " else " " for char in line)
    name = cut_text(" ".join(kept.split()), _MAX_NAME).strip("-. ")
    while len(name.encode("utf-8", "replace")) > 200:  # a name has 255 bytes at most
        name = name[:-1].strip("-. ")
    return f"{name} chat".strip() if not name or _RESERVED.fullmatch(name) else name


def find_free(path: Path) -> Path:
    """`path`, or the first of `name 2`, `name 3` beside it that is not there."""
    if not path.exists():
        return path
    names = (path.with_name(f"{path.stem} {number}{path.suffix}") for number in count(2))
    return next(name for name in names if not name.exists())
