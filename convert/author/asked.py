"""Which code of the user's is meant by `--code`, and what it is called in a report."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from convert.errors import UsageError

SECONDS = 300.0
_USUAL = ("model.py", "gpt.py", "modeling.py", "transformer.py")
MAX_BYTES = 16 << 20  # a notebook with its pictures
_WORDS = {"true": True, "false": False, "none": None, "null": None}


@dataclass(frozen=True)
class Code:
    """A file that was named, and what in it."""

    path: Path
    """A `.py` or a `.ipynb`, absolute."""
    name: str = ""
    """A class or function in it; "" leaves it to be found."""
    arguments: dict[str, Any] = field(default_factory=dict)
    """What it is built with, stronger than all else."""
    seconds: float = SECONDS
    """It may take for each answer."""
    memory: int | None = None
    """Bytes it may take; None: by the size of the model."""

    @property
    def label(self) -> str:
        """What the code is called in messages: `FILE.py:NAME`."""
        return f"{self.path.name}:{self.name}" if self.name else self.path.name

    @property
    def digest(self) -> str:
        """The sha256 of the code's file, in hexadecimal. Raises `UsageError`."""
        return sha256(self.read()).hexdigest()

    def read(self) -> bytes:
        """The bytes of the file with the code. Raises `UsageError`."""
        try:
            with self.path.open("rb") as file:
                data = file.read(MAX_BYTES + 1)
        except OSError as error:
            raise UsageError(f"{self.path} cannot be read: {error.strerror or error}.") from error
        if len(data) > MAX_BYTES:
            raise UsageError(f"{self.path} is no code: it has more than {MAX_BYTES >> 20} MB.")
        return data


def parse_code(
    text: str,
    arguments: Iterable[str] = (),
    seconds: float | None = None,
    memory: int | None = None,
) -> Code:
    """`FILE.py[:NAME]` and `k=v ...` as code. Raises `UsageError`."""
    path, name = Path(text), ""
    before, colon, after = text.rpartition(":")
    if colon and after.isidentifier() and not path.exists():
        path, name = Path(before), after
    path = _find_file(path).absolute()
    if seconds is not None and not 0 < seconds < 1e6:
        raise UsageError(f"{seconds} is no time.", "For example: --code-seconds 600.")
    given = dict(parse_argument(one) for one in arguments)
    return Code(path, name, given, seconds or SECONDS, memory)


def _find_file(path: Path) -> Path:
    """The file itself, or the one in a folder that holds the model."""
    if path.is_dir():
        scripts = sorted(path.glob("*.py"))
        usual = [path / name for name in _USUAL if (path / name).is_file()]
        found = usual[:1] or scripts
        if len(found) != 1:
            raise UsageError(
                f"{path} holds {len(scripts)} Python files.",
                "Name the one with the model: --code FILE.py:CLASS.",
            )
        return found[0]
    if not path.is_file():
        raise UsageError(f"{path} does not exist.", "Give the model's code: --code FILE.py:CLASS.")
    if path.suffix not in {".py", ".ipynb"}:
        raise UsageError(f"{path} is no Python.", "Give the model's code: --code FILE.py:CLASS.")
    return path


def parse_argument(text: str) -> tuple[str, Any]:
    """`key=value` as (key, value): what Python reads in it, else text. Raises `UsageError`."""
    key, equals, value = text.partition("=")
    if not equals or not key.strip().isidentifier():
        raise UsageError(
            f"--code-args {text[:60]!r} is not key=value.",
            "For example: --code-args n_embd=384 n_head=6; the source goes before it.",
        )
    return key.strip(), parse_value(value.strip())


def parse_value(text: str) -> Any:
    """A number, True, None, a list, or text."""
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    try:
        value = ast.literal_eval(text)
        json.dumps(value)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        return text
    return value
