"""`chatapp presets`: what presets there are, what one says, where one's own lie."""

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from chatapp.presets import Preset
    from chatapp.presets.shelf import Shelf

_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
_EPILOG = """\b
A preset is a TOML file in the folder that `chatapp presets path` prints:
  description = "Speak like a pirate"
  system = "You are a pirate called {name}."
  prompt = "Say it as a pirate would: {input}"
  think = "off"
  [variables]
  name = "Ann"
  [sampling]
  temperature = 0.9

`chatapp presets show NAME` prints the file of one to begin with.
"""


@click.group(invoke_without_command=True, epilog=_EPILOG)
@click.pass_context
def presets(ctx: click.Context) -> None:
    """Personas, prompt templates and ways of sampling, each under a name."""
    if ctx.invoked_subcommand is None:
        ctx.invoke(list_presets, as_json=False)


def _read() -> "Shelf":
    from chatapp.paths import find_paths
    from chatapp.presets.shelf import read_shelf

    return read_shelf(find_paths().presets)


@presets.command("list")
@_JSON
def list_presets(as_json: bool) -> None:
    """List every preset: your own files, and those that came with chatapp."""
    from chatapp.cli.output import dump_json
    from chatapp.cli.table import clean_line, print_table

    shelf = _read()
    found = list(shelf.presets.values())
    if as_json:
        click.echo(dump_json([_describe(preset) for preset in found]))
    else:
        rows = [(one.name, _variables(one), _whose(one), one.description) for one in found]
        print_table(("NAME", "VARIABLES", "WHOSE", "WHAT IT DOES"), rows)
    for note in shelf.notes:
        click.echo(f"chatapp: {clean_line(note)}", err=True)


@presets.command("show")
@click.argument("name")
@_JSON
def show_preset(name: str, as_json: bool) -> None:
    """Print the file of a preset, or with --json what it says."""
    from chatapp.cli.output import dump_json
    from chatapp.text import strip_controls

    preset = _read().find(name)
    if as_json:
        click.echo(dump_json(_describe(preset)))
        return
    click.echo(strip_controls(preset.path.read_text(encoding="utf-8-sig")).rstrip("\n"))
    if preset.ready_made:
        click.echo(f"chatapp: {preset.name} came with chatapp: {preset.path}", err=True)


@presets.command("path")
@click.argument("name", required=False)
def show_path(name: str | None) -> None:
    """Print the folder for presets of your own, or the file of one."""
    shelf = _read()
    click.echo(str(shelf.find(name).path if name else shelf.folder))


def _describe(preset: "Preset") -> dict[str, object]:
    from chatapp.sampling_input import write_given

    return {
        "name": preset.name,
        "path": str(preset.path),
        "ready_made": preset.ready_made,
        "description": preset.description,
        "system": preset.system,
        "prompt": preset.prompt,
        "variables": {name: preset.variables.get(name) for name in preset.wanted},
        "sampling": write_given(preset.sampling),
        "think": preset.think,
        "model": preset.model,
    }


def _variables(preset: "Preset") -> str:
    """Each with its default, which a value of one's own may replace."""
    return " ".join(
        f"{name}={preset.variables[name]!r}" if name in preset.variables else name
        for name in preset.wanted
    )


def _whose(preset: "Preset") -> str:
    return "chatapp's" if preset.ready_made else "yours"
