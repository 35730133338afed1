"""`chatapp eval compare`: two models at the same, and which differences are more than chance."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import click

from chatapp.cli.task_options import Asked, metric_option, read_asked, task_options
from chatapp.errors import UsageError

if TYPE_CHECKING:
    from chatapp.evaluate.compare import Compared
    from chatapp.evaluate.kept import KeptScores
    from chatapp.paths import Paths
    from chatapp.store import Store

PERPLEXITY = "perplexity"
INTERRUPTED = 130
_EPILOG = """\b
Examples:
  chatapp eval compare qwen.gguf smollm2 translate
  chatapp eval compare my.Q4_K_M.gguf my.F16.gguf questions.jsonl --metric exact,f1
  chatapp eval compare my.Q4_K_M.gguf my.F16.gguf wiki.test.raw --metric perplexity
  chatapp eval compare 7 9

Both are asked the same, with the same seeds. B is better at an example: it wins.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What is printed and kept."""

    a: str
    b: str
    compared: "list[Compared]"
    examples: list[dict[str, Any]]
    """Those that differ most: id, scores by the first metric, answers."""
    subject: str
    sha256: str
    ids: tuple[int, int] | None = None
    """Of the evaluations that are compared, where they are kept."""
    is_stopped: bool = False
    """Ctrl+C ended the second: what both answered is compared."""

    def as_json(self) -> dict[str, Any]:
        """The JSON that is printed."""
        return {
            "a": self.a,
            "b": self.b,
            "evaluations": list(self.ids) if self.ids else None,
            "subject": self.subject,
            "subject_sha256": self.sha256,
            "metrics": {one.name: one.as_json() for one in self.compared},
            "differ_most": self.examples,
        }


@click.command(epilog=_EPILOG)
@click.argument("a")
@click.argument("b")
@click.argument("file", required=False)
@metric_option("bleu|chrf|rouge|exact|f1|perplexity")
@click.option(
    "--show",
    "n_shown",
    metavar="N",
    default=3,
    type=click.IntRange(min=0),
    help="Show the N examples that differ most; by default 3.",
)
@task_options
def compare(a: str, b: str, file: str | None, *, n_shown: int, **given: Any) -> int | None:
    """Say which of two models is better at FILE, and whether chance would do as much.

    A and B are models, FILE is as for `chatapp eval tasks`, or with --metric perplexity a text.
    Without FILE, A and B are the numbers of tasks that were measured before.
    """
    from chatapp.cli import setting
    from chatapp.paths import find_paths

    paths = find_paths()
    by_text = [name for name in given["metrics"] if name.strip().lower() == PERPLEXITY]
    if by_text and len(given["metrics"]) > 1:
        raise UsageError("Perplexity is compared on a text, so by itself.", "Leave the others out.")
    asked = None if by_text or file is None else read_asked(file, given)
    with setting.open_history(paths) as store:
        keeps = None if given["no_save"] else store
        if file is None:
            found = _compare_kept(store, a, b, given["bootstrap_seed"], n_shown)
        elif by_text:
            found = _compare_texts((a, b), file, given, paths, n_shown)
        else:
            assert asked is not None
            asked_both = _ask_both((a, b), asked, paths, keeps, n_shown)
            if asked_both is None:
                return INTERRUPTED
            found = asked_both
        value = found.as_json()
        if keeps is not None and file is not None:
            part = {"most_pieces" if by_text else "limit": given["limit"]}
            value["id"] = _keep(keeps, found, part)
    _print(found, value, as_json=given["as_json"])
    return INTERRUPTED if found.is_stopped else None


def _compare_kept(store: "Store", a: str, b: str, seed: int, n_shown: int) -> Comparison:
    from chatapp.evaluate.kept import read_results
    from chatapp.evaluate.wording import name_model

    if not (a.isdecimal() and b.isdecimal()):
        raise UsageError(
            "Where the models are to be compared is not said.",
            "chatapp eval compare A B FILE; or the numbers of two tasks: chatapp eval list",
        )
    rows = [store.evaluations.get(int(number)) for number in (a, b)]
    if rows[0].subject_sha256 != rows[1].subject_sha256:
        what = [f"{row.subject} ({row.results.get('examples', 0):,} examples)" for row in rows]
        raise UsageError(
            f"{a} and {b} were not measured at the same: {what[0]} and {what[1]}.",
            "chatapp eval show ID says all that is known of one.",
        )
    kept = [read_results(row.results, f"Evaluation {row.id}") for row in rows]
    names = tuple(map(name_model, rows))
    return _compare(
        names,
        (kept[0], kept[1]),
        seed,
        n_shown,
        (rows[0].subject, rows[0].subject_sha256),
        (rows[0].id, rows[1].id),
    )


def _ask_both(
    models: tuple[str, str], asked: Asked, paths: "Paths", store: "Store | None", n_shown: int
) -> Comparison | None:
    """None after Ctrl+C before the second had an answer."""
    from chatapp.cli.task_report import keep, score
    from chatapp.cli.task_running import AnswerFile, ask_model
    from chatapp.evaluate.compare import keep_common
    from chatapp.evaluate.kept import KeptScores

    kept: list[KeptScores] = []
    ids: list[int] = []
    names: list[str] = []
    for named in models:
        click.echo(f"chatapp: {named}", err=True)
        with AnswerFile(None) as file:
            ran = ask_model(named, asked, paths, file)
        if ran.answers.answers:
            scored = score(asked, ran.answers)
            if store is not None:
                ids.append(keep(store, asked, ran, scored))
            said = ran.answers.answers
            kept.append(
                KeptScores(
                    [one.question.example.id for one in said],
                    [one.text for one in said],
                    {one.statistics.name: one.statistics for one in scored},
                )
            )
            names.append(named)
        if ran.answers.error is not None:
            raise ran.answers.error
        if ran.answers.is_stopped and len(kept) < 2:
            click.echo("chatapp: Stopped: there is nothing to compare with.", err=True)
            return None
    found = _compare(
        (names[0], names[1]),
        keep_common(*kept),
        asked.bootstrap_seed,
        n_shown,
        (asked.examples.name, asked.examples.sha256),
        (ids[0], ids[1]) if ids else None,
    )
    return replace(found, is_stopped=ran.answers.is_stopped)


def _compare(
    names: tuple[str, ...],
    kept: "tuple[KeptScores, KeptScores]",
    seed: int,
    n_shown: int,
    subject: tuple[str, str],
    ids: tuple[int, int] | None,
) -> Comparison:
    from chatapp.evaluate.compare import compare_kept

    compared, places = compare_kept(*kept, seed)
    first = compared[0].name
    examples = [
        {
            "id": kept[0].ids[place],
            "metric": first,
            "a": kept[0].statistics[first].each[place],
            "b": kept[1].statistics[first].each[place],
            "answer_a": kept[0].answers[place],
            "answer_b": kept[1].answers[place],
        }
        for place in places[:n_shown]
    ]
    return Comparison(
        a=names[0],
        b=names[1],
        compared=compared,
        examples=examples,
        subject=subject[0],
        sha256=subject[1],
        ids=ids,
    )


def _compare_texts(
    models: tuple[str, str], file: str, given: dict[str, Any], paths: "Paths", n_shown: int
) -> Comparison:
    from chatapp.cli.text_scoring import score_text
    from chatapp.evaluate.compare import compare_statistics, find_differing
    from chatapp.evaluate.pieces import cut_pieces
    from chatapp.evaluate.texts import read_texts

    text = read_texts([file])
    pieces = cut_pieces(text.text)[: given["limit"] or None]
    found = [score_text(named, pieces, text.text, given, paths) for named in models]
    (name_a, a), (name_b, b) = found
    examples = [
        {
            "id": f"piece {one.place + 1}",
            "metric": one.metric,
            "a": one.a,
            "b": one.b,
            "text": pieces[one.place][:200],
        }
        for one in find_differing(a, b)[:n_shown]
    ]
    return Comparison(
        a=name_a,
        b=name_b,
        compared=[compare_statistics(a, b, given["bootstrap_seed"])],
        examples=examples,
        subject=file,
        sha256=text.sha256,
    )


def _keep(store: "Store", found: Comparison, part: dict[str, int | None]) -> int:
    """Keep it; `part`: how much of the file was compared."""
    from chatapp.store.evaluations import NewEvaluation

    value = found.as_json()
    results: dict[str, Any] = {f"{one.name}_difference": one.difference for one in found.compared}
    row = store.evaluations.add(
        NewEvaluation(
            kind="compare",
            model=f"{found.a} | {found.b}",
            subject=found.subject,
            subject_sha256=found.sha256,
            settings={name: value[name] for name in ("a", "b", "evaluations")} | part,
            results=results | {name: value[name] for name in ("metrics", "differ_most")},
        )
    )
    return row.id


def _print(found: Comparison, value: dict[str, Any], *, as_json: bool) -> None:
    from chatapp.cli.output import dump_json
    from chatapp.cli.table import clean_line, print_table
    from chatapp.text import cut_text

    if as_json:
        click.echo(dump_json(value))
        return
    click.echo(f"A  {clean_line(found.a)}")
    click.echo(f"B  {clean_line(found.b)}")
    click.echo(f"at {clean_line(found.subject)}\n")
    print_table(
        ("metric", "A", "B", "B − A", "95 % interval", "p", "wins, losses, ties", ""),
        [_describe_row(one) for one in found.compared],
    )
    for one in found.examples:
        click.echo(f"\n{clean_line(one['id'])}: {one['metric']} {one['a']:.4g} and {one['b']:.4g}")
        for label, name in (("A", "answer_a"), ("B", "answer_b"), ("text", "text")):
            if name in one:
                click.echo(f"  {label}  {cut_text(clean_line(one[name]), 160)}")
    if "id" in value:
        click.echo(f"\nkept as {value['id']}")


def _describe_row(one: "Compared") -> tuple[str, ...]:
    digits = one.digits
    said = f"{one.better} is better" if one.better else "may be chance"
    return (
        one.name,
        f"{one.a:.{digits}f}",
        f"{one.b:.{digits}f}",
        f"{one.difference:+.{digits}f}",
        f"{one.low:+.{digits}f} – {one.high:+.{digits}f}",
        f"{one.p:.3f}",
        f"{one.wins} {one.losses} {one.ties}",
        said,
    )
