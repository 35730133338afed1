"""The real program, as the settings of a test say, and the questions that were written for it."""

import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from chatapp.cli.program import read_program
from chatapp.config import Config
from chatapp.guide.facts import Program
from chatapp.guide.retrieval import Guide
from chatapp.paths import Paths

PATHS = Paths(data=Path("/d"), config=Path("/c"), state=Path("/s"))
QUESTIONS = Path(__file__).parent / "dev.jsonl"
BEYOND = Path(__file__).parent / "dev_beyond.txt"


@cache
def real_program() -> Program:
    return read_program(Config(), PATHS)


@cache
def real_guide() -> Guide:
    return Guide(real_program())


def program_with_keys(**keys: str) -> Program:
    return read_program(replace(Config(), keys=keys), PATHS)


def questions() -> list[dict[str, Any]]:
    return [json.loads(line) for line in QUESTIONS.read_text(encoding="utf-8").splitlines()]


def beyond() -> list[str]:
    return BEYOND.read_text(encoding="utf-8").splitlines()
