"""The tables that facts are made of, as plain values.

Whoever holds the real tables fills them in (`chatapp.cli.program`); a test or a maker of training
texts may give others, with other keys and names.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Language = Literal["en", "zh"]


@dataclass(frozen=True, slots=True)
class KeyRow:
    """What one action's keys are."""

    keys: tuple[str, ...]
    """As people read them, `Ctrl+R`; none where the settings have switched the key off."""
    help: str
    """One sentence."""
    place: str = ""
    """Where it works, `List of chats`; empty: while one writes."""


@dataclass(frozen=True, slots=True)
class CommandRow:
    """A slash command of the chat, with what it does."""

    name: str
    """With its slash."""
    usage: str
    """As one types it, `/set [NAME [VALUE]]`."""
    help: str
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ProgramRow:
    """A command of the command line."""

    name: str
    """As one types it, `chatapp models pull`."""
    help: str


@dataclass(frozen=True, slots=True)
class FlagRow:
    """A flag of such a command."""

    name: str
    """The long one, `--json`."""
    help: str
    names: tuple[str, ...] = ()
    """Every spelling."""


@dataclass(frozen=True, slots=True)
class SettingRow:
    """A setting and its values, as they stand in the file."""

    name: str
    """`measure`."""
    section: str
    """`ui`."""
    help: str
    value: str
    default: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """Every table, by ids without their kind: `regenerate`, `/set`, `models pull`, `ask --json`,
    `ui.theme`, `history`. The chat itself is the command `chatapp`."""

    keys: Mapping[str, KeyRow] = field(default_factory=dict)
    commands: Mapping[str, CommandRow] = field(default_factory=dict)
    cli: Mapping[str, ProgramRow] = field(default_factory=dict)
    flags: Mapping[str, FlagRow] = field(default_factory=dict)
    settings: Mapping[str, SettingRow] = field(default_factory=dict)
    folders: Mapping[str, str] = field(default_factory=dict)

    def has(self, fact_id: str) -> bool:
        """Whether `kind:name` stands in one of the tables; concepts and faults stand in none."""
        kind, _, name = fact_id.partition(":")
        return name in self.table(kind)

    def table(self, kind: str) -> Mapping[str, object]:
        """The table of one kind of id; empty where there is none."""
        tables: dict[str, Mapping[str, object]] = {
            "key": self.keys,
            "command": self.commands,
            "cli": self.cli,
            "flag": self.flags,
            "setting": self.settings,
            "folder": self.folders,
        }
        return tables.get(kind, {})
