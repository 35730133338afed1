"""A click group that knows its commands by name and one line of help, and loads one when it runs.

Promises that `--help`, `--version` and a misspelt command import no command's module.
"""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import click


@dataclass(frozen=True, slots=True)
class Entry:
    """Where a command is and what it does."""

    module: str
    attribute: str
    help: str


class LazyGroup(click.Group):
    """A group over a table of entries."""

    def __init__(self, *args: Any, entries: Mapping[str, Entry], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._entries = entries

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Names in the table's order, which is by use, not by alphabet."""
        return list(self._entries)

    def get_command(
        self,
        ctx: click.Context,  # noqa: ARG002 - click's signature
        cmd_name: str,
    ) -> click.Command | None:
        """Import and return a command; None for an unknown name, as click wants it."""
        entry = self._entries.get(cmd_name)
        if entry is None:
            return None
        command = getattr(import_module(entry.module), entry.attribute)
        assert isinstance(command, click.Command)
        return command

    def format_commands(
        self,
        ctx: click.Context,  # noqa: ARG002 - click's signature
        formatter: click.HelpFormatter,
    ) -> None:
        """The table, without importing what it speaks of."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.help) for name, entry in self._entries.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, but a word that is no command may be the start of a question."""
        name = str(args[0])
        if name in self._entries or name.startswith("-") or ctx.resilient_parsing:
            return super().resolve_command(ctx, args)
        raise click.UsageError(f"There is no command `{name}`. {self._suggest(args, ctx)}", ctx)

    def _suggest(self, args: list[str], ctx: click.Context) -> str:
        close = difflib.get_close_matches(args[0], list(self._entries), n=1)
        if close and " " not in args[0]:
            return f"Did you mean `{ctx.command_path} {close[0]}`?"
        if "ask" not in self._entries:
            return f"There are {', '.join(self._entries)}."
        question = " ".join(args)
        if len(question) > 60:
            question = question[:57] + "..."
        return f'To ask something: chatapp ask "{question}"'


class ShortGroup(LazyGroup):
    """A group whose first command is meant where none is named."""

    @property
    def meant(self) -> str:
        """The name of the command that is meant where none is named."""
        return next(iter(self._entries))

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Click's, with the name of the first command in front of what is no command."""
        if not args or (args[0] not in self._entries and args[0] not in ("-h", "--help")):
            args = [self.meant, *args]
        return super().parse_args(ctx, args)
