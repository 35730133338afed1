"""`chatapp eval tasks`: a model's answers to examples, measured, printed and kept."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from chatapp.cli.task_options import metric_option, task_options
from chatapp.errors import UsageError

if TYPE_CHECKING:
    from chatapp.cli.task_options import Asked
    from chatapp.cli.task_running import Ran
    from chatapp.paths import Paths
    from chatapp.store import Store

INTERRUPTED = 130
_EPILOG = """\b
Examples:
  chatapp eval tasks qwen.gguf translate
  chatapp eval tasks remote:lab questions.jsonl --metric exact,f1 --template question
  chatapp eval tasks my-gpt source.en --references target.de --metric bleu,chrf \\
      --template translate -p to=German --out answers.jsonl

A line of FILE: {"input": "1 + 1", "references": ["2", "two"]}. The result goes to standard output,
everything else to standard error. Ctrl+C measures what was answered until then.
"""


@click.command(epilog=_EPILOG)
@click.argument("words", metavar="[MODEL] FILE", nargs=-1, required=True)
@metric_option("bleu|chrf|rouge|exact|f1")
@click.option(
    "--out",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write each answer as it comes, a JSON object a line.",
)
@click.option(
    "--lines",
    metavar="PREFIX",
    type=click.Path(path_type=Path),
    help="Write PREFIX.hyp and PREFIX.ref0, … as sacrebleu and rouge-score read them.",
)
@task_options
def tasks(words: tuple[str, ...], *, out: Path | None, lines: Path | None, **given: Any) -> int:
    """Ask MODEL every example of FILE, and measure how near its answers are to the references.

    MODEL is a GGUF file or its name, a checkpoint, built-in, or remote:NAME; without it that of the
    settings, or built-in. FILE is JSONL, - for standard input, or one of the sets that come with
    chatapp: translate, summarise, questions.
    """
    from chatapp.cli import setting
    from chatapp.cli.task_options import read_asked
    from chatapp.paths import find_paths

    model, (file, *more) = setting.part_model(words, "a file of examples")
    if more:
        raise UsageError(f"There is one FILE; {more[0]} is too much.")
    asked = read_asked(file, given)
    if out is not None and any(_is_same(out, read) for read in (file, *given["references"])):
        raise UsageError(f"--out would be written over {out}, which is read.", "Name another file.")
    paths = find_paths()
    ways = {"as_json": given["as_json"], "out": out, "lines": lines}
    if given["no_save"]:
        return _measure(model, asked, paths, None, **ways)
    with setting.open_history(paths) as store:  # what is wrong with it is said before the hour
        return _measure(model, asked, paths, store, **ways)


def _is_same(out: Path, read: str) -> bool:
    return out.exists() and Path(read).exists() and out.samefile(read)


def _measure(
    named: str | None,
    asked: "Asked",
    paths: "Paths",
    store: "Store | None",
    *,
    as_json: bool,
    out: Path | None,
    lines: Path | None,
) -> int:
    from chatapp.cli.task_report import describe, keep, print_result, score, write_lines
    from chatapp.cli.task_running import AnswerFile, ask_model

    with AnswerFile(out) as file:
        ran = ask_model(named, asked, paths, file)
    if not ran.answers.answers:
        click.echo("chatapp: Stopped before the first answer: nothing is kept.", err=True)
        return INTERRUPTED
    if lines is not None:
        write_lines(lines, ran.answers)
    scored = score(asked, ran.answers)
    value = describe(asked, ran, scored)
    if store is not None:
        value["id"] = keep(store, asked, ran, scored)
    print_result(value, as_json=as_json)
    return _end(ran)


def _end(ran: "Ran") -> int:
    """Say what ended it early: an error is raised, Ctrl+C has its code."""
    if ran.answers.error is not None:
        raise ran.answers.error
    return INTERRUPTED if ran.answers.is_stopped else 0
