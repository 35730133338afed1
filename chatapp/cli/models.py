"""`chatapp models`: which model files there are, what one says of itself, what is kept.

Reads headers only, never loads a model, never starts the engine.
"""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from chatapp.cli.hub import offers, pull, search
from chatapp.cli.remote import add_remote, remove_remote

if TYPE_CHECKING:
    from chatapp.library.fit import Machine
    from chatapp.library.header import ModelInfo
    from chatapp.library.headers import Headers
    from chatapp.library.local import ModelFile
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
    from chatapp.errors import ModelError
    from chatapp.library.headers import Headers
    from chatapp.library.local import find_models, resolve_model
    from chatapp.paths import find_paths
    from chatapp.remotes import read_remotes

    paths = find_paths()
    config = load_config(paths)
    files = find_models(paths, config.library.folders)
    try:
        default = resolve_model(None, config, paths)
    except ModelError:  # the list is how one finds out which model to set
        default = None
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


@models.command("info")
@click.argument("file", metavar="FILE")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
def show_model(file: str, as_json: bool) -> None:
    """Show what a model file says of itself. FILE is a path or a name from the list."""
    from chatapp.cli.output import dump_json
    from chatapp.config import load_config
    from chatapp.engine.probe import look_at_machine
    from chatapp.library.headers import Headers
    from chatapp.library.local import resolve_model
    from chatapp.paths import find_paths

    paths = find_paths()
    info = Headers(None).read_model(resolve_model(file, load_config(paths), paths))
    machine = look_at_machine()
    if as_json:
        click.echo(dump_json(_as_values(info) | {"fit": _fit_values(info, machine)}))
        return
    _print_info(info)
    for label, value in _fit_rows(info, machine).items():
        click.echo(f"{label:<16} {value}")


@models.command("default")
@click.argument("name", metavar="[MODEL]", required=False)
def set_default(name: str | None) -> None:
    """Show the model that is used without --model, or make MODEL that one."""
    from chatapp.config import load_config, save_setting
    from chatapp.library.local import find_model, resolve_model
    from chatapp.paths import find_paths
    from chatapp.remotes import PREFIX

    paths = find_paths()
    config = load_config(paths)
    if name is None:
        click.echo(str(resolve_model(None, config, paths)))
        return
    if name.startswith(PREFIX):
        name = str(resolve_model(name, config, paths))
    else:
        file = find_model(name, config, paths)
        name = file.name if file.source == "built-in" else str(file.path)
    save_setting(paths, "engine", "model", name)
    click.echo(f"From now on: {name}", err=True)


@models.command("rm")
@click.argument("name", metavar="MODEL")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
def remove(name: str, yes: bool) -> None:
    """Remove a model from the models folder, all its shards with it; or a remote."""
    from chatapp.cli.table import format_size
    from chatapp.config import load_config
    from chatapp.library.keeping import check_removable, remove_model
    from chatapp.library.local import find_model
    from chatapp.paths import find_paths
    from chatapp.remotes import PREFIX

    paths = find_paths()
    if name.startswith(PREFIX):
        remove_remote(name, paths)
        return
    file = find_model(name, load_config(paths), paths)
    going = check_removable(file, paths)
    for path in going:
        click.echo(str(path), err=True)
    if not yes:
        click.confirm(f"Remove {format_size(file.size_bytes)}?", abort=True, err=True)
    freed = remove_model(going, paths)
    click.echo(f"{format_size(freed)} are free again.", err=True)


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
    click.echo(str(path))


for _command in (search, offers, pull, add_remote):
    models.add_command(_command)


def _describe(
    file: "ModelFile", default: Path | None, headers: "Headers", machine: "Machine | None"
) -> dict[str, Any]:
    from chatapp.errors import ModelError
    from chatapp.library.fit import plan

    row: dict[str, Any] = {
        "name": file.name,
        "path": str(file.path),
        "size_bytes": file.size_bytes,
        "source": file.source,
        "projector": None if file.projector is None else str(file.projector),
        "default": default is not None and file.path.resolve() == default.resolve(),
        "info": None,
        "fit": None,
        "error": None,
    }
    try:
        info = headers.read_model(file.path)
        row["info"] = _as_values(info)
        row["fit"] = None if machine is None else plan(info, machine).mark
    except ModelError as error:
        row["error"] = error.message
    return row


def _describe_remote(remote: "Remote", default: Path | None) -> dict[str, Any]:
    from chatapp.remotes import PREFIX

    name = f"{PREFIX}{remote.name}"
    return {
        "name": name,
        "path": name,
        "size_bytes": None,
        "source": f"text goes to {remote.host}",
        "projector": None,
        "default": default is not None and str(default) == name,
        "info": None,
        "fit": None,
        "error": None,
    }


def _fit_values(info: "ModelInfo", machine: "Machine | None") -> dict[str, Any] | None:
    from chatapp.library.fit import kv_types, largest_context, plan

    if machine is None:
        return None
    fit, halves = plan(info, machine), "q8_0" in kv_types(info)
    return asdict(fit) | {
        "mark": fit.mark,
        "needs": asdict(fit.needs) | {"total": fit.needs.total},
        "largest_n_ctx": largest_context(info, machine),
        "largest_n_ctx_q8_0": largest_context(info, machine, kv_type="q8_0") if halves else None,
    }


def _fit_rows(info: "ModelInfo", machine: "Machine | None") -> dict[str, str]:
    """What it takes here, as `chatapp` would load it."""
    from chatapp.cli.table import format_size

    values = _fit_values(info, machine)
    if values is None:
        return {}
    needs = values["needs"]
    parts = ", ".join(
        f"{name} {format_size(needs[key])}"
        for name, key in (("weights", "weights"), ("keys and values", "kv"), ("buffers", "compute"))
    )
    halved = values["largest_n_ctx_q8_0"]
    longest = f"{values['largest_n_ctx']:,} tokens" + (f"; {halved:,} with q8_0" if halved else "")
    return {
        "fit": f"{values['mark']}. {values['reason']}".rstrip(),
        "memory": f"{format_size(needs['total'])} at {values['n_ctx']:,} tokens: {parts}",
        "longest context": longest,
    }


def _as_values(info: "ModelInfo") -> dict[str, Any]:
    return asdict(info) | {"path": str(info.path)}


def _format_row(row: dict[str, Any]) -> tuple[str, ...]:
    from chatapp.cli.table import format_size

    info = row["info"]
    if row["size_bytes"] is None:
        return ("*" if row["default"] else "", row["name"], "", "", "", "", "", row["source"])
    facts = ("?", "?", "?", "") if info is None else (*_format_facts(info), row["fit"] or "")
    where = row["source"] if row["error"] is None else f"{row['source']}: {row['error']}"
    mark = "*" if row["default"] else ""
    return (mark, row["name"], format_size(row["size_bytes"]), *facts, where)


def _format_facts(info: dict[str, Any]) -> tuple[str, str, str]:
    return info["size_label"], info["quantisation"], f"{info['n_ctx_train']:,}"


def _print_info(info: "ModelInfo") -> None:
    from chatapp.cli.table import clean_line, format_size

    types = ", ".join(f"{count} {name}" for name, count in info.tensor_types.items())
    template = "yes" if info.chat_template else "no: it continues text instead of answering"
    rows = {
        "file": str(info.path),
        "name": info.name,
        "architecture": info.arch,
        "parameters": f"{info.n_params:,} ({info.size_label})",
        "quantisation": info.quantisation,
        "size": format_size(info.size_bytes),
        "context": f"{info.n_ctx_train:,} tokens in training",
        "layers": f"{info.n_layers:,}",
        "embedding": f"{info.n_embd:,}",
        "attention heads": f"{info.n_heads:,}",
        "vocabulary": f"{info.n_vocab:,} tokens ({info.tokenizer or 'no tokenizer'})",
        "chat template": template,
        "licence": info.license or "not given",
        "tensors": f"{info.n_tensors:,} ({types})",
        "GGUF version": str(info.gguf_version),
    }
    if info.shards > 1:
        rows["shards"] = str(info.shards)
    for label, value in rows.items():
        click.echo(f"{label:<16} {clean_line(value)}")
