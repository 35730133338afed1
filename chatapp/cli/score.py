"""`chatapp eval score`: files of answers measured without a model."""

from typing import TYPE_CHECKING

import click

from chatapp.cli.task_options import metric_option, scoring_options

if TYPE_CHECKING:
    from chatapp.evaluate.examples import Example

_EPILOG = """\b
Examples:
  chatapp eval score hypotheses.txt references.txt --metric bleu,chrf
  chatapp eval score answers.jsonl --metric f1
"""


@click.command(epilog=_EPILOG)
@click.argument("answers")
@click.argument("references", nargs=-1)
@metric_option("bleu|chrf|rouge|exact|f1")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
@scoring_options
def score(
    answers: str,
    references: tuple[str, ...],
    *,
    metrics: tuple[str, ...],
    as_json: bool,
    tokenize: str,
    bootstrap_seed: int,
) -> None:
    """Measure ANSWERS, a file with one on each line, against REFERENCES, which are such files.

    Or ANSWERS is what `chatapp eval tasks --out` wrote, which has its references in it.
    """
    from chatapp.cli.output import dump_json
    from chatapp.cli.task_options import check_tokenize, read_metrics
    from chatapp.cli.task_report import describe_score, print_scores
    from chatapp.evaluate.kept import score_statistics
    from chatapp.evaluate.metrics import check_references, measure_answers

    wanted = read_metrics(metrics)
    check_tokenize(tokenize)
    said, examples = _read(answers, references)
    check_references(wanted, examples)
    found = measure_answers(wanted, examples, said, tokenize=tokenize)
    scored = score_statistics(found, bootstrap_seed)
    value = {one.statistics.name: describe_score(one) for one in scored}
    if as_json:
        for one in scored:
            value[one.statistics.name]["each"] = one.statistics.each
        click.echo(dump_json({"answers": len(said), "metrics": value}))
    else:
        print_scores(value)


def _read(answers: str, references: tuple[str, ...]) -> "tuple[list[str], list[Example]]":
    from chatapp.evaluate.examples import Example, put_beside, read_answers, split_lines
    from chatapp.evaluate.texts import read_texts

    text = read_texts([answers]).text
    if not references:
        return read_answers(answers, text)
    lines = split_lines(text)
    blank = [Example(number, str(number), "") for number in range(1, len(lines) + 1)]
    return lines, put_beside(answers, blank, references)
