"""How near answers are to references. Each metric is that of the tool that the field compares by.

BLEU and chrF are sacrebleu's, ROUGE is rouge-score's, exact match and F1 are SQuAD's. A metric is
given as `Statistics`: a few numbers for each example, and the score that their sums make.
"""

import re
import string
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from chatapp.errors import UsageError

if TYPE_CHECKING:
    from chatapp.evaluate.examples import Example

Metric = Literal["bleu", "chrf", "rouge", "exact", "f1"]
METRICS: tuple[Metric, ...] = get_args(Metric)
_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)
_ROUGE_READS = re.compile("[a-z0-9]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """What one metric found in each example, from which any resampling is computed."""

    name: str
    """`bleu`, `chrf`, `rouge1`, `rouge2`, `rougeL`, `exact`, `f1`."""
    rows: list[list[float]]
    """For each example, numbers that add up."""
    score: Callable[[Sequence[float]], float]
    """The score of a sum of rows."""
    score_one: Callable[[Sequence[float]], float]
    """The score of one example's row, where few words stand for a whole."""
    digits: int = 2
    """Behind the point, as its own tool prints them."""
    signature: str = ""
    """How it was measured, in the words of its tool."""

    @property
    def total(self) -> float:
        """The score of all examples."""
        return self.score([sum(column) for column in zip(*self.rows, strict=True)])

    @property
    def each(self) -> list[float]:
        """The score of every example."""
        return [self.score_one(row) for row in self.rows]


def average(name: str, rows: list[list[float]], signature: str) -> Statistics:
    """A metric that is the mean of a value for each example; a row is the value and 1."""
    digits = 6 if name.startswith("rouge") else 2
    return Statistics(
        name=name, rows=rows, score=_divide, score_one=_divide, digits=digits, signature=signature
    )


def restore_statistics(name: str, rows: list[list[float]], signature: str) -> Statistics:
    """Statistics from the rows that were kept of them. `UsageError` where a package is missing."""
    if name not in ("bleu", "chrf"):
        return average(name, rows, signature)
    from chatapp.evaluate.translation import restore

    return restore(name, rows, signature)


def measure_answers(
    metrics: Sequence[Metric],
    examples: "Sequence[Example]",
    answers: Sequence[str],
    *,
    tokenize: str = "",
) -> list[Statistics]:
    """What each metric says of the answers, one for each example, whose references were checked.

    `tokenize`: how sacrebleu splits words for BLEU; empty: `zh` or `char` where the references are
    Chinese or Japanese, else its own `13a`. Raises `UsageError` where a package is missing.
    """
    references = [example.references for example in examples]
    said = [put_on_a_line(answer) for answer in answers]
    found: list[Statistics] = []
    for metric in dict.fromkeys(metrics):
        match metric:
            case "bleu" | "chrf":
                from chatapp.evaluate.translation import measure_bleu, measure_chrf

                if metric == "bleu":
                    found.append(measure_bleu(said, references, tokenize))
                else:
                    found.append(measure_chrf(said, references))
            case "rouge":
                from chatapp.evaluate.rouge import measure_rouge

                found += measure_rouge(said, references)
            case "exact":
                found.append(_measure(metric, said, references, _match))
            case "f1":
                found.append(_measure(metric, said, references, _overlap))
    return found


def check_references(metrics: Sequence[Metric], examples: "Sequence[Example]") -> None:
    """Raise `UsageError` where a metric has nothing to compare with."""
    for example in examples:
        if not example.references:
            raise UsageError(
                f"Example {example.id} (line {example.number:,}) has no references, which "
                f"{metrics[0]} compares answers with.",
                'A line has them as "references": ["…"]; for a file of lines: --references FILE',
            )
        blank = not any(reference.strip() for reference in example.references)
        if blank and (wanting := [one for one in metrics if one not in ("exact", "f1")]):
            raise UsageError(
                f"Example {example.id} (line {example.number:,}) has only empty references, which "
                f"{wanting[0]} cannot compare with."
            )
    texts = (text for example in examples for text in example.references)
    if "rouge" in metrics and not any(_ROUGE_READS.search(text.lower()) for text in texts):
        raise UsageError(
            "No reference has a letter from a to z or a digit, and rouge-score reads no others.",
            "Measure chrf instead.",
        )


def put_on_a_line(text: str) -> str:
    """A text as the files of these tools hold it: a line, with single spaces."""
    return " ".join(text.split())


def normalise(text: str) -> str:
    """A text as SQuAD compares it: small letters, no punctuation, no articles, single spaces."""
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def _measure(
    name: str,
    answers: Sequence[str],
    references: Sequence[Sequence[str]],
    compare: Callable[[str, str], float],
) -> Statistics:
    best = [
        [100.0 * max(compare(normalise(answer), normalise(one)) for one in several), 1.0]
        for answer, several in zip(answers, references, strict=True)
    ]
    return average(name, best, "SQuAD v1.1")


def _match(answer: str, reference: str) -> float:
    return float(answer == reference)


def _overlap(answer: str, reference: str) -> float:
    """F1 of the words, each as often as it stands there; two that have none are the same."""
    said, wanted = answer.split(), reference.split()
    if not said or not wanted:
        return float(said == wanted)
    same = sum((Counter(said) & Counter(wanted)).values())
    return 2 * same / (len(said) + len(wanted))


def _divide(sums: Sequence[float]) -> float:
    return sums[0] / sums[1] if sums[1] else 0.0
