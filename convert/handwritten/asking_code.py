"""Settles what a hand-written model leaves open by its own code, where the user has named it.

The same search as on a text (`judging`), but what counts is how far each form's next tokens are
from those of the code (KL divergence): it needs no trained model and no text of its own, and the
right form is at nought.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convert.author.asked import Code
from convert.author.job import Subject
from convert.author.process import AuthorCode
from convert.checkpoints.checkpoint import Finding
from convert.errors import CodeError
from convert.handwritten.factors import find_factors
from convert.handwritten.form import Form, text_of
from convert.handwritten.judging import Contest, Losses, Verdict, judge, windows
from convert.handwritten.reading import Reading
from convert.handwritten.rest import factors_of
from convert.parity.measure import log_softmax
from convert.progress import Progress

if TYPE_CHECKING:
    from convert.parity.hand_written import HandWritten

MAX_KL = 0.005  # nats; the right form measures 1e-7, SiLU for GELU 0.05
_MOST_LOGITS = 1 << 24  # numbers that are kept of the code's answers
_LEAST = 256  # tokens
_EXACT = 1e-4  # nats, up to which nothing else is looked for
_SEEN = 256  # tokens that numbers are measured on


def settle_by_code(
    reading: Reading,
    switches: Mapping[str, tuple[Any, ...]],
    code: Code,
    model: HandWritten,
    ids: NDArray[np.int64],
    length: int,
    progress: Progress,
    told: Mapping[str, Any],
) -> dict[str, Finding]:
    """Every switch as the code has it. Raises `CodeError` where no form computes the same."""
    n_vocab = reading.roles.n_vocab
    ids = ids[: max(_LEAST, _MOST_LOGITS // n_vocab)]
    with AuthorCode(code, reading.checkpoint, _subject(reading), told) as author:
        answers: dict[bytes, NDArray[np.float64]] = {}

        def distances(windows: NDArray[np.int64], form: Form) -> NDArray[np.float64]:
            key = windows.tobytes()
            if key not in answers:
                rows = [log_softmax(author.logits(window.tolist())) for window in windows]
                answers[key] = np.stack(rows)
            return model.distances(windows, form, answers[key])

        first = reading.choices.form()
        verdict = judge(
            first, switches, ids, length, distances, lambda line: progress("note", text=line)
        )
        spoken = reading.choices.said.keys() & {
            "scale",
            "embeddings",
            "norms",
            "order",
            "positions",
        }
        if verdict.loss > _EXACT and not spoken:  # a number would hide what was said wrongly
            verdict = _with_factors(reading, switches, verdict, ids, length, distances)
    if not verdict.loss <= MAX_KL:
        said = ", ".join(f"{key}={value}" for key, value in reading.choices.said.items())
        raise CodeError(
            f"{code.label} computes what none of the forms does that the tensors allow: the "
            f"nearest is {verdict.loss:.2g} nats from it (mean KL).",
            f"Is it so that {said}?" if said else "llama.cpp has no graph that we know of for it.",
        )
    found = {switch: _finding(contest, code) for switch, contest in verdict.contests.items()}
    figures = f"KL {verdict.loss:.2g} from {code.label}"
    factors = {
        name: Finding(x, clear=True, detail=figures) for name, x in verdict.form.factors().items()
    }
    return found | factors


def _with_factors(
    reading: Reading,
    switches: Mapping[str, tuple[Any, ...]],
    verdict: Verdict,
    ids: NDArray[np.int64],
    length: int,
    distances: Losses,
) -> Verdict:
    """The verdict with numbers that the code multiplies parts by, where they come nearer to it."""
    factors = ("logits_factor", *factors_of(positions=reading.roles.positions is not None))
    seen, first = windows(ids, min(length, 64), _SEEN), reading.choices.form()
    better = find_factors(
        (first, verdict.form),
        switches,
        factors,
        seen,
        distances,
        reading.roles,
        _EXACT / 10,
        exact=True,
    )
    if better is None:
        return verdict
    first = first.but(**better.factors())
    nearer = judge(first, switches, ids, length, distances, lambda _: None)
    return nearer if nearer.loss < verdict.loss else verdict


def _finding(contest: Contest, code: Code) -> Finding:
    best, other = contest.loss, contest.loss + contest.worse
    figures = f"KL {best:.2g} from {code.label}, with {text_of(contest.other)} {other:.2g}"
    return Finding(contest.best, clear=contest.worse > MAX_KL, detail=figures)


def _subject(reading: Reading) -> Subject:
    """What the process is told of a model that is not read yet."""
    from convert.parity.hand_written import used_by

    roles, used = reading.roles, used_by(reading.roles)
    sizes = {"vocab": roles.n_vocab, "embd": roles.n_embd, "layer": len(roles.layers)}
    sizes["ff"] = roles.n_ff
    if roles.positions is not None and roles.n_positions:
        sizes["ctx"] = roles.n_positions
    if roles.n_per_head:
        sizes["head"] = roles.n_per_head
    tensors = reading.checkpoint.tensors
    return Subject(
        n_rows=roles.n_vocab,
        n_tokens=roles.n_vocab,
        n_ctx=roles.n_positions or 512,
        n_weights=sum(tensor.n_weights for tensor in tensors.values()),
        sizes=sizes,
        ignored=tuple(name for name in tensors if name not in used),
    )
