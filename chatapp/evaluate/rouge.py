"""ROUGE: rouge-score's own numbers, the F-measures of rouge1, rouge2 and rougeL, 0 to 1."""

from collections.abc import Sequence

from chatapp.errors import ChatAppError
from chatapp.evaluate.metrics import Statistics, average

TYPES = ("rouge1", "rouge2", "rougeL")
"""What its command measures unless told otherwise."""
_SIGNATURE = "rouge-score, no stemmer"


def measure_rouge(answers: Sequence[str], references: Sequence[Sequence[str]]) -> list[Statistics]:
    """The mean of each type; of several references the one counts that an answer is nearest to."""
    try:
        from rouge_score.rouge_scorer import RougeScorer
    except ImportError:
        raise ChatAppError(
            "ROUGE is measured by the package rouge-score, which is not installed.",
            "pip install '.[eval]' (in the folder of chatapp's sources)",
        ) from None
    scorer = RougeScorer(list(TYPES), use_stemmer=False)
    found = [
        scorer.score_multi(list(several), answer)
        for answer, several in zip(answers, references, strict=True)
    ]
    return [
        average(name, [[float(one[name].fmeasure), 1.0] for one in found], _SIGNATURE)
        for name in TYPES
    ]
