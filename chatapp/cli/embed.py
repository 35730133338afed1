"""`chatapp embed`: which texts, which model, and how the vectors are shown."""

import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from chatapp.cli.piped import read_piped
from chatapp.errors import ModelError, UsageError
from chatapp.input_file import read_text

if TYPE_CHECKING:
    from chatapp.config import Config
    from chatapp.engine.embedding import Pooling
    from chatapp.paths import Paths

_WAITING = "waiting for standard input to end: a text is a line of it"
_FILE = click.Path(exists=True, dir_okay=False, readable=True, path_type=Path)

_EPILOG = """\b
Examples:
  chatapp embed -m minilm.gguf "a cat sleeps" "a kitten naps" "copper is dear"
  chatapp embed --near "how do I get in?" -f questions.txt | head -3
  chatapp embed --json < lines.txt > vectors.jsonl

The result goes to standard output, everything else to standard error.
"""


@click.command(epilog=_EPILOG)
@click.argument("texts", metavar="[TEXT]...", nargs=-1)
@click.option(
    "-m", "--model", metavar="MODEL", help="A GGUF file or its name, a checkpoint, or remote:NAME."
)
@click.option("-f", "--file", type=_FILE, help="A file with a text on each line.")
@click.option("--near", metavar="TEXT", help="Sort the texts by their likeness to this one.")
@click.option(
    "--json", "as_json", is_flag=True, help="Print a JSON object a line, with the vector."
)
@click.option(
    "--pooling",
    type=click.Choice(["mean", "cls", "last"]),
    help="How tokens become one vector, instead of what the file says.",
)
@click.option("--no-normalize", is_flag=True, help="Leave the vectors as long as they are.")
@click.option("--gpu-layers", metavar="N", type=click.IntRange(min=-1), help="Layers on the GPU.")
@click.option("--n-ctx", metavar="N", type=click.IntRange(min=0), help="Most tokens of a text.")
def embed(
    texts: tuple[str, ...],
    *,
    model: str | None,
    file: Path | None,
    near: str | None,
    as_json: bool,
    pooling: str | None,
    no_normalize: bool,
    gpu_layers: int | None,
    n_ctx: int | None,
) -> None:
    """Turn each TEXT into a vector; texts that mean the same have vectors alike.

    Without TEXT and --file, each line of standard input is one; empty lines are passed over.
    Without --model the embedding model on this machine is taken, if there is one alone.
    """
    from msgspec.structs import replace

    from chatapp.cli import setting
    from chatapp.cli.embedding import Question, run
    from chatapp.config import load_config
    from chatapp.paths import find_paths

    found = _read_texts(texts, file)
    if near is not None and _is_empty(near):
        raise UsageError("There is nothing to be near to: the text behind --near is empty.")
    paths = find_paths()
    config = load_config(paths)
    config = setting.override(
        config, gpu_layers=gpu_layers, n_ctx=n_ctx or 0, kv_type=None, think=None
    )
    path = _choose_model(model, config, paths)
    load = setting.load_options(config, paths, path)
    question = Question(
        texts=found,
        near=near,
        as_json=as_json,
        normalize=not no_normalize,
        load=replace(load, embed=cast("Pooling", pooling or "auto"), chat_template=""),
    )
    run(question, paths)


def _read_texts(given: tuple[str, ...], file: Path | None) -> list[str]:
    if given and file:
        raise UsageError("Texts come from the command line or from --file, not from both.")
    if given:
        # passed over, it would leave the others with the wrong numbers
        if empty := [number for number, text in enumerate(given, 1) if _is_empty(text)]:
            raise UsageError(
                f"There is nothing to embed in TEXT {empty[0]} of {len(given)}: it is empty.",
                "Leave it out; a variable of the shell may have been unset.",
            )
        return list(given)
    lines = (read_text(file) if file else read_piped(_WAITING)).splitlines()
    found = [line for line in lines if not _is_empty(line)]
    if not found:
        raise UsageError(
            "There is nothing to embed.",
            'Give texts, as in chatapp embed "a cat" "a dog", or pipe lines in.',
        )
    return found


def _is_empty(text: str) -> bool:
    """Whether nobody sees anything of it: white space, and what only steers a terminal or a
    font."""
    return all(c.isspace() or unicodedata.category(c) in ("Cc", "Cf") for c in text)


def _choose_model(named: str | None, config: "Config", paths: "Paths") -> Path:
    from chatapp.cli import setting

    if named or setting.backend_name() == "echo":
        return setting.choose_model(named, config, paths)
    found = _find_embedders(config, paths)
    if len(found) == 1:
        click.echo(f"chatapp: {found[0]} makes the embeddings", err=True)
        return found[0]
    if found:
        names = " or ".join(map(str, found[:5]))
        raise UsageError(f"There are {len(found)} embedding models.", f"Say which: {names}.")
    raise ModelError(
        "There is no embedding model on this machine.",
        "Name one with --model; `chatapp convert FOLDER` makes one of a sentence-transformers "
        "folder such as all-MiniLM-L6-v2.",
    )


def _find_embedders(config: "Config", paths: "Paths") -> list[Path]:
    from chatapp.library.headers import Headers
    from chatapp.library.local import find_models

    headers = Headers(paths.headers)
    files = [file.path for file in find_models(paths, config.library.folders)]
    read: list[tuple[Path, Any]] = list(headers.read_all(files))
    headers.save()
    return [path for path, info in read if getattr(info, "embeds", False)]
