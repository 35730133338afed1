"""The text files below a folder, the near ones first.

Passed over: hidden names, what `.gitignore` files and `.git/info/exclude` ignore, names that say
that they are no text, and links to folders. git itself is not asked: its settings in a folder can
start programs, and a folder is not trusted. Blocks; for a thread.
"""

import os
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from pathspec import GitIgnoreSpec

MAX_FILES = 200_000
"""Files that are listed; what lies deeper is left out."""

_MAX_RULES = 256 * 1024
"""Bytes of one `.gitignore` that are read."""

# fmt: off
_NO_TEXT = frozenset({
    ".7z", ".a", ".avi", ".bin", ".bmp", ".bz2", ".class", ".db", ".dll", ".dmg", ".doc",
    ".docx", ".dylib", ".eot", ".exe", ".flac", ".gguf", ".gif", ".gz", ".ico", ".iso", ".jar",
    ".jpeg", ".jpg", ".lib", ".lockb", ".mkv", ".mo", ".mov", ".mp3", ".mp4", ".npy", ".npz",
    ".o", ".obj", ".odt", ".ogg", ".onnx", ".otf", ".parquet", ".pdf", ".pickle", ".pkl", ".png",
    ".ppt", ".pptx", ".pt", ".pth", ".pyc", ".pyd", ".rar", ".safetensors", ".so", ".sqlite",
    ".sqlite3", ".tar", ".tgz", ".tif", ".tiff", ".ttf", ".wasm", ".wav", ".webm", ".webp",
    ".whl", ".woff", ".woff2", ".xls", ".xlsx", ".xz", ".zip", ".zst", ".split",
})
# fmt: on


def list_files(folder: Path, limit: int = MAX_FILES) -> Iterator[str]:
    """Paths relative to `folder`, with `/`. What cannot be read is passed over."""
    left = limit
    waiting = deque([("", _rules_above(folder))])
    while waiting and left > 0:
        below, rules = waiting.popleft()
        rules = [*rules, *_rules_of(folder, below)]
        for name, is_folder in _entries(folder / below):
            path = f"{below}{name}"
            if name.startswith(".") or _is_ignored(path + "/" * is_folder, rules):
                continue
            if is_folder:
                waiting.append((f"{path}/", rules))
            elif Path(name).suffix.lower() not in _NO_TEXT:
                yield path
                left -= 1
                if not left:
                    return


def _entries(folder: Path) -> list[tuple[str, bool]]:
    try:
        with os.scandir(folder) as entries:
            found = [
                (entry.name, entry.is_dir(follow_symlinks=False))
                for entry in entries
                if entry.is_dir(follow_symlinks=False) or entry.is_file()
            ]
    except OSError:
        return []
    return sorted(found)


_Rules = list[tuple[str, GitIgnoreSpec]]
"""Rules with the folder, relative to the listed one, that they are for: `../` for one above."""


def _is_ignored(path: str, rules: _Rules) -> bool:
    """The last rule that says something decides, as in git."""
    for below, spec in reversed(rules):
        said = spec.check_file(below + path if below.startswith("^") else path[len(below) :])
        if said.include is not None:
            return said.include
    return False


def _rules_of(folder: Path, below: str) -> _Rules:
    spec = _read_rules(folder / below / ".gitignore")
    exclude = _read_rules(folder / below / ".git" / "info" / "exclude")
    return [(below, found) for found in (exclude, spec) if found]


def _rules_above(folder: Path) -> _Rules:
    """Rules of the folders above, up to the one that is git's."""
    if (folder / ".git").exists():
        return []
    found: _Rules = []
    for above in folder.parents:
        inner = folder.relative_to(above).as_posix()
        rules = [
            _read_rules(above / ".git" / "info" / "exclude"),
            _read_rules(above / ".gitignore"),
        ]
        found = [*((f"^{inner}/", spec) for spec in rules if spec), *found]
        if (above / ".git").exists():
            return found
    return []


def _read_rules(path: Path) -> GitIgnoreSpec | None:
    try:
        with path.open("rb") as file:
            lines = file.read(_MAX_RULES).decode("utf-8", "replace").splitlines()
    except OSError:
        return None
    try:
        return GitIgnoreSpec.from_lines(lines)
    except ValueError:  # a pattern that is none
        return GitIgnoreSpec.from_lines([line for line in lines if _is_rule(line)])


def _is_rule(line: str) -> bool:
    try:
        GitIgnoreSpec.from_lines([line])
    except ValueError:  # a pattern that is none
        return False
    return True
