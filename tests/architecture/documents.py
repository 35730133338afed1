"""The project's documents, cut into what can be checked: code blocks and the commands in them."""

import re
import shlex
from pathlib import Path

from tests.architecture.sources import ROOT

DOCUMENTS = (
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "docs/ARCHITECTURE.md",
    "docs/COMMANDS.md",
    "docs/COMMAND_LINE.md",
    "docs/CONVERTING.md",
    "docs/EVALUATING.md",
    "docs/KEYS.md",
    "docs/MODELS.md",
    "docs/PRESETS.md",
    "docs/SCREEN.md",
    "docs/SETTINGS.md",
    "docs/TRAINING.md",
    "bench/README.md",
)

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_ASSIGNMENT = re.compile(r"[A-Z_]+=")


def read(document: str) -> str:
    """The text of a document, by its path from the root."""
    return (ROOT / document).read_text(encoding="utf-8")


def blocks(document: str, language: str) -> list[str]:
    """The code blocks in `language`."""
    return [body for name, body in _FENCE.findall(read(document)) if name == language]


def commands(document: str) -> list[list[str]]:
    """Every command in the shell blocks as its words; pipes and `&&` part commands."""
    return [
        command
        for block in blocks(document, "sh")
        for line in block.splitlines()
        for command in split_line(line)
    ]


def split_line(line: str) -> list[list[str]]:
    """The commands of one line, without comments, redirections and assignments in front."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    found: list[list[str]] = [[]]
    redirected = False
    for word in lexer:
        if set(word) <= set("|&;"):
            found.append([])
        elif set(word) <= set("<>"):
            redirected = True
        elif redirected:
            redirected = False
        elif found[-1] or not _ASSIGNMENT.match(word):
            found[-1].append(word)
    return [command for command in found if command]


def make_files(words: list[str], folder: Path) -> None:
    """Empty files in `folder` for the words that look like file names."""
    for word in words:
        if re.fullmatch(r"[\w.-]+\.\w+", word):
            (folder / word).touch()
