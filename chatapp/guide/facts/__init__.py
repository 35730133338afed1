"""Facts about the program as it is configured: complete, short sentences, each with stable ids."""

from chatapp.guide.facts.making import Fact, make_facts
from chatapp.guide.facts.program import (
    CommandRow,
    FlagRow,
    KeyRow,
    Language,
    Program,
    ProgramRow,
    SettingRow,
)

__all__ = [
    "CommandRow",
    "Fact",
    "FlagRow",
    "KeyRow",
    "Language",
    "Program",
    "ProgramRow",
    "SettingRow",
    "make_facts",
]
