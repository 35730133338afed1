"""`chatapp models info`: what a model file says of itself, and what it takes on this machine."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from chatapp.gguf.fit import Machine
    from chatapp.gguf.model_info import ModelInfo
    from chatapp.paths import Paths


@click.command("info")
@click.argument("file", metavar="FILE")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
def show_model(file: str, as_json: bool) -> None:
    """Show what a model file says of itself. FILE is a path or a name from the list."""
    from chatapp.cli.output import dump_json
    from chatapp.config import load_config
    from chatapp.engine.probe import look_at_machine
    from chatapp.library.headers import Headers
    from chatapp.library.local import find_model
    from chatapp.paths import find_paths, spell_path
    from chatapp.remotes import PREFIX

    paths = find_paths()
    if file.startswith(PREFIX):
        _show_remote(file, paths, as_json=as_json)
        return
    found = find_model(file, load_config(paths), paths)
    info = Headers(None).read_model(found.path)
    machine = look_at_machine()
    projector = None if found.projector is None else spell_path(found.projector)
    if as_json:
        values = {"projector": projector, "fit": _fit_values(info, machine)} | _sampling(info)
        click.echo(dump_json(as_values(info) | values))
        return
    _print_info(info)
    if projector:
        click.echo(f"{'projector':<16} {projector}")
    for label, value in _fit_rows(info, machine).items():
        click.echo(f"{label:<16} {value}")


def _show_remote(name: str, paths: "Paths", *, as_json: bool) -> None:
    from chatapp.cli.output import dump_json
    from chatapp.remotes import find_remote

    remote = find_remote(name, paths)
    facts = {
        "name": remote.title,
        "address": remote.url,
        "model": remote.model or "the one it has",
        "key from": remote.variable,
    }
    if as_json:
        click.echo(dump_json(facts))
        return
    for label, value in facts.items():
        click.echo(f"{label:<16} {value}")


def _sampling(info: "ModelInfo") -> dict[str, Any]:
    """What the file recommends and we take, by the names of flags, and what is ignored of it."""
    from chatapp.recommended import read_recommended

    recommended, ignored = read_recommended(info.sampling)
    return {"sampling": recommended, "sampling_ignored": ignored}


def as_values(info: "ModelInfo") -> dict[str, Any]:
    """Everything in a header, for JSON."""
    from chatapp.paths import spell_path

    return asdict(info) | {"path": spell_path(info.path), "use": info.use}


def _fit_values(info: "ModelInfo", machine: "Machine | None") -> dict[str, Any] | None:
    from chatapp.gguf.fit import kv_types, largest_context, plan

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
    from chatapp.gguf.size import size_text

    values = _fit_values(info, machine)
    if values is None:
        return {}
    needs = values["needs"]
    parts = (
        f"weights {size_text(needs['weights'])}, keys and values {size_text(needs['kv'])}, "
        f"buffers {size_text(needs['compute'] + needs['overhead'])}"
    )
    halved = values["largest_n_ctx_q8_0"]
    longest = f"{values['largest_n_ctx']:,} tokens" + (f"; {halved:,} with q8_0" if halved else "")
    return {
        "fit": f"{values['mark']}. {values['reason']}".rstrip(),
        "memory": f"{size_text(needs['total'])} at {values['n_ctx']:,} tokens: {parts}",
        "longest context": longest,
    }


def _print_info(info: "ModelInfo") -> None:
    from chatapp.cli.table import clean_line
    from chatapp.gguf.size import size_text

    types = ", ".join(f"{count} {name}" for name, count in info.tensor_types.items())
    use = {
        "chat": "chat",
        "completion": "completion: no chat template, so it continues text instead of answering",
        "text to text": "text to text: it answers the last message alone",
        "embeddings": "embeddings: it cannot write; `chatapp embed` uses it",
    }[info.use]
    rows = {
        "file": str(info.path),
        "name": info.name,
        "architecture": info.arch,
        "parameters": f"{info.n_params:,} ({info.size_label})",
        "quantisation": info.quantisation,
        "size": size_text(info.size_bytes),
        "context": f"{info.n_ctx_train:,} tokens in training",
        "layers": f"{info.n_layers:,}",
        "embedding": f"{info.n_embd:,}",
        "attention heads": f"{info.n_heads:,}",
        "vocabulary": f"{info.n_vocab:,} tokens ({info.tokenizer or 'no tokenizer'})",
        "for": use,
        "licence": info.license or "not given",
        "tensors": f"{info.n_tensors:,} ({types})",
        "GGUF version": str(info.gguf_version),
    }
    sampling = _sampling(info)
    if info.sampling:
        told = [f"{name} {_value(value)}" for name, value in sampling["sampling"].items()]
        rows["sampling"] = ", ".join(told) or "nothing usable"
    if info.shards > 1:
        rows["shards"] = str(info.shards)
    for label, value in rows.items():
        click.echo(f"{label:<16} {clean_line(value)}")
    for sentence in sampling["sampling_ignored"]:
        click.echo(clean_line(sentence), err=True)


def _value(value: object) -> str:
    return ";".join(value) if isinstance(value, list) else f"{value:g}"
