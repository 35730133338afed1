"""What came out of a task: as JSON, as a table, as a row of the store, as lines for other tools."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from chatapp.errors import ChatAppError

if TYPE_CHECKING:
    from chatapp.cli.task_options import Asked
    from chatapp.cli.task_running import Ran
    from chatapp.evaluate.kept import Scored
    from chatapp.evaluate.tasks import Answers
    from chatapp.store import Store


def score(asked: "Asked", answers: "Answers") -> "list[Scored]":
    """Measure the answers that there are."""
    from chatapp.evaluate.kept import score_statistics
    from chatapp.evaluate.metrics import measure_answers

    found = measure_answers(
        asked.metrics,
        [answer.question.example for answer in answers.answers],
        [answer.text for answer in answers.answers],
        tokenize=asked.tokenize,
    )
    return score_statistics(found, asked.bootstrap_seed)


def describe(asked: "Asked", ran: "Ran", scored: "Sequence[Scored]") -> dict[str, Any]:
    """The JSON that is printed."""
    from chatapp.evaluate.kept import describe_answers

    return {
        **ran.describe_model(),
        "examples_file": asked.examples.name,
        "examples_sha256": asked.examples.sha256,
        "metrics": {one.statistics.name: describe_score(one) for one in scored},
        **describe_answers(ran.answers, len(asked.questions)),
        "template": asked.template.name,
        "sampling": dict(asked.way.params.given),
        "at_once": ran.at_once,
        "seconds": round(ran.seconds, 2),
    }


def describe_score(scored: "Scored") -> dict[str, Any]:
    """One metric of the JSON."""
    return {
        "score": scored.interval.score,
        "low": scored.interval.low,
        "high": scored.interval.high,
        "digits": scored.statistics.digits,
        "signature": scored.statistics.signature,
    }


def keep(store: "Store", asked: "Asked", ran: "Ran", scored: "Sequence[Scored]") -> int:
    """Keep it in the history; the number that it has there."""
    from chatapp.evaluate.kept import describe_results
    from chatapp.store.evaluations import NewEvaluation

    model = ran.describe_model()
    row = store.evaluations.add(
        NewEvaluation(
            kind="tasks",
            model=model["model"],
            model_hash=model["model_hash"],
            subject=asked.examples.name,
            subject_sha256=asked.examples.sha256,
            settings=asked.describe()
            | {name: model[name] for name in ("model_name", "runtime", "devices", "host")},
            results=describe_results(scored, ran.answers, len(asked.questions)),
            seconds=round(ran.seconds, 2),
        )
    )
    return row.id


def print_result(value: Mapping[str, Any], *, as_json: bool) -> None:
    """The table, or the JSON."""
    from chatapp.cli.output import dump_json
    from chatapp.cli.table import clean_line

    if as_json:
        click.echo(dump_json(value))
        return
    print_scores(value["metrics"])
    click.echo()
    click.echo(f"answers   {describe_count(value)}")
    click.echo(f"model     {clean_line(value['model_name'])} ({clean_line(value['model'])})")
    click.echo(f"examples  {clean_line(value['examples_file'])}")
    n_tokens, seconds = value["completion_tokens"], max(value["seconds"], 0.01)
    click.echo(
        f"speed     {value['answers'] / seconds:.2g} answers/s, {n_tokens / seconds:,.0f} tokens/s"
    )
    if "id" in value:
        click.echo(f"kept as   {value['id']}")


def print_scores(metrics: Mapping[str, Any]) -> None:
    """A row for each metric."""
    from chatapp.cli.table import print_table

    rows = [
        (
            name,
            f"{one['score']:.{one['digits']}f}",
            f"{one['low']:.{one['digits']}f} – {one['high']:.{one['digits']}f}",
            one["signature"],
        )
        for name, one in metrics.items()
    ]
    print_table(("metric", "score", "95 % interval", "measured as"), rows)


def describe_count(value: Mapping[str, Any]) -> str:
    """How many answers there are, and what is to be known of them."""
    said = [f"{value['answers']:,} of {value['examples']:,}"]
    notes = (
        ("cut_off", "cut off at --max-tokens or the context"),
        ("empty", "empty"),
        ("too_long", "not asked: longer than the context"),
    )
    said += [f"{value[name]:,} {what}" for name, what in notes if value[name]]
    return ", ".join(said)


def write_lines(prefix: Path, answers: "Answers") -> None:
    """`PREFIX.hyp`, and a `PREFIX.refN` for each reference that examples have, a line each."""
    from chatapp.evaluate.metrics import put_on_a_line

    several = [answer.question.example.references for answer in answers.answers]
    columns = {"hyp": [answer.text for answer in answers.answers]}
    for number in range(max(map(len, several))):
        # the first stands in for one that is missing: said twice it changes no metric
        columns[f"ref{number}"] = [one[number] if number < len(one) else one[0] for one in several]
    for name, texts in columns.items():
        path = prefix.with_name(f"{prefix.name}.{name}")
        try:
            path.write_text("".join(f"{put_on_a_line(text)}\n" for text in texts), "utf-8")
        except OSError as error:
            raise ChatAppError(f"{path} cannot be written: {error.strerror or error}.") from None
