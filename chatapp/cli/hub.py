"""`chatapp models search` and `chatapp models pull`."""

import threading
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from pathlib import Path

    from chatapp.gguf.fit import Machine
    from chatapp.library.hub import Found


@click.command("search")
@click.argument("words", nargs=-1, required=True)
@click.option("--limit", type=click.IntRange(1, 100), default=20, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def search(words: tuple[str, ...], limit: int, as_json: bool) -> None:
    """Search the hub for models in GGUF. Needs the network."""
    from dataclasses import asdict

    from chatapp.cli.output import dump_json
    from chatapp.cli.table import print_table
    from chatapp.cli.waiting import run_beside
    from chatapp.engine.probe import look_at_machine
    from chatapp.library.hub import Hub

    found = run_beside(lambda: Hub().search(" ".join(words), limit))
    if as_json:
        click.echo(dump_json([asdict(one) for one in found]))
        return
    if not found:
        click.echo("Nothing was found. Fewer words find more.", err=True)
        return
    machine = look_at_machine()
    titles = ("REPOSITORY", "PARAMETERS", "ABOUT", "FIT", "DOWNLOADS", "LICENCE")
    print_table(titles, [_format_found(one, machine) for one in found])
    click.echo("\nABOUT is the size in 4 bits. Fetch one with: chatapp models pull REPOSITORY")


@click.command("pull")
@click.argument("specs", metavar="REPOSITORY[:QUANT|/FILE]...", nargs=-1, required=True)
def pull(specs: tuple[str, ...]) -> None:
    """Fetch models from the hub into the models folder.

    \b
    chatapp models pull owner/name               the file recommended for this machine
    chatapp models pull owner/name:Q4_K_M        this quantisation
    chatapp models pull owner/name/file.gguf     this file

    Ctrl+C, a cut or a crash loses nothing: the same command goes on from there.
    """
    for spec in specs:
        _pull(spec)


@click.command("offers")
@click.argument("repository", metavar="REPOSITORY")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def offers(repository: str, as_json: bool) -> None:
    """Show the quantisations that a repository has, and which is recommended here."""
    from dataclasses import asdict

    from chatapp.cli.output import dump_json
    from chatapp.cli.table import print_table
    from chatapp.cli.waiting import run_beside
    from chatapp.engine.probe import look_at_machine
    from chatapp.gguf.fit import rough_mark
    from chatapp.gguf.size import size_text
    from chatapp.library.hub import Hub
    from chatapp.library.offers import Spec, choose, parse_spec

    found = run_beside(lambda: Hub().look_into(parse_spec(repository).repo))
    machine = look_at_machine()
    best = choose(found, Spec(found.id), machine)
    if as_json:
        click.echo(dump_json(asdict(found) | {"recommended": best.name}))
        return
    rows = [
        (
            "*" if offer == best else "",
            offer.name,
            size_text(offer.size_bytes),
            rough_mark(offer.size_bytes, machine),
        )
        for offer in found.offers
    ]
    print_table(("", "NAME", "SIZE", "FIT"), rows)
    click.echo(f"\nLicence: {found.licence or 'not said'}. * is recommended here.")


def _pull(text: str) -> None:
    from chatapp.cli.progress import Progress
    from chatapp.cli.table import clean_line
    from chatapp.cli.waiting import run_beside
    from chatapp.engine.probe import look_at_machine
    from chatapp.gguf.fit import rough_mark
    from chatapp.gguf.size import size_text
    from chatapp.library.fetching import Fetcher
    from chatapp.library.hub import Hub
    from chatapp.library.offers import choose, parse_spec
    from chatapp.paths import find_paths

    spec = parse_spec(text)
    hub = Hub()
    repository = run_beside(lambda: hub.look_into(spec.repo))
    machine = look_at_machine()
    offer = choose(repository, spec, machine)
    facts = (
        repository.id,
        offer.name,
        size_text(offer.size_bytes),
        rough_mark(offer.size_bytes, machine),
        f"licence: {repository.licence or 'not said'}",
    )
    click.echo(clean_line(" · ".join(fact for fact in facts if fact)), err=True)
    progress, cancel = Progress(), threading.Event()
    fetcher = Fetcher(
        hub.source(repository),
        find_paths().models / repository.folder,
        report=progress.show_fetch,
        is_cancelled=cancel.is_set,
    )
    try:
        path = run_beside(lambda: fetcher.fetch(offer.files), cancel)
    except KeyboardInterrupt:
        progress.clear()
        click.echo("Stopped. The same command goes on from there.", err=True)
        raise
    finally:
        progress.clear()
    click.echo(path)
    click.echo(f"Chat with it: chatapp --model {_shortest_name(path)}", err=True)


def _shortest_name(path: "Path") -> str:
    """What means this model and no other."""
    from chatapp.config import load_config
    from chatapp.errors import ChatAppError
    from chatapp.library.local import resolve_model
    from chatapp.paths import find_paths

    paths = find_paths()
    try:
        alone = resolve_model(path.name, load_config(paths), paths) == path
    except ChatAppError:
        alone = False
    return path.name if alone else str(path.relative_to(paths.models))


def _format_found(found: "Found", machine: "Machine | None") -> tuple[str, ...]:
    from chatapp.gguf.fit import guess_size, rough_mark
    from chatapp.gguf.model_info import name_size
    from chatapp.gguf.size import size_text

    size = guess_size(found.n_params)
    licence = f"{found.licence or '?'}{', gated' if found.gated else ''}"
    return (
        found.id,
        name_size(found.n_params) if found.n_params else "?",
        size_text(size) if size else "?",
        rough_mark(size, machine),
        f"{found.downloads:,}",
        licence,
    )
