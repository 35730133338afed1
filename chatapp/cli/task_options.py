"""Flags of the commands that ask a model examples, and what they mean together."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from chatapp.cli.engine_flags import engine_options
from chatapp.cli.sampling_flags import sampling_options
from chatapp.errors import UsageError

if TYPE_CHECKING:
    from chatapp.engine.protocol import LoadOptions
    from chatapp.evaluate.examples import ExampleSet
    from chatapp.evaluate.metrics import Metric
    from chatapp.evaluate.prompts import PromptTemplate
    from chatapp.evaluate.tasks import Question, Way
    from chatapp.paths import Paths

_Command = TypeVar("_Command", bound=Callable[..., Any])
MOST_AT_ONCE = 64
_TO_A_SERVER = 4
"""Questions that a server is asked at once, unless told otherwise."""


def metric_option(names: str) -> Callable[[_Command], _Command]:
    """`--metric`, of which `names` are offered."""
    return click.option(
        "--metric",
        "metrics",
        metavar=names,
        multiple=True,
        help="What to measure; several with commas, or given again.",
    )


def scoring_options(command: _Command) -> _Command:
    """Add `--tokenize` and `--bootstrap-seed`."""
    tokenize = click.option(
        "--tokenize",
        metavar="NAME",
        default="",
        help="How sacrebleu splits words for BLEU: 13a, intl, zh, char or none; by default 13a, "
        "or by the references' script.",
    )
    seed = click.option(
        "--bootstrap-seed",
        metavar="N",
        default=12_345,
        type=click.IntRange(min=0),
        help="Seed of the draws that give the intervals.",
    )
    return tokenize(seed(command))


def task_options(command: _Command) -> _Command:
    """Add what a task needs: how it is asked, how it is scored, how the model is held."""
    options = (
        click.option(
            "--references",
            metavar="FILE",
            multiple=True,
            help="A reference on each line, for a file of examples without; several may be given.",
        ),
        click.option(
            "--template",
            metavar="NAME|FILE|TEXT",
            help="The prompt: plain, translate, summarise, question, or one of your own.",
        ),
        click.option(
            "-p",
            "--param",
            "values",
            metavar="NAME=VALUE",
            multiple=True,
            help="The value of another variable of the template.",
        ),
        click.option("-s", "--system", metavar="TEXT", default="", help="The system prompt."),
        click.option("--raw", is_flag=True, help="Go on with the prompt: no chat template."),
        click.option(
            "--limit",
            metavar="N",
            type=click.IntRange(min=1),
            help="Ask the first N examples alone.",
        ),
        click.option(
            "--at-once",
            metavar="N",
            type=click.IntRange(1, MOST_AT_ONCE),
            help="Ask so many at a time; by default 4 of a server.",
        ),
        click.option("--json", "as_json", is_flag=True, help="Print a JSON object."),
        click.option("--no-save", is_flag=True, help="Keep nothing of it."),
        scoring_options,
        engine_options,
        sampling_options,
    )
    for option in reversed(options):
        command = option(command)
    return command


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What was asked on the command line, read and checked; nothing is loaded yet."""

    examples: "ExampleSet"
    questions: "list[Question]"
    template: "PromptTemplate"
    metrics: "tuple[Metric, ...]"
    way: "Way"
    at_once: int | None
    tokenize: str
    bootstrap_seed: int
    raw: bool
    limit: int | None
    """The first so many examples of the file; None: all."""
    flags: dict[str, Any]
    """How the model is held."""

    def describe(self) -> dict[str, Any]:
        """How it was measured, as it is kept."""
        return {
            "metrics": list(self.metrics),
            "template": self.template.name,
            "template_text": self.template.text,
            "values": dict(self.template.values),
            "system": self.way.system,
            "think": self.way.think,
            "raw": self.raw,
            "limit": self.limit,
            "sampling": dict(self.way.params.given),
            "tokenize": self.tokenize,
            "bootstrap_seed": self.bootstrap_seed,
        }


def read_asked(file: str, given: dict[str, Any]) -> Asked:
    """The flags, and the file that they are for. Raises `UsageError`."""
    from chatapp.evaluate.examples import Example, read_examples
    from chatapp.evaluate.metrics import check_references, measure_answers
    from chatapp.evaluate.prompts import read_template
    from chatapp.evaluate.tasks import Question, Way

    if given["raw"] and (given["system"] or given["chat_template"]):
        raise UsageError("--raw takes no --system and no --chat-template.")
    sampling = _read_sampling(given)
    examples = read_examples(file, given["references"]).first(given["limit"] or 0)
    ready = examples.ready
    metrics = read_metrics(given["metrics"] or (ready.metrics if ready else ()))
    check_references(metrics, examples.examples)
    check_tokenize(given["tokenize"])
    # a package that is missing is said before a model is asked
    measure_answers(metrics, [Example(1, "1", "a", ("a",))], ["a"], tokenize=given["tokenize"])
    named = given["template"] or (ready.template if ready else "plain")
    template = read_template(named, given["values"])
    held = ("backend", "gpu_layers", "n_ctx", "kv_type", "chat_template")
    return Asked(
        examples=examples,
        questions=[Question(one, template.fill(one)) for one in examples.examples],
        template=template,
        metrics=metrics,
        way=Way(params=sampling, system=given["system"], think=given["think"] or ""),
        at_once=given["at_once"],
        tokenize=given["tokenize"],
        bootstrap_seed=given["bootstrap_seed"],
        raw=given["raw"],
        limit=given["limit"],
        flags={name: given[name] for name in held},
    )


def read_metrics(named: Sequence[str]) -> "tuple[Metric, ...]":
    """Their names, as they were given: with commas, or again. Raises `UsageError`."""
    from chatapp.evaluate.metrics import METRICS

    names = [name.strip().lower() for one in named for name in one.split(",")]
    for name in names:
        if name not in METRICS:
            raise UsageError(f"There is no metric {name!r}.", f"There are {', '.join(METRICS)}.")
    if not names:
        raise UsageError(
            "What is to be measured is not said.",
            f"--metric {'|'.join(METRICS)}; several: --metric bleu,chrf",
        )
    return tuple(metric for metric in METRICS if metric in names)


def check_tokenize(name: str) -> None:
    """Raise `UsageError` for a tokenizer that sacrebleu has not, or not without more packages."""
    from chatapp.evaluate.translation import TOKENIZERS

    if name and name not in TOKENIZERS:
        raise UsageError(f"There is no tokenizer {name}.", f"There are {', '.join(TOKENIZERS)}.")


def _read_sampling(given: dict[str, Any]) -> Any:
    """The flags over what is usual here; what the settings say is for chats."""
    from chatapp.chat_settings import ChatSettings
    from chatapp.cli.sampling_flags import read_layers
    from chatapp.evaluate.tasks import DEFAULTS
    from chatapp.sampling import parameters

    flags = {one.name: given[one.name] for one in parameters() if one.name in given}
    return read_layers(flags, ChatSettings(), DEFAULTS).given


def choose_load(
    model: str | None, asked: Asked, paths: "Paths"
) -> "tuple[Path, LoadOptions, int, bool]":
    """(the model, how it is held, how many questions at once, whether it is a server).

    `model`: None is that of the settings, or the built-in one.
    """
    from chatapp.cli import setting
    from chatapp.config import load_config
    from chatapp.remotes import PREFIX

    flags = dict(asked.flags)
    template = flags.pop("chat_template")
    config = setting.override(load_config(paths), think=None, **flags)
    path = setting.choose_model(model, config, paths)
    config = setting.override_template(config, path, template)
    is_server = str(path).startswith(PREFIX)
    at_once = asked.at_once or (_TO_A_SERVER if is_server else 1)
    load = setting.load_options(config, paths, path, n_parallel=1, raw=asked.raw)
    return path, load, at_once, is_server
