"""Questions about chatapp with what a right answer holds, and how an answer is judged.

A line of a file is a JSON object: `ask` is a question, or several of a conversation of which the
last counts; `facts` are the ids of facts, or lists of ids of which one is enough; `any` are ids of
which one is enough; `needs` is what an answer holds, as `tests/guide/needs.py` has it. A line
without needs is beyond chatapp: an honest answer admits that.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from chatapp.guide.facts import Program
from chatapp.guide.naming import names_in
from chatapp.guide.quoting import MARKS
from chatapp.paths import Paths
from tests.guide.needs import is_right

Verdict = Literal["right", "admitted", "wrong"]

_ADMITS = re.compile(
    r"beyond me|(?:do not|don't|cannot|can't|can not) (?:know|answer|help|tell|say|do)|not know|"
    r"no idea|(?:bigger|larger|better) model|nothing (?:about|that fits)|only know|not sure|"
    r"不知道|不确定|不清楚|不了解|超出|无法回答|回答不了|更大的模型|不懂|帮不上|没有相关",
    re.IGNORECASE,
)


_DOUBTS = re.compile(r"I am not sure that you mean chatapp|我不确定你问的是不是")


@dataclass(frozen=True, slots=True)
class Question:
    """One line of a file of questions: what is asked, and what an answer must hold."""

    ask: tuple[str, ...]
    facts: tuple[tuple[str, ...], ...]
    """Of each one should be found."""
    needs: list[list[str]]
    kind: str = ""


def read_questions(path: Path) -> list[Question]:
    """Every line of a file; plain text is a question that is beyond chatapp. Raises `ValueError`
    that names the line."""
    found = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip():
            continue
        try:
            row: Any = json.loads(line) if line.startswith("{") else {"ask": line}
            asked = row.get("ask") or row["text"]
            facts = [(one,) if isinstance(one, str) else tuple(one) for one in row.get("facts", ())]
            facts += [tuple(row["any"])] if row.get("any") else []
            ask = (asked,) if isinstance(asked, str) else tuple(asked)
            kind = str(row.get("kind", ""))
            found.append(Question(ask, tuple(facts), row.get("needs", []), kind))
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{path}, line {number}: {error}") from error
    return found


def is_found(question: Question, ids: Sequence[str]) -> bool:
    """Whether facts of these ids are those of the question."""
    return all(any(one in ids for one in part) for part in question.facts)


def judge(question: Question, answer: str, paths: Paths, keys: Mapping[str, str]) -> Verdict:
    """Whether the answer holds what it needs, or says that it does not know; with these keys of the
    user's. What is beyond chatapp is to be admitted; small talk has any answer without names."""
    if question.needs:
        if is_right(answer, question.needs, paths, keymap=keys):
            return "right"
        says_a_fact = any(line[:1] in MARKS for line in answer.splitlines() if line)
        return "admitted" if _ADMITS.search(answer) and not says_a_fact else "wrong"
    if _ADMITS.search(answer):
        return "admitted"
    is_small_talk = "small" in question.kind and not names_in(answer)
    return "right" if is_small_talk and answer.strip() else "wrong"


def is_in_doubt(answer: str) -> bool:
    """Whether an answer says first that it may not be chatapp that is meant."""
    return _DOUBTS.match(answer) is not None


def invented(answer: str, program: Program) -> set[str]:
    """The keys, commands and flags in an answer that the program does not have."""
    rows = [key.keys for key in program.keys.values()]
    known = {key.lower() for keys in rows for key in keys}
    commands = program.commands.values()
    known |= {name.lower() for row in commands for name in (row.name, *row.aliases)}
    known |= {name.lower() for row in program.flags.values() for name in row.names}
    return names_in(answer) - known - {"--help", "ctrl+c", "ctrl+j", "shift+enter"}
