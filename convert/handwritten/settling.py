"""Settles what a hand-written model leaves open, by what the trained model itself understands.

It promises never to take for settled what the text does not tell: the likeliest value stays, said
to be assumed, unless another is better beyond chance; where another is better and not beyond
chance, and it makes a difference, it is asked with both figures.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping
from dataclasses import replace
from math import exp
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from convert.author.asked import Code
from convert.checkpoints.checkpoint import Checkpoint, Finding
from convert.errors import ArchitectureError
from convert.handwritten.factors import find_factors
from convert.handwritten.form import FACTORS, SWITCHES, meaning, text_of
from convert.handwritten.graphs import find_graph
from convert.handwritten.judging import Contest, Verdict, judge
from convert.handwritten.reading import Reading, open_reading, question
from convert.handwritten.rest import AS_READ, Unrest, factors_of, find_unrest, look_at
from convert.handwritten.texts import Text, find_text
from convert.parity.references import Unavailable, require_torch
from convert.progress import Progress
from convert.questions import Choice, Question
from convert.vocab.vocabulary import Vocab

if TYPE_CHECKING:
    from convert.parity.hand_written import HandWritten

NOTHING: Mapping[str, Any] = MappingProxyType({})
_MAX_WEIGHTS = 3_000_000_000
_LEAST = 128  # tokens of a text
_LOOKS, _PATIENCE = 500, 120.0  # at forms with numbers, and seconds that they may take
_ROTATED, _TABLE = 32, 256  # tokens at a time


def settle(
    checkpoint: Checkpoint,
    vocab: Vocab,
    text: Path | None,
    progress: Progress,
    code: Code | None = None,
    told: Mapping[str, Any] = NOTHING,
) -> Checkpoint:
    """`checkpoint` with what was found out; what is to be asked is asked.

    `code`, the model's own, settles everything; `told` is what the user said of the checkpoint.
    """
    reading = open_reading(checkpoint)
    switches = _open(reading)
    if not switches:
        return checkpoint
    try:
        model, found = _prepare(reading, vocab, text)
    except Unavailable as reason:
        return _noted(checkpoint, f"How it was built could not be measured: {reason}.")
    if code is not None:
        from convert.handwritten.asking_code import settle_by_code

        length = _length(reading)
        by_code = settle_by_code(reading, switches, code, model, found.ids, length, progress, told)
        return replace(checkpoint, findings=checkpoint.findings | by_code)
    verdict = judge(
        reading.choices.form(),
        switches,
        found.ids,
        _length(reading),
        model.losses,
        lambda line: progress("note", text=line),
        reading.choices.asked,
        two=not reading.spelling.published,
    )
    if not verdict.trained:
        return _noted(
            checkpoint,
            f"The model does not tell how it was built: of {found.name} it understands no more "
            f"than how often each token comes (perplexity {perplexity(verdict.loss):.4g}, by "
            f"frequencies {perplexity(verdict.frequencies):.4g}). It is untrained, or needs its "
            "own text: --text FILE.",
        )
    verdict, unrest = _rest(reading, switches, verdict, model, found, progress)
    findings = {switch: _judge(reading, switch, verdict, found) for switch in switches}
    findings |= {
        name: Finding(value, clear=False, detail=f"as well as measured on {found.name}")
        for name, value in verdict.form.factors().items()
        if name not in reading.choices.said
    }
    settled = replace(checkpoint, findings=checkpoint.findings | findings)
    return settled if unrest is None else _restless(settled, reading, verdict, unrest, found)


def _rest(
    reading: Reading,
    switches: Mapping[str, tuple[Any, ...]],
    verdict: Verdict,
    model: HandWritten,
    text: Text,
    progress: Progress,
) -> tuple[Verdict, Unrest | None]:
    """The verdict, where a number on some part explains a model that was not at rest in it: asked
    for then; and what shows that it is not at rest in that either."""
    length, first = _length(reading), reading.choices.form()
    positions = reading.roles.positions is not None
    unrest = find_unrest(
        verdict.form, text.ids, length, model.losses, positions=positions, own=text.own
    )
    decided = {AS_READ, *FACTORS} & reading.checkpoint.config.keys()
    doubtful = any(not (one.clear or one.close) for one in verdict.against_first.values())
    if not (unrest or doubtful) or not text.own or decided:
        return verdict, unrest
    started = time.monotonic()
    seen, _ = look_at(verdict.form, text.ids, length, model.losses)
    seconds = _LOOKS * (time.monotonic() - started)
    if seconds > _PATIENCE:
        return verdict, unrest
    progress(
        "note",
        text="No form explains the model: looking for a number that a part of it is multiplied "
        f"by, about {max(1, round(seconds))} s.",
    )
    factors = factors_of(positions=positions)
    starts = first, verdict.form
    better = find_factors(starts, switches, factors, seen, model.losses, reading.roles)
    if better is None:
        return verdict, unrest
    first, before = first.but(**better.factors()), verdict
    verdict = judge(
        first, switches, text.ids, length, model.losses, lambda _: None, reading.choices.asked
    )
    for name, value in better.factors().items():
        if name not in reading.choices.said:
            _ask_factor(reading, name, value, verdict, before, text)
    unrest = find_unrest(verdict.form, text.ids, length, model.losses, positions=positions)
    return verdict, unrest


def _ask_factor(
    reading: Reading, name: str, value: float, verdict: Verdict, before: Verdict, text: Text
) -> None:
    """Ask for a number that was measured: code may have another near it, or something else."""
    why = (
        f"{text.name} is best understood with about {meaning(name, value)}, in no form as well "
        "without. It is measured, not read: the code's own number may be another near it, or "
        "something else that looks like it. --code FILE.py reads it off the code."
    )
    choices = (
        Choice(value, meaning(name, value), {"perplexity": perplexity(verdict.loss)}),
        Choice(1.0, "not multiplied", {"perplexity": perplexity(before.loss)}),
    )
    reading.checkpoint.ask(Question(name, why, choices, float, others=True))


def _restless(
    checkpoint: Checkpoint, reading: Reading, verdict: Verdict, unrest: Unrest, text: Text
) -> Checkpoint:
    """`checkpoint`, whose model shows that it has learned in another form than the best: that is
    asked. Raises `ArchitectureError` where llama.cpp would not run that form either."""
    figures = (
        f"{text.name} is better understood with {FACTORS[unrest.factor]} times {unrest.by:g} "
        f"(perplexity {perplexity(unrest.loss - unrest.gain):.4g}, as read "
        f"{perplexity(unrest.loss):.4g})"
    )
    question = Question(
        AS_READ,
        f"In no form that we know is the model at rest, as training leaves it: {figures}. So "
        "its code computes something otherwise, and the file would be wrong; --code FILE.py "
        "compares with it.",
        (Choice("anyway", "convert it as it was read"),),
    )
    if AS_READ not in checkpoint.config:
        _refuse_unfit(reading, verdict, figures)
    checkpoint.ask(question)
    unsure = {
        switch: replace(one, clear=False, detail=f"{one.detail}; {figures}")
        for switch, one in checkpoint.findings.items()
    }
    return _noted(
        replace(checkpoint, findings=unsure),
        f"The file may not compute what its author's code does: {figures}.",
    )


def _refuse_unfit(reading: Reading, verdict: Verdict, figures: str) -> None:
    """Raise `ArchitectureError` where the best form is none that llama.cpp runs, and the model is
    not at rest in it: what it says of the model is no fact then."""
    try:
        find_graph(reading.roles, verdict.form)
    except ArchitectureError as error:
        first, form = reading.choices.form(), verdict.form
        odd = [
            meaning(switch, form.value(switch))
            for switch in (*SWITCHES, *FACTORS)
            if form.value(switch) != first.value(switch)
        ]
        raise ArchitectureError(
            f"No form that we know fits {reading.checkpoint.path.name}. The nearest has "
            f"perplexity {perplexity(verdict.loss):.4g} ({'; '.join(odd) or 'the usual one'}), "
            f"and is not what the model has learned in: {figures}.",
            "--code FILE.py compares with its own code. --set as_read=anyway takes the nearest, of "
            f"which llama.cpp says: {error.message}",
        ) from None


def _length(reading: Reading) -> int:
    """Tokens at a time: as many as the model has learned, as far as one can know.

    A table of positions has as many rows as were trained. What rotates may have learned on short
    texts whatever its configuration says.
    """
    n_positions = reading.roles.n_positions
    if reading.roles.positions is None:
        return min(n_positions or _ROTATED, _ROTATED)
    return min((n_positions or 2) - 1, _TABLE)


def _open(reading: Reading) -> Mapping[str, tuple[Any, ...]]:
    """Switches with more than one value, those of a rotation where there may be one."""
    return {s: v for s, v in reading.choices.open.items() if len(v) > 1}


def _prepare(reading: Reading, vocab: Vocab, text: Path | None) -> tuple[HandWritten, Text]:
    """What computes losses, and on what. Raises `Unavailable`."""
    checkpoint, roles = reading.checkpoint, reading.roles
    require_torch()
    from convert.libllama import ModelFile
    from convert.parity import check_memory
    from convert.parity.hand_written import HandWritten
    from convert.vocab.trial import write_vocab

    n_weights = sum(tensor.n_weights for tensor in checkpoint.tensors.values())
    check_memory(n_weights, _MAX_WEIGHTS)
    with tempfile.TemporaryDirectory(prefix="convert-vocab-") as folder:
        path = write_vocab(Path(folder) / "vocab.gguf", vocab)
        with ModelFile(path, vocab_only=True) as file:
            found = find_text(
                checkpoint,
                roles.n_vocab,
                text,
                lambda words: file.tokenize(words, add_special=False, parse_special=False),
            )
    if len(found.ids) < _LEAST:
        raise Unavailable(f"{found.name} is {len(found.ids)} tokens")
    model = HandWritten(checkpoint, roles, reading.choices.form(), reading.spelling.layout)
    return model, found


def _judge(reading: Reading, switch: str, verdict: Verdict, text: Text) -> Finding:
    """What is to be said of one switch; what it does not tell is asked."""
    contest = verdict.contests[switch]
    usual = verdict.against_first.get(switch)
    if usual is None:
        finding = Finding(contest.best, contest.clear, _figures(contest, verdict, text))
        asked = switch in reading.choices.asked and not (contest.clear or contest.same)
        return _ask(reading, contest, finding) if asked else finding
    figures = _figures(usual, verdict, text)
    if usual.close:
        return Finding(usual.other, clear=False, detail=figures)
    if not usual.clear and reading.spelling.published:
        return Finding(usual.other, clear=False, detail=figures)  # as its code has it
    if not usual.clear:
        return _ask(reading, usual, Finding(usual.other, clear=False, detail=figures))
    finding = Finding(usual.best, clear=True, detail=figures)
    if contest.clear or contest.same:
        return finding
    return _ask(reading, contest, finding)  # not the usual one, but which?


def _ask(reading: Reading, contest: Contest, finding: Finding) -> Finding:
    """`finding`, for the time being: both values are asked with what was measured."""
    measured = {
        text_of(contest.best): {"perplexity": perplexity(contest.loss)},
        text_of(contest.other): {"perplexity": perplexity(contest.loss + contest.worse)},
    }
    values = (contest.best, contest.other)
    reading.checkpoint.ask(question(contest.switch, values, **measured))
    return finding


def _figures(contest: Contest, verdict: Verdict, text: Text) -> str:
    """Both perplexities in words."""
    if contest.same:
        return f"no difference to {text_of(contest.other)} on {text.name}"
    best, other = perplexity(contest.loss), perplexity(contest.loss + contest.worse)
    return (
        f"perplexity {best:.4g}, with {text_of(contest.other)} {other:.4g}, on "
        f"{verdict.n_tokens} tokens of {text.name}"
    )


def perplexity(loss: float) -> float:
    """Of a mean loss in nats."""
    return exp(min(loss, 99.0))


def _noted(checkpoint: Checkpoint, note: str) -> Checkpoint:
    return replace(checkpoint, notes=(*checkpoint.notes, note))
