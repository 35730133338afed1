"""What is kept of a task that was measured, so that it can be compared with others later.

Beside the scores these are the numbers of each example and its answer, for at most
`MOST_EXAMPLES`: enough to draw again, and to show which examples differ most.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chatapp.errors import UsageError
from chatapp.evaluate.bootstrap import Interval, draw_scores, find_interval
from chatapp.evaluate.metrics import Statistics, restore_statistics
from chatapp.evaluate.tasks import Answers

MOST_EXAMPLES = 1000
EACH = "each"
"""Where the numbers of each example are among the results."""


@dataclass(frozen=True, slots=True)
class Scored:
    """One metric of one run."""

    statistics: Statistics
    interval: Interval


def score_statistics(found: Sequence[Statistics], seed: int) -> list[Scored]:
    """Each statistic as a figure with the interval that holds 95 % of the resamplings."""
    return [Scored(one, find_interval(one, draw_scores(one, seed))) for one in found]


def describe_results(scored: Sequence[Scored], answers: Answers, n_asked: int) -> dict[str, Any]:
    """The results as the store keeps them: scores by name first, then what belongs to them."""
    said = answers.answers
    results: dict[str, Any] = {one.statistics.name: one.interval.score for one in scored}
    results |= describe_answers(answers, n_asked)
    results["intervals"] = {
        one.statistics.name: [one.interval.low, one.interval.high] for one in scored
    }
    results["signatures"] = {one.statistics.name: one.statistics.signature for one in scored}
    if len(said) <= MOST_EXAMPLES:
        results[EACH] = {
            "ids": [one.question.example.id for one in said],
            "answers": [one.text for one in said],
            "rows": {one.statistics.name: one.statistics.rows for one in scored},
        }
    return results


def describe_answers(answers: Answers, n_asked: int) -> dict[str, Any]:
    """How many there are, and what they cost."""
    said = answers.answers
    return {
        "answers": len(said),
        "examples": n_asked,
        "cut_off": sum(one.finish_reason == "length" for one in said),
        "empty": sum(not one.text.strip() for one in said),
        "too_long": sum(bool(one.problem) for one in said),
        "prompt_tokens": sum(one.prompt_tokens for one in said),
        "completion_tokens": sum(one.completion_tokens for one in said),
    }


@dataclass(frozen=True, slots=True)
class KeptScores:
    """What can be compared of an evaluation."""

    ids: list[str]
    answers: list[str]
    statistics: dict[str, Statistics]


def read_results(results: Mapping[str, Any], called: str) -> KeptScores:
    """What `describe_results` kept; `called` is said where it is not there. `UsageError`."""
    each = results.get(EACH)
    if not isinstance(each, dict):
        raise UsageError(
            f"{called} was kept without the scores of each example.",
            f"They are kept for tasks of at most {MOST_EXAMPLES:,} examples. Measure both again: "
            "chatapp eval compare A B FILE",
        )
    signatures = results["signatures"]
    return KeptScores(
        each["ids"],
        each["answers"],
        {
            name: restore_statistics(name, rows, signatures[name])
            for name, rows in each["rows"].items()
        },
    )
