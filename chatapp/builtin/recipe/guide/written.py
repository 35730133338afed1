"""Questions that people wrote for each fact, and pairs in which the second goes on from the first.

`questions/` has a table for each fact, by its id: `en` and `zh` with a question on each line, and
`follow` with `first | second` on each, the second being about the fact. `near.toml` has, by
language, what sounds near and is beyond them, and `tasks.toml` what people want done.
"""

import tomllib
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from chatapp.guide.facts import Language

FOLDER = Path(__file__).parent / "questions"
FOLDS = 3
"""Questions of one part are looked up by what was learned from the others."""


@dataclass(frozen=True, slots=True)
class Written:
    """What was written for one fact."""

    asked: Mapping[Language, Sequence[str]]
    follow: Sequence[tuple[str, str]]


@cache
def read_near() -> Mapping[Language, Sequence[str]]:
    """What sounds as if chatapp knew it, and is beyond it."""
    return _read_beyond("near")


@cache
def read_tasks() -> Mapping[Language, Sequence[str]]:
    """What people want done, which is beyond chatapp too."""
    return _read_beyond("tasks")


@cache
def read_written() -> Mapping[str, Written]:
    """Everything that was written, by the id of the fact that answers it."""
    return {
        fact_id: Written(
            {"en": _lines(table, "en"), "zh": _lines(table, "zh")},
            [_pair(line) for line in _lines(table, "follow")],
        )
        for path in sorted(FOLDER.glob("*.toml"))
        for fact_id, table in tomllib.loads(path.read_text(encoding="utf-8")).items()
        if isinstance(table, dict)
    }


def fold_of(text: str) -> int:
    """Which of `FOLDS` parts of all questions a text belongs to: always the same one."""
    return zlib.crc32(text.encode()) % FOLDS


def _read_beyond(name: str) -> Mapping[Language, Sequence[str]]:
    table = tomllib.loads((FOLDER / f"{name}.toml").read_text(encoding="utf-8"))
    return {"en": _lines(table, "en"), "zh": _lines(table, "zh")}


def _lines(table: Mapping[str, str], name: str) -> list[str]:
    return [line.strip() for line in table.get(name, "").splitlines() if line.strip()]


def _pair(line: str) -> tuple[str, str]:
    first, _, second = line.partition("|")
    return first.strip(), second.strip()
