"""`chatapp models`: which model files there are, what one says of itself, what is kept.

Reads headers only, never loads a model, never starts the engine.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from chatapp.cli.check import check_model
from chatapp.cli.hub import offers, pull, search
from chatapp.cli.model_info import as_values, show_model
from chatapp.cli.remote import add_remote, remove_remote

if TYPE_CHECKING:
    from chatapp.config import Config
    from chatapp.gguf.fit import Machine
    from chatapp.library.headers import Headers
    from chatapp.library.local import ModelFile
    from chatapp.paths import Paths
    from chatapp.remotes import Remote


@click.group(no_args_is_help=True)
def models() -> None:
    """Model files on this machine."""


@models.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
def list_models(as_json: bool) -> None:
    """List every model file: ours, those lying here, and those other programs have."""
    from chatapp.cli.output import dump_json
    from chatapp.cli.table import print_table
    from chatapp.config import load_config
    from chatapp.engine.probe import look_at_machine
    from chatapp.library.headers import Headers
    from chatapp.library.local import find_models
    from chatapp.paths import find_paths
    from chatapp.remotes import read_remotes

    paths = find_paths()
    config = load_config(paths)
    files = find_models(paths, config.library.folders)
    default = _find_default(config, paths)  # None too: the list is how one finds one to set
    headers, machine = Headers(paths.headers), look_at_machine()
    rows = [_describe(file, default, headers, machine) for file in files]
    headers.save()
    rows += [_describe_remote(remote, default) for remote in read_remotes(paths).values()]
    if as_json:
        click.echo(dump_json(rows))
        return
    if rows:
        titles = ("", "NAME", "SIZE", "PARAMETERS", "TYPE", "CONTEXT", "FIT", "WHERE")
        print_table(titles, [_format_row(row) for row in rows])
        click.echo("\n* is used when --model is not given.")
    else:
        click.echo("There is no model file.")
    click.echo(f"Put GGUF files into {paths.models}", err=True)


@models.command("path")
@click.argument("name", metavar="[MODEL]", required=False)
def show_path(name: str | None) -> None:
    """Print where MODEL's file is; without MODEL, the models folder."""
    from chatapp.config import load_config
    from chatapp.library.local import resolve_model
    from chatapp.paths import find_paths

    paths = find_paths()
    path = resolve_model(name, load_config(paths), paths) if name else paths.models
    click.echo(os.fsencode(path))  # as bytes: a script opens what is printed, whatever it is


@models.command("default")
@click.argument("name", metavar="[MODEL]", required=False)
def set_default(name: str | None) -> None:
    """Show the model that is used without --model, or make MODEL that one."""
    from chatapp.config import load_config, save_setting
    from chatapp.library.checkpoints import is_checkpoint
    from chatapp.library.headers import Headers
    from chatapp.library.local import find_model, resolve_model
    from chatapp.library.names import Names
    from chatapp.paths import find_paths, spell_path
    from chatapp.remotes import PREFIX

    paths = find_paths()
    config = load_config(paths)
    if name is None:
        click.echo(os.fsencode(resolve_model(None, config, paths)))
        return
    if name.startswith(PREFIX):
        name = str(resolve_model(name, config, paths))
    else:
        file = find_model(name, config, paths)
        if not is_checkpoint(file.path):
            Headers(None).read_model(file.path)  # a broken one is refused here, not at every start
        name = file.name if file.source == "built-in" else spell_path(file.path)
    save_setting(paths, "engine", "model", name)
    click.echo(f"From now on: {Names(paths).of(resolve_model(name, config, paths))}", err=True)


@models.command("rm")
@click.argument("name", metavar="MODEL")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
def remove(name: str, yes: bool) -> None:
    """Remove a model from the models folder, all its shards with it; or a remote."""
    from chatapp.config import load_config
    from chatapp.gguf.size import size_text
    from chatapp.library.keeping import check_removable, remove_model
    from chatapp.library.local import find_model
    from chatapp.paths import find_paths
    from chatapp.remotes import PREFIX

    paths = find_paths()
    config = load_config(paths)
    if name.startswith(PREFIX):
        remove_remote(name, paths)
        if config.engine.model == name:
            _forget_default(paths)
        return
    default = str(_find_default(config, paths))
    file = find_model(name, config, paths)
    going = check_removable(file, paths)
    for path in going:
        click.echo(str(path), err=True)
    if not yes:
        click.confirm(f"Remove {size_text(file.size_bytes)}?", abort=True, err=True)
    freed = remove_model(going, paths)
    click.echo(f"{size_text(freed)} are free again.", err=True)
    if str(file.path) == default:
        _forget_default(paths)


def _find_default(config: "Config", paths: "Paths") -> Path | None:
    from chatapp.errors import ChatAppError
    from chatapp.library.local import resolve_model

    try:
        return resolve_model(None, config, paths)
    except ChatAppError:
        return None


def _forget_default(paths: "Paths") -> None:
    from chatapp.config import save_setting

    save_setting(paths, "engine", "model", "")
    click.echo("It was the default. From now on: the built-in model.", err=True)


@models.command("import")
@click.argument("source", metavar="FILE", type=click.Path(exists=True, path_type=Path))
@click.option("--force", is_flag=True, help="Replace a file of that name.")
def import_file(source: Path, force: bool) -> None:
    """Put a model file into the models folder: a link on the same disk, else a copy.

    Files of other programs need no import: they are listed and run where they are.
    """
    from chatapp.cli.progress import Progress
    from chatapp.library.keeping import import_model
    from chatapp.paths import find_paths

    progress = Progress()
    try:
        path = import_model(source, find_paths(), force=force, report=progress.show_copy)
    finally:
        progress.clear()
    click.echo(os.fsencode(path))


for _command in (show_model, check_model, search, offers, pull, add_remote):
    models.add_command(_command)


def _describe(
    file: "ModelFile", default: Path | None, headers: "Headers", machine: "Machine | None"
) -> dict[str, Any]:
    from chatapp.errors import ModelError
    from chatapp.gguf.fit import plan
    from chatapp.library.names import name_unread
    from chatapp.paths import spell_path
    from chatapp.text import whole_text

    row: dict[str, Any] = {
        "name": name_unread(file.path),
        "file": whole_text(file.name),
        "aliases": [whole_text(name) for name in file.aliases],
        "path": spell_path(file.path),
        "size_bytes": file.size_bytes,
        "source": file.source,
        "projector": None if file.projector is None else spell_path(file.projector),
        "default": default is not None and os.path.realpath(file.path) == os.path.realpath(default),
        "info": None,
        "fit": None,
        "error": None,
    }
    try:
        info = headers.read_model(file.path)
        row["info"], row["name"] = as_values(info), info.name
        row["fit"] = None if machine is None else plan(info, machine).mark
    except ModelError as error:
        row["error"] = error.message
    return row


def _describe_remote(remote: "Remote", default: Path | None) -> dict[str, Any]:
    from chatapp.remotes import PREFIX

    name = f"{PREFIX}{remote.name}"
    return {
        "name": remote.title,
        "file": name,
        "aliases": [],
        "path": name,
        "size_bytes": None,
        "source": f"text goes to {remote.host}",
        "projector": None,
        "default": default is not None and str(default) == name,
        "info": None,
        "fit": None,
        "error": None,
    }


def _format_row(row: dict[str, Any]) -> tuple[str, ...]:
    from chatapp.gguf.size import size_text

    info = row["info"]
    where = ", also ".join([row["source"], *row["aliases"]])
    if row["source"] != "built-in":
        where = f"{row['file']}, {where}"
    if row["size_bytes"] is None:
        return ("*" if row["default"] else "", row["name"], "", "", "", "", "", where)
    facts = ("?", "?", "?", "") if info is None else (*_format_facts(info), row["fit"] or "")
    if row["error"] is not None:
        where = f"{where}: {row['error']}"
    mark = "*" if row["default"] else ""
    return (mark, row["name"], size_text(row["size_bytes"]), *facts, where)


def _format_facts(info: dict[str, Any]) -> tuple[str, str, str]:
    return info["size_label"], info["quantisation"], f"{info['n_ctx_train']:,}"
