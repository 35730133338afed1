"""`chatapp ask`: what may be asked for, and what is refused before anything is loaded."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from chatapp.cli.engine_flags import engine_options
from chatapp.cli.piped import read_piped
from chatapp.cli.preset_flags import choose_preset, fill_preset, join_texts, preset_options
from chatapp.cli.sampling_flags import read_layers, sampling_options
from chatapp.errors import UsageError
from chatapp.input_file import read_text

if TYPE_CHECKING:
    from chatapp.chat_settings import ChatSettings
    from chatapp.config import Config
    from chatapp.paths import Paths
    from chatapp.presets import Filled, Preset

_WAITING = "waiting for standard input to end; with </dev/null only PROMPT is answered"

_FILE = click.Path(exists=True, dir_okay=False, readable=True, path_type=Path)

_EPILOG = """\b
Examples:
  chatapp ask "why is the sky blue?"
  git diff | chatapp ask "write a commit message"
  chatapp ask --json --seed 1 hello | jq .usage
  chatapp ask -c "and in one sentence?"
  chatapp ask -t translate -p to=German "Good morning"
  chatapp ask -t answer "who signed it?" < contract.txt
  chatapp ask --raw "Once upon a time"

The answer goes to standard output, everything else to standard error. Exit codes: 0 answered,
1 failed, 2 wrong use, 130 interrupted (what was said is printed and kept).
"""


@click.command(epilog=_EPILOG)
@click.argument("prompt", nargs=-1)
@click.option("-m", "--model", metavar="MODEL", help="A GGUF file or its name, or a checkpoint.")
@preset_options
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
@click.option(
    "--schema",
    "json_schema",
    type=_FILE,
    help="A JSON schema that the answer must follow.",
)
@click.option(
    "--grammar",
    type=_FILE,
    help="A GBNF grammar that the answer must follow.",
)
@click.option(
    "--raw", is_flag=True, help="Go on with PROMPT as it is: no chat template, no system prompt."
)
@click.option("--show-thinking", is_flag=True, help="Write what the model thinks to stderr.")
@click.option(
    "--tools",
    type=_FILE,
    help="A JSON list of tools that the model may call.",
)
@click.option("--guide", is_flag=True, help="Put what chatapp knows of itself before PROMPT.")
@click.option("--no-save", is_flag=True, help="Keep nothing in the history.")
@engine_options
@sampling_options
def ask(
    prompt: tuple[str, ...],
    *,
    model: str | None,
    preset: str | None,
    values: tuple[str, ...],
    system: str | None,
    go_on: bool,
    n: int,
    as_json: bool,
    logprobs: int | None,
    raw: bool,
    tools: Path | None,
    guide: bool,
    no_save: bool,
    show_thinking: bool,
    backend: Any,
    gpu_layers: int | None,
    n_ctx: int | None,
    kv_type: Any,
    chat_template: str | None,
    think: str | None,
    **sampling: Any,
) -> int:
    """Answer PROMPT on standard output.

    What is piped in is put below PROMPT, after a blank line; without PROMPT it is the prompt. A
    preset with a {text} takes it as that. First count flags, then what the conversation sets, its
    preset, and the settings.
    """
    _refuse_mixtures(click.get_current_context().params)
    from chatapp.cli import answering, setting
    from chatapp.config import load_config
    from chatapp.paths import find_paths

    config = load_config(paths := find_paths())
    usual = "" if raw or go_on else config.chat.preset  # that is for new conversations
    filled, text = _read_question(choose_preset(preset, usual, paths), values, prompt, raw=raw)
    chat = _read_chat(preset, filled, paths, go_on=go_on)
    flags = {"kv_type": kv_type, "backend": backend, **_choose_flags(chat, think, n_ctx)}
    config = setting.override(config, gpu_layers=gpu_layers, **flags)
    path = _choose_model(model or chat.model or None, chat.preset, config, paths)
    config = setting.override_template(config, path, chat_template)
    question = answering.Question(
        prompt=chat.compose(text),
        title=text or chat.compose(text),
        preset=filled if filled.name else None,
        system="" if raw else (filled.system or None if system is None else system),
        go_on=go_on,
        params=read_layers(_read_forms(sampling), chat, config.sampling),
        n=n,
        logprobs=logprobs or 0,
        tools=_read_tools(tools),
        as_json=as_json,
        show_thinking=show_thinking,
        save=not no_save,
        guide=guide,
        load=setting.load_options(config, paths, path, n_parallel=n, raw=raw),
    )
    return answering.run(question, config, paths)


def _read_question(
    preset: "Preset | None", values: tuple[str, ...], words: tuple[str, ...], *, raw: bool
) -> "tuple[Filled, str]":
    """(the preset, or one that brings nothing; what was asked)."""
    from chatapp.presets import Filled

    if preset is not None:
        system = raw and preset.system
        _refuse(system, f"--raw takes no system prompt, and the preset {preset.name} has one.")
        return fill_preset(preset, values, " ".join(words), read_piped(_WAITING))
    _refuse(values, "-p gives a variable of a preset, and there is none.", "Choose one with -t.")
    text = join_texts(" ".join(words), read_piped(_WAITING))
    _refuse(
        not text,
        "There is nothing to answer.",
        'Give a prompt, as in chatapp ask "why is the sky blue?", or pipe text in.',
    )
    return Filled(name=""), text


def _read_chat(
    named: str | None, filled: "Filled", paths: "Paths", *, go_on: bool
) -> "ChatSettings":
    """What the conversation sets: what it keeps, with the preset of this run if one is named."""
    import msgspec

    from chatapp.chat_settings import ChatSettings
    from chatapp.cli.going_on import read_kept

    kept = read_kept(paths) if go_on else ChatSettings()
    if filled.name or named is not None:
        return msgspec.structs.replace(kept, preset=filled if filled.name else None)
    return kept


def _choose_flags(chat: "ChatSettings", think: str | None, n_ctx: int | None) -> dict[str, Any]:
    """What was given, else what the conversation sets; None where nobody says."""
    return {
        "think": (chat.choose_think("") or None) if think is None else think,
        "n_ctx": (chat.choose_n_ctx() or None) if n_ctx is None else n_ctx,
    }


def _choose_model(
    named: str | None, preset: "Filled | None", config: "Config", paths: "Paths"
) -> Path:
    from chatapp.cli.preset_flags import choose_presets_model
    from chatapp.cli.setting import choose_model

    if named is None and preset is not None and preset.model:
        return choose_presets_model(preset, config, paths)
    return choose_model(named, config, paths)


def _refuse_mixtures(given: dict[str, Any]) -> None:
    _refuse(
        given["go_on"] and given["no_save"],
        "--no-save cannot go on with a conversation of the history.",
    )
    _refuse(
        given["logprobs"] and not given["as_json"],
        "--logprobs needs --json.",
        "It is a list of numbers.",
    )
    others = ("system", "chat_template", "go_on", "guide")
    _refuse(
        given["raw"] and any(given[name] for name in others),
        "--raw takes no --system, no --chat-template, no --continue and no --guide.",
    )


def _refuse(wrong: object, message: str, hint: str = "") -> None:
    if wrong:
        raise UsageError(message, hint)


def _read_tools(path: Path | None) -> list[dict[str, Any]]:
    from chatapp.cli.tool_file import read_tools

    return read_tools(path) if path else []


def _read_forms(flags: dict[str, Any]) -> dict[str, Any]:
    """The flags with the text of a schema or grammar in place of its file."""
    schema, grammar = flags["json_schema"], flags["grammar"]
    forms = {
        "json_schema": _read_schema(schema) if schema else None,
        "grammar": _read_grammar(grammar) if grammar else None,
    }
    return flags | forms


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
