"""Settles what a hand-written model leaves open by its own code, where the user has named it.

The same search as on a text (`judging`), but what counts is how far each form's next tokens are
from those of the code (KL divergence): it needs no trained model and no text of its own, and the
right form is at nought.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convert.author.asked import Code
from convert.author.job import Subject
from convert.author.process import AuthorCode
from convert.checkpoints.checkpoint import Finding
from convert.errors import ArchitectureError, CodeError
from convert.handwritten.factors import match_code
from convert.handwritten.form import FACTORS, Form, text_of
from convert.handwritten.graphs import find_graph
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
_MATCHED = 1e-6  # nats; numbers that the code multiplies by measure 1e-12
_SEEN, _PIECE = 128, 32  # tokens that numbers are measured on, and in one piece
_LOOKS, _PATIENCE = 500, 120.0  # at forms with numbers, and seconds that they may take


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
        said_numbers = reading.choices.said.keys() & {"scale", "embeddings", *FACTORS}
        if verdict.loss > _EXACT and not said_numbers:  # a factor would hide that it is wrong
            verdict = _with_factors(reading, switches, verdict, ids, length, distances)
    exact = _EXACT * min(1.0, _spread(answers))
    if not verdict.loss <= MAX_KL or (verdict.loss > exact and not _runs(reading, verdict.form)):
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
    """The verdict with numbers that the code multiplies parts by, where with them the logits are
    the code's; else as it was."""
    factors = ("logits_factor", *factors_of(positions=reading.roles.positions is not None))
    seen, starts = windows(ids, min(length, _PIECE), _SEEN), (verdict.form, reading.choices.form())
    distances(seen, verdict.form)  # the code's answers, once
    started = time.monotonic()
    distances(seen, verdict.form)
    if _LOOKS * (time.monotonic() - started) > _PATIENCE:
        return verdict
    form = match_code(starts, switches, factors, seen, distances, _MATCHED)
    if form is None:
        return verdict
    matched = judge(form, switches, ids, length, distances, lambda _: None, two=False)
    return matched if matched.loss <= _MATCHED else verdict


def _spread(answers: Mapping[bytes, NDArray[np.float64]]) -> float:
    """How far the code's answers are from their mean, in nats: little in an untrained model, where
    all forms are near one another."""
    rows = np.concatenate([one.reshape(-1, one.shape[-1]) for one in answers.values()])[:_LEAST]
    shares = np.exp(rows)
    mean = np.log(np.maximum(shares.mean(axis=0), 1e-30))
    return float((shares * (np.maximum(rows, -99.0) - mean)).sum(axis=-1).mean())


def _runs(reading: Reading, form: Form) -> bool:
    """Whether llama.cpp has a graph for `form`. Why it has none is no fact about the model where
    the form is not quite the code's."""
    try:
        find_graph(reading.roles, form)
    except ArchitectureError:
        return False
    return True


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
