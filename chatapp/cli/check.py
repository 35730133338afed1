"""`chatapp models check`: what is understood of how a model is spoken to, and what it writes."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from chatapp.cli.message_file import read_messages
from chatapp.errors import ModelError, UsageError
from chatapp.input_file import read_bytes, read_json
from chatapp.text import one_line, strip_controls

if TYPE_CHECKING:
    from chatapp.config import Config
    from chatapp.engine.chat.template import ChatTemplate
    from chatapp.paths import Paths

_FILE = click.Path(path_type=Path)


@click.command("check")
@click.argument("name", metavar="[MODEL]", required=False)
@click.option("--template", "template_file", type=_FILE, help="A bare Jinja file instead of MODEL.")
@click.option("--bos", default="", metavar="TEXT", help="With --template: what begins a text.")
@click.option("--eos", default="", metavar="TEXT", help="With --template: what ends a text.")
@click.option("--messages", type=_FILE, help="Render these messages (JSON, as on OpenAI's wire).")
@click.option("--tools", type=_FILE, help="A JSON list of tools that are offered.")
@click.option("--thinking", type=click.BOOL, help="Ask the template for thinking, or for none.")
@click.option("--output", type=_FILE, help="What a model wrote behind that prompt, to be read.")
@click.option("--partial", is_flag=True, help="The output is not finished.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
def check_model(
    name: str | None,
    *,
    template_file: Path | None,
    bos: str,
    eos: str,
    messages: Path | None,
    tools: Path | None,
    thinking: bool | None,
    output: Path | None,
    partial: bool,
    as_json: bool,
) -> None:
    """Say how MODEL is spoken to, and how what it writes is read.

    MODEL is a file, a name from the list, or remote:NAME. Nothing is loaded and nothing is asked:
    the chat template in the file is tried on a few short chats.
    """
    from chatapp.cli.output import dump_json
    from chatapp.engine.chat.check import check_template, read_output

    if (name is None) == (template_file is None):
        raise UsageError("Give a MODEL, or a chat template with --template FILE.")
    if (output or partial) and messages is None:
        raise UsageError("--output needs --messages: the prompt it was written behind.")
    if (bos or eos) and template_file is None:
        raise UsageError("--bos and --eos go with --template; a model file has its own.")
    if name is not None and name.startswith("remote:"):
        _show(_check_remote(name), as_json=as_json)
        return
    template, origin = _read_template_file(template_file, bos, eos) if template_file else _of(name)
    if messages is None:
        _show(check_template(template, origin), as_json=as_json)
        return
    found = read_output(
        template,
        read_messages(messages),
        tools=_read_tools(tools) if tools else (),
        thinking=thinking,
        output=read_bytes(output) if output else None,
        is_partial=partial,
    )
    if as_json:
        click.echo(dump_json(found))
        return
    click.echo(strip_controls(found["prompt"]))
    if output:
        click.echo(f"\n{dump_json(found['parts'])}")


def _read_template_file(path: Path, bos: str, eos: str) -> "tuple[ChatTemplate, str]":
    from chatapp.engine.chat.files import read_template
    from chatapp.engine.chat.template import ChatTemplate

    return ChatTemplate(read_template(str(path), Path()), bos, eos), str(path)


def _of(name: str | None) -> "tuple[ChatTemplate, str]":
    """The template that a model is spoken to with, and where it is from."""
    from chatapp.config import load_config
    from chatapp.gguf.errors import GgufError
    from chatapp.library.local import resolve_model
    from chatapp.paths import find_paths

    assert name is not None
    paths = find_paths()
    config = load_config(paths)
    path = resolve_model(name, config, paths)
    try:
        return _read_model(path, config, paths)
    except GgufError as error:
        raise ModelError(error.message, error.hint) from error


def _read_model(path: Path, config: "Config", paths: "Paths") -> "tuple[ChatTemplate, str]":
    from chatapp.engine.chat.files import read_beside_tokenizer, template_for
    from chatapp.engine.chat.template import ChatTemplate
    from chatapp.gguf.header import read_header

    if path.is_dir():
        source, bos, eos = read_beside_tokenizer(path)
        for_tools, origin = "", "the folder"
    else:
        header = read_header(path)
        bos, eos = (_token(header, f"tokenizer.ggml.{kind}_token_id") for kind in ("bos", "eos"))
        source = header.text("tokenizer.chat_template")
        for_tools = header.text("tokenizer.chat_template.tool_use")
        origin = "the model file"
    if given := template_for(path, config.templates, paths.config):
        return ChatTemplate(given, bos, eos), "the settings"
    if not source:
        raise UsageError(
            f"{path.name} has no chat template: it completes text instead of answering.",
            "--chat-template NAME speaks to it in a known format.",
        )
    return ChatTemplate(source, bos, eos, for_tools=for_tools), origin


def _token(header: Any, key: str) -> str:
    """The text of a special token; empty where the file names none that is there."""
    number, tokens = header.integer(key), header.array("tokenizer.ggml.tokens")
    if number is None or tokens is None or not 0 <= number < tokens.length:
        return ""
    return str(tokens.items()[number])


def _check_remote(name: str) -> dict[str, Any]:
    from chatapp.paths import find_paths
    from chatapp.remotes import find_remote

    remote = find_remote(name, find_paths())
    return {
        "template": {"from": f"the server at {remote.url}"},
        "system": "sent; merged into the first message where the server refuses it",
        "roles": {"system": "sent", "user": "sent", "assistant": "sent", "tool": "sent"},
        "reasoning": {"format": "as the server says it; widely known marks in the text are read"},
        "tools": {"offered": "sent", "calls": "as the server says them"},
        "turn_end": [],
        "thinking_switch": {"variable": "sent when --think asks", "efforts": []},
        "odd": [],
        "sample": "",
    }


def _show(found: dict[str, Any], *, as_json: bool) -> None:
    from chatapp.cli.output import dump_json

    if as_json:
        click.echo(dump_json(found))
        return
    for key, value in found.items():
        if key in ("sample", "odd"):
            continue
        if isinstance(value, dict):
            value = ", ".join(f"{k.replace('_', ' ')}: {_say(v)}" for k, v in value.items())
        click.echo(f"{key.replace('_', ' '):<16} {_say(value)}")
    click.echo(f"{'sample':<16} {strip_controls(found['sample'])!r}")
    for sentence in found["odd"]:
        click.echo(f"{'odd':<16} {one_line(sentence)}")


def _say(value: Any) -> str:
    if isinstance(value, list):
        return one_line(" ".join(map(str, value))) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value in (None, "") else one_line(str(value))


def _read_tools(path: Path) -> list[dict[str, Any]]:
    from chatapp.cli.tool_file import check_tools

    value = read_json(path)
    return check_tools(value, str(path)) if value else []
