"""`chatapp history`: past conversations on the command line. Deleting can be undone, until
what was deleted is purged."""

import sys
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from chatapp.cli.importing import import_chats
from chatapp.errors import StoreError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chatapp.store import Store
    from chatapp.store.rows import MessageRow

_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
_LIMIT = click.option(
    "--limit", metavar="N", type=click.IntRange(1, 1_000_000), default=50, help="At most so many."
)
_IDS = click.argument("ids", metavar="ID...", type=int, nargs=-1, required=True)


@click.group(no_args_is_help=True)
def history() -> None:
    """Past conversations: list, read, search, export, import, delete, purge."""


def _open() -> "Store":
    from chatapp.cli.setting import open_history
    from chatapp.paths import find_paths

    return open_history(find_paths())


@history.command("list")
@click.option("--query", metavar="WORDS", default="", help="Only those that mention this.")
@_LIMIT
@_JSON
def list_conversations(query: str, limit: int, as_json: bool) -> None:
    """List conversations, the last used first."""
    from chatapp.cli.output import dump_json
    from chatapp.cli.table import format_time, print_table

    with _open() as store:
        rows = store.list_conversations(limit=limit, query=query)
    if as_json:
        click.echo(dump_json([asdict(row) for row in rows]))
    elif rows:
        lines = [(str(row.id), format_time(row.updated_at), row.title) for row in rows]
        print_table(("ID", "LAST USED", "TITLE"), lines)
    else:
        click.echo("There are no conversations.", err=True)


@history.command("show")
@click.argument("conversation_id", metavar="[ID]", type=int, required=False)
@_JSON
def show_conversation(conversation_id: int | None, as_json: bool) -> None:
    """Print a conversation, the last one unless ID is given: the branch that is shown."""
    from chatapp.cli.output import dump_json
    from chatapp.export import export

    with _open() as store:
        if conversation_id is None:
            conversation_id = _last_id(store)
        if as_json:
            rows = [_describe(row) for row in store.get_path(conversation_id)]
            head = asdict(store.get_conversation(conversation_id))
            click.echo(dump_json(head | {"messages": rows}))
        else:
            _print_pieces(export("markdown", store, [conversation_id]))


def _print_pieces(pieces: "Iterator[str]") -> None:
    for piece in pieces:
        click.echo(piece, nl=False)


def _describe(row: "MessageRow") -> dict[str, Any]:
    """A message as JSON: its parts, and the text and the thoughts in them once more."""
    import msgspec

    facts: dict[str, Any] = msgspec.to_builtins(row)
    last = facts["generations"][-1] if row.generations else None
    return facts | {"content": row.content, "reasoning": row.reasoning, "generation": last}


@history.command("search")
@click.argument("words", nargs=-1, required=True)
@click.option("--reasoning", is_flag=True, help="In what models thought, not in what was said.")
@_LIMIT
@_JSON
def search_messages(words: tuple[str, ...], reasoning: bool, limit: int, as_json: bool) -> int:
    """Find messages that contain WORDS. Exit code 1 when there are none."""
    from chatapp.cli.output import dump_json
    from chatapp.cli.table import format_time

    with _open() as store:
        hits = store.search(" ".join(words), limit=limit, reasoning=reasoning)
    if as_json:
        click.echo(dump_json([asdict(hit) | {"snippet": mark(hit.snippet, "")} for hit in hits]))
    for hit in [] if as_json else hits:
        head = f"{hit.conversation_id}  {format_time(hit.created_at)}  {hit.role}"
        click.echo(f"{head}  {mark(hit.title, '')}\n    {mark(hit.snippet, '1')}")
    if not hits:
        click.echo("Nothing was found.", err=True)
    return 0 if hits else 1


def mark(snippet: str, style: str) -> str:
    """A snippet with its hits in the SGR style `style` where stdout is a terminal, else plain."""
    from chatapp.cli.table import clean_line
    from chatapp.store.rows import HIT_END, HIT_START

    on = style if style and sys.stdout.isatty() else ""
    pieces = []
    for index, piece in enumerate(snippet.split(HIT_START)):
        hit, end, rest = piece.partition(HIT_END)
        if index and end:
            pieces.append(f"\x1b[{on}m{_clean(hit)}\x1b[0m" if on else _clean(hit))
            pieces.append(_clean(rest))
        else:
            pieces.append(_clean(piece))
    return "".join(pieces) if on else clean_line("".join(pieces))


def _clean(piece: str) -> str:
    from chatapp.text import strip_controls

    return strip_controls(piece).replace("\n", " ")


@history.command("export")
@click.argument("ids", metavar="[ID]...", type=int, nargs=-1)
@click.option(
    "-f",
    "--format",
    "name",
    default="markdown",
    metavar="FORMAT",
    help="markdown, json (loses nothing, can be imported), html, or sft. [default: markdown]",
)
@click.option(
    "--all", "whole", is_flag=True, help="With sft: every answer, not what was corrected alone."
)
@click.option(
    "-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="A file, not stdout."
)
def export_conversations(ids: tuple[int, ...], name: str, whole: bool, output: Path | None) -> None:
    """Write conversations as Markdown, JSON or HTML; all of them unless ID is given.

    sft writes answers that you edited, or chose among several, as chats for `chatapp train
    finetune`.
    """
    from chatapp.export import FORMATS, export
    from chatapp.export.sft import ANSWERS, CORRECTIONS

    formats = {**FORMATS, "sft": ANSWERS if whole else CORRECTIONS}
    if name not in formats:
        raise UsageError(f"There is no format {name}.", f"It can be {', '.join(formats)}.")
    if whole and name != "sft":
        raise UsageError("--all is for --format sft.")
    with _open() as store:
        wanted = ids or _all_ids(store)
        if not wanted:
            raise StoreError("There are no conversations to export.")
        if name == "sft":
            wanted = _leave_out(store, wanted, whole)
        pieces = export(formats[name], store, wanted)
        n_written = len(wanted)
        if name == "sft":
            chats = _Chats(pieces)
            pieces = iter(chats)
        if output is None:
            _print_pieces(pieces)
        else:
            from chatapp.cli.writing import write_private

            write_private(output, pieces)
        if name == "sft":
            n_written = chats.n_written
            if wordless := len(wanted) - n_written:
                click.echo(f"{_count(wordless)} left out: no whole answer to learn.", err=True)
    if output is not None:
        click.echo(f"{_count(n_written)} written to {output}", err=True)


class _Chats:
    """The chats to fine-tune on, a line each, counted as they are written."""

    def __init__(self, lines: "Iterator[str]") -> None:
        """Raises `StoreError` where there are none, before a file is touched."""
        first = next(lines, None)
        if first is None:
            raise StoreError("There is nothing to fine-tune on: no answer is whole.")
        self._lines = chain((first,), lines)
        self.n_written = 0

    def __iter__(self) -> "Iterator[str]":
        for line in self._lines:
            self.n_written += 1
            yield line


def _leave_out(store: "Store", ids: tuple[int, ...], whole: bool) -> tuple[int, ...]:
    """Those of the conversations that can be fine-tuned on; says why others cannot.

    Raises `StoreError` where there are none.
    """
    from chatapp.export.sft import is_corrected, refuse

    kept = []
    for one in ids:
        path = store.get_path(one)
        if not (any(map(is_corrected, path)) or (whole and path)):
            continue
        if reason := refuse(path):
            click.echo(f"Conversation {one} is left out: it holds {reason}.", err=True)
        else:
            kept.append(one)
    if not kept:
        raise StoreError(
            "There is nothing to fine-tune on."
            if whole
            else "No answer was edited, or chosen among several.",
            "" if whole else "Every answer is written with --all.",
        )
    return tuple(kept)


@history.command("delete")
@_IDS
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
def delete_conversations(ids: tuple[int, ...], yes: bool) -> None:
    """Delete conversations; `chatapp history undelete` brings them back."""
    from chatapp.cli.table import clean_line

    with _open() as store:
        rows = [store.get_conversation(conversation_id) for conversation_id in ids]
        for row in rows:
            click.echo(f"{row.id}  {clean_line(row.title)}", err=True)
        if not yes:
            click.confirm(f"Delete {_count(len(rows))}?", abort=True, err=True)
        for row in rows:
            store.delete_conversation(row.id)
    numbers = " ".join(map(str, ids))
    click.echo(f"Deleted. To bring back: chatapp history undelete {numbers}", err=True)


@history.command("undelete")
@_IDS
def undelete_conversations(ids: tuple[int, ...]) -> None:
    """Bring deleted conversations back."""
    with _open() as store:
        for conversation_id in ids:
            store.get_conversation(conversation_id)
            store.undelete_conversation(conversation_id)
    click.echo(f"{_count(len(ids))} brought back.", err=True)


@history.command("purge")
@click.option("--now", is_flag=True, help="Everything that was deleted, however recently.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
def purge_conversations(now: bool, yes: bool) -> None:
    """Remove deleted conversations for good; no trace of them stays in the file.

    Without --now those that were deleted before the `keep_deleted_days` of the settings.
    """
    from chatapp.cli.table import clean_line
    from chatapp.config import load_config
    from chatapp.paths import find_paths

    days = 0 if now else load_config(find_paths()).history.keep_deleted_days
    with _open() as store:
        rows = store.list_deleted(days)
        for row in rows:
            click.echo(f"{row.id}  {clean_line(row.title)}", err=True)
        if rows and not yes:
            click.confirm(
                f"Remove {_count(len(rows))} for good? This cannot be undone", abort=True, err=True
            )
        done = store.empty_bin() if now else store.purge_deleted(days)
    click.echo(f"{_count(done.conversations)} removed for good.", err=True)
    if not done.swept:
        click.echo(
            "Traces may still be in the file: another program is using it, or the disk is full."
            " The next start of chatapp removes them.",
            err=True,
        )


@history.command("backup")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
def back_up(file: Path) -> None:
    """Write a copy of the whole history database to FILE, even while it is in use."""
    with _open() as store:
        store.backup(file)
    click.echo(f"Backup written to {file}", err=True)


history.add_command(import_chats)


def _last_id(store: "Store") -> int:
    last = store.last_conversation()
    if last is None:
        raise StoreError("There are no conversations yet.")
    return last.id


def _all_ids(store: "Store") -> tuple[int, ...]:
    """Oldest first, as one would read them."""
    return tuple(
        row.id for row in reversed(store.list_conversations(limit=1_000_000, archived=None))
    )


def _count(number: int) -> str:
    return "1 conversation" if number == 1 else f"{number} conversations"
