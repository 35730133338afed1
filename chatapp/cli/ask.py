"""`chatapp ask`: what may be asked for, and what is refused before anything is loaded."""

import sys
import threading
from pathlib import Path
from typing import Any

import click

from chatapp.cli.engine_flags import engine_options
from chatapp.cli.sampling_flags import read_flags, sampling_options
from chatapp.errors import UsageError
from chatapp.input_file import MAX_BYTES, read_text

_SILENT_S = 1.0
_WAITING = "chatapp: waiting for standard input to end; with </dev/null only PROMPT is answered"

_FILE = click.Path(exists=True, dir_okay=False, readable=True, path_type=Path)

_EPILOG = """\b
Examples:
  chatapp ask "why is the sky blue?"
  git diff | chatapp ask "write a commit message"
  chatapp ask --json --seed 1 hello | jq .usage
  chatapp ask -c "and in one sentence?"
  chatapp ask --raw "Once upon a time"

The answer goes to standard output, everything else to standard error. Exit codes: 0 answered,
1 failed, 2 wrong use, 130 interrupted (what was said is printed and kept).
"""


@click.command(epilog=_EPILOG)
@click.argument("prompt", nargs=-1)
@click.option("-m", "--model", metavar="MODEL", help="A GGUF file, its name, or `builtin`.")
@click.option("-s", "--system", metavar="TEXT", help="The system prompt.")
@click.option("-c", "--continue", "go_on", is_flag=True, help="Go on with the last conversation.")
@click.option(
    "-n",
    "--n",
    "n",
    metavar="N",
    type=click.IntRange(1, 16),
    default=1,
    help="So many alternatives, in one batch.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object at the end.")
@click.option(
    "--logprobs",
    metavar="N",
    type=click.IntRange(1, 20),
    help="With --json: each token's log-probability, and the N likeliest.",
)
@click.option("--schema", type=_FILE, help="A JSON schema that the answer must follow.")
@click.option(
    "--grammar", "grammar", type=_FILE, help="A GBNF grammar that the answer must follow."
)
@click.option(
    "--raw", is_flag=True, help="Go on with PROMPT as it is: no chat template, no system prompt."
)
@click.option("--show-thinking", is_flag=True, help="Write what the model thinks to stderr.")
@click.option("--tools", type=_FILE, help="A JSON list of tools that the model may call.")
@click.option("--no-save", is_flag=True, help="Keep nothing in the history.")
@engine_options
@sampling_options
def ask(
    prompt: tuple[str, ...],
    *,
    model: str | None,
    system: str | None,
    go_on: bool,
    n: int,
    as_json: bool,
    logprobs: int | None,
    schema: Path | None,
    grammar: Path | None,
    raw: bool,
    tools: Path | None,
    no_save: bool,
    show_thinking: bool,
    gpu_layers: int | None,
    n_ctx: int | None,
    kv_type: Any,
    chat_template: str | None,
    think: str | None,
    **sampling: Any,
) -> int:
    """Answer PROMPT on standard output.

    What is piped in is put below PROMPT, after a blank line; without PROMPT it is the prompt.
    """
    _refuse(go_on and no_save, "--no-save cannot go on with a conversation of the history.")
    _refuse(logprobs and not as_json, "--logprobs needs --json.", "It is a list of numbers.")
    alone = not (system or chat_template or go_on)
    _refuse(raw and not alone, "--raw takes no --system, no --chat-template and no --continue.")
    text = read_prompt(prompt)
    from chatapp.cli import setting
    from chatapp.cli.answering import Question, run
    from chatapp.cli.tool_file import read_tools
    from chatapp.config import load_config
    from chatapp.layers import Layers
    from chatapp.paths import find_paths

    paths = find_paths()
    config = setting.override(
        load_config(paths), gpu_layers=gpu_layers, n_ctx=n_ctx, kv_type=kv_type, think=think
    )
    sampling["grammar"] = _read_grammar(grammar) if grammar else None
    sampling["json_schema"] = _read_schema(schema) if schema else None
    path = setting.choose_model(model, config, paths)
    config = setting.override_template(config, path, chat_template)
    question = Question(
        prompt=text,
        system="" if raw else system,
        go_on=go_on,
        params=Layers(flag=read_flags(sampling), settings=config.sampling),
        n=n,
        logprobs=logprobs or 0,
        tools=read_tools(tools) if tools else [],
        as_json=as_json,
        show_thinking=show_thinking,
        save=not no_save,
        load=setting.load_options(config, paths, path, n_parallel=n, raw=raw),
    )
    return run(question, config, paths)


def _refuse(wrong: object, message: str, hint: str = "") -> None:
    if wrong:
        raise UsageError(message, hint)


def read_prompt(words: tuple[str, ...]) -> str:
    """PROMPT, and below it what is piped in; `UsageError` when both are empty."""
    parts = [" ".join(words), _read_piped()]
    prompt = "\n\n".join(part for part in parts if part.strip())
    if not prompt:
        raise UsageError(
            "There is nothing to answer.",
            'Give a prompt, as in chatapp ask "why is the sky blue?", or pipe text in.',
        )
    # Arguments that are no UTF-8 arrive as half surrogates, which no engine takes.
    return prompt.encode("utf-8", "replace").decode()


def _read_piped() -> str:
    if sys.stdin is None or sys.stdin.isatty():
        return ""
    said = threading.Timer(_SILENT_S, click.echo, (_WAITING,), {"err": True})
    said.daemon = True
    said.start()
    try:
        content = sys.stdin.buffer.read(MAX_BYTES + 1)
    finally:
        said.cancel()
    if len(content) > MAX_BYTES:
        raise UsageError(
            f"More than {MAX_BYTES >> 20} MiB came in by the pipe.", "No model reads that."
        )
    return content.decode("utf-8-sig", "replace").rstrip("\n")


def _read_grammar(path: Path) -> str:
    text = read_text(path)
    if not text.strip():
        raise UsageError(
            f"{path} is empty: there is no grammar to follow.",
            'The smallest is one rule, as in root ::= "yes" | "no".',
        )
    if text.lstrip().startswith("{"):
        raise UsageError(
            f"{path} is JSON, and a grammar is none.", "A JSON schema is given with --schema."
        )
    return text


def _read_schema(path: Path) -> str:
    from chatapp.structured.reading import read_schema

    text = read_text(path)
    read_schema(text)
    return text
