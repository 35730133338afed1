"""BLEU and chrF: sacrebleu's own numbers, kept for each example so that they can be drawn again."""

import re
from collections.abc import Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from chatapp.errors import ChatAppError
from chatapp.evaluate.metrics import Statistics

if TYPE_CHECKING:
    from sacrebleu.metrics.base import Metric

TOKENIZERS = ("13a", "intl", "zh", "char", "none")
"""Those of sacrebleu that need no further package and no download."""
_KANA = re.compile("[\u3040-\u30ff]")
_HAN = re.compile("[\u3400-\u9fff]")
_LETTER = re.compile(r"[^\W\d_]")
_MOSTLY = 0.5


def measure_bleu(
    answers: Sequence[str], references: Sequence[Sequence[str]], tokenize: str = ""
) -> Statistics:
    """BLEU of the answers, 0 to 100; `tokenize` empty: as the references' script asks."""
    metric = _make_metric("bleu", tokenize or choose_tokenizer(references))
    return _gather("bleu", metric, answers, references)


def measure_chrf(answers: Sequence[str], references: Sequence[Sequence[str]]) -> Statistics:
    """chrF2 of the answers, 0 to 100."""
    return _gather("chrf", _make_metric("chrf"), answers, references)


def restore(name: str, rows: list[list[float]], signature: str) -> Statistics:
    """Statistics of BLEU or chrF from rows that were kept."""
    metric, of_one = _make_metric(name), _make_metric(name, of_one=True)
    return Statistics(
        name=name,
        rows=rows,
        score=lambda sums: _score(metric, sums),
        score_one=lambda row: _score(of_one, row),
        signature=signature,
    )


def choose_tokenizer(references: Sequence[Sequence[str]]) -> str:
    """How words are split for BLEU: Chinese and Japanese have no spaces between them."""
    text = "".join(one for several in references for one in several)
    n_letters = len(_LETTER.findall(text)) or 1
    n_kana, n_han = len(_KANA.findall(text)), len(_HAN.findall(text))
    if (n_han + n_kana) / n_letters < _MOSTLY:
        return "13a"
    return "char" if n_kana > n_han / 10 else "zh"


def _make_metric(name: str, tokenize: str = "13a", *, of_one: bool = False) -> "Metric":
    """sacrebleu's; `of_one`: for single sentences, which may be shorter than an n-gram."""
    try:
        from sacrebleu.metrics.bleu import BLEU
        from sacrebleu.metrics.chrf import CHRF
    except ImportError:
        raise ChatAppError(
            "BLEU and chrF are measured by the package sacrebleu, which is not installed.",
            "pip install '.[eval]' (in the folder of chatapp's sources)",
        ) from None
    if name == "chrf":
        return CHRF()
    return BLEU(tokenize=tokenize, force=True, effective_order=of_one)


def _gather(
    name: str, metric: "Metric", answers: Sequence[str], references: Sequence[Sequence[str]]
) -> Statistics:
    """sacrebleu makes corpus scores of such rows itself; it offers them under no public name."""
    streams = list(zip_longest(*references))
    rows: list[list[float]] = metric._extract_corpus_statistics(answers, streams)
    return restore(name, rows, str(metric.get_signature()))


def _score(metric: "Metric", sums: Sequence[float]) -> float:
    value: Any = metric._compute_score_from_stats(list(sums))
    return float(value.score)
