"""Paths as terminals hand them over when files are dropped on them or copied in a file manager."""

import shlex
from pathlib import Path
from urllib.parse import unquote, urlsplit

from chatapp.paths import expand_home, sees_file

_MAX = 8192
"""Characters; more is a text, not a few paths."""

_MOST = 50


def dropped_files(pasted: str) -> list[Path]:
    """The files that a pasted text names and nothing else: quoted, escaped, as `file://` addresses,
    several of them. Empty when any of it is no file, or no whole path: `Makefile` is a word."""
    text = pasted.strip()
    if not text or len(text) > _MAX:
        return []
    for read in (_as_lines, _as_shell_words):
        paths = read(text)
        if 0 < len(paths) <= _MOST and all(_is_file(path) for path in paths):
            return paths
    return []


def _is_file(path: Path) -> bool:
    try:
        return path.is_absolute() and sees_file(path)
    except (OSError, ValueError):
        return False


def _as_lines(text: str) -> list[Path]:
    """Each line a path with whatever blanks it has, or an address."""
    return [_path_of(line.strip()) for line in text.splitlines() if line.strip()]


def _as_shell_words(text: str) -> list[Path]:
    try:
        return [_path_of(word) for word in shlex.split(text)]
    except ValueError:
        return []


def _path_of(word: str) -> Path:
    if word.startswith("file://"):
        address = urlsplit(word)
        if address.netloc in ("", "localhost"):
            return Path(unquote(address.path))
    return expand_home(word) if word.startswith("~") else Path(word)
