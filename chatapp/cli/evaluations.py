"""`chatapp eval list`, `show` and `delete`: what was measured before."""

from typing import Any

import click

from chatapp.cli.table import clean_line, format_duration, format_time, print_table

_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
_HASH = 12
"""Characters of a hash that are shown."""


@click.command(name="list")
@click.option("--kind", metavar="KIND", default="", help="perplexity, tasks, compare or bench.")
@click.option(
    "-n", "--limit", metavar="N", default=50, type=click.IntRange(min=1), help="At most so many."
)
@_JSON
def list_(*, kind: str, limit: int, as_json: bool) -> None:
    """List what was measured, the newest first."""
    from chatapp.cli.output import dump_json
    from chatapp.evaluate.kept import EACH
    from chatapp.evaluate.wording import name_model, name_subject, summarise

    with _open() as store:
        rows = store.evaluations.find(limit, kind=kind)
    if as_json:
        listed = [_describe(row) for row in rows]
        for row in listed:
            row["results"].pop(EACH, None)  # `show` has them
        click.echo(dump_json(listed))
        return
    if not rows:
        click.echo("Nothing was measured yet: chatapp eval perplexity MODEL TEXT", err=True)
        return
    table = [
        (
            str(row.id),
            format_time(row.created_at),
            row.kind,
            summarise(row.results),
            row.model_hash[:_HASH],
            name_model(row),
            name_subject(row),
        )
        for row in rows
    ]
    print_table(("id", "when", "kind", "result", "hash", "model", "measured at"), table)


@click.command()
@click.argument("number", metavar="ID", type=int)
@_JSON
def show(number: int, *, as_json: bool) -> None:
    """Show one evaluation with its settings and all its results."""
    from chatapp.cli.output import dump_json
    from chatapp.evaluate.kept import EACH
    from chatapp.evaluate.wording import name_subject

    with _open() as store:
        row = store.evaluations.get(number)
    if as_json:
        click.echo(dump_json(_describe(row)))
        return
    lines = [
        ("kind", row.kind),
        ("when", f"{format_time(row.created_at)}, took {format_duration(row.seconds)}"),
        ("model", row.model),
        ("model hash", row.model_hash or "none"),
        ("measured at", name_subject(row)),
        ("its sha256", row.subject_sha256),
        *row.settings.items(),
        *((name, said) for name, said in row.results.items() if name != EACH),
    ]
    width = max(len(clean_line(str(name))) for name, _ in lines)
    for name, said in lines:
        text = said if isinstance(said, str) else dump_json(said)
        click.echo(f"{clean_line(str(name)):<{width}}  {clean_line(text)}")


@click.command()
@click.argument("numbers", metavar="ID...", type=int, nargs=-1, required=True)
def delete(numbers: tuple[int, ...]) -> None:
    """Remove evaluations from the history for good."""
    with _open() as store:
        store.evaluations.delete(*numbers)


def _open() -> Any:
    from chatapp.cli.setting import open_history
    from chatapp.paths import find_paths

    return open_history(find_paths(), recover=False)


def _describe(row: Any) -> dict[str, Any]:
    from dataclasses import asdict

    return asdict(row)
