"""`chatapp history import`: chats of other programs, and exports of our own."""

import signal
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from chatapp.export.imports import Report

_SHOWN = 3  # names of files, and ids, that a line has room for


class _Command(click.Command):
    """A command whose help ends with the programs that are known."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """The programs, and where each keeps its chats."""
        from chatapp.export.imports import PROGRAMS

        with formatter.section("Programs (the names for --from)"):
            formatter.write_dl(
                [(one.name, f"{one.title}: {one.where}") for one in PROGRAMS.values()]
            )


@click.command("import", cls=_Command)
@click.argument("place", metavar="FILE|FOLDER", type=click.Path(path_type=Path, allow_dash=True))
@click.option(
    "--from", "name", metavar="NAME", default="", help="Whose chats they are, if unclear."
)
def import_chats(place: Path, name: str) -> None:
    """Import chats of another program, or a JSON export of chatapp.

    Takes a file, a ZIP, a folder with all that is in it, or - for standard input. Importing again
    adds only what is new.
    """
    from chatapp.cli.progress import Progress
    from chatapp.cli.setting import open_history
    from chatapp.export.imports import Report, choose, import_from
    from chatapp.paths import expand_home, find_paths

    program = choose(name) if name else None
    report, progress = Report(), Progress()
    with open_history(find_paths()) as store, _stopping(report) as look:

        def show(now: "Report") -> None:
            progress.show_import(len(now.new), now.messages)
            look()

        try:
            import_from(store, expand_home(place), program, report, show)
        except KeyboardInterrupt:
            progress.clear()
            click.echo(f"Stopped. {_count(report)} by then, whole.", err=True)
            click.echo("Importing again goes on with the rest.", err=True)
            raise click.Abort from None
        finally:
            progress.clear()
    _tell(report)


@contextmanager
def _stopping(report: "Report") -> "Iterator[Callable[[], None]]":
    """Ctrl+C ends the import between two batches, so that what is said of it is so; a second one
    ends it at once, and what is being stored is undone. Yields what looks whether one came."""
    asked = False

    def ask(*_: object) -> None:
        nonlocal asked
        if asked or not report.is_storing:
            raise KeyboardInterrupt
        asked = True
        click.echo("Stopping when this is stored. Ctrl+C again stops at once.", err=True)

    def look() -> None:
        if asked:
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, ask)
    try:
        yield look
    finally:
        signal.signal(signal.SIGINT, before)


def _tell(report: "Report") -> None:
    from chatapp.cli.table import clean_line

    click.echo(f"{_count(report)}{_known(report)}.", err=True)
    if 0 < len(report.new) <= _SHOWN:
        click.echo(f"To read: chatapp history show {' '.join(map(str, report.new[:1]))}", err=True)
    if report.deleted:
        ids = " ".join(map(str, report.deleted[:20]))
        them = "it" if len(report.deleted) == 1 else "them"
        click.echo(
            f"Known but deleted here: {_plural(len(report.deleted), 'conversation')};"
            f" to bring {them} back: chatapp history undelete {ids}",
            err=True,
        )
    if report.losses:
        lost = "; ".join(f"{what} ({count:,})" for what, count in report.losses.most_common())
        click.echo(f"Not carried over: {clean_line(lost)}.", err=True)
    if report.passed_over:
        names = [*report.passed_over][:_SHOWN]
        more = len(report.passed_over) - len(names)
        listed = "; ".join(f"{one} ({report.passed_over[one].rstrip('.')})" for one in names)
        end = f"; and {more} more" if more else ""
        click.echo(clean_line(f"Passed over {_files(report)}: {listed}{end}."), err=True)


def _count(report: "Report") -> str:
    """`Imported from ChatGPT: 12 conversations, 340 messages`."""
    titles = ", ".join(report.programs) or "nothing"
    conversations = _plural(len(report.new), "conversation")
    return f"Imported from {titles}: {conversations}, {_plural(report.messages, 'message')}"


def _known(report: "Report") -> str:
    words = [
        f"{len(report.grown):,} known with new messages" if report.grown else "",
        f"{report.known:,} known already" if report.known else "",
        f"{report.empty:,} without a message left out" if report.empty else "",
    ]
    listed = ", ".join(word for word in words if word)
    return f"; {listed}" if listed else ""


def _files(report: "Report") -> str:
    return _plural(len(report.passed_over), "file")


def _plural(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
