"""Settles what a hand-written model leaves open, by what the trained model itself understands.

It promises never to take for settled what the text does not tell: the likeliest value stays, said
to be assumed, unless another is better beyond chance; where another is better and not beyond
chance, and it makes a difference, it is asked with both figures.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import replace
from math import exp
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from convert.author.asked import Code
from convert.checkpoints.checkpoint import Checkpoint, Finding
from convert.handwritten.form import text_of
from convert.handwritten.judging import Contest, Verdict, judge
from convert.handwritten.reading import Reading, open_reading, question
from convert.handwritten.rest import AS_READ, PARTS, find_unrest
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
    )
    if not verdict.trained:
        return _noted(
            checkpoint,
            f"The model does not tell how it was built: of {found.name} it understands no more "
            f"than how often each token comes (perplexity {perplexity(verdict.loss):.4g}, by "
            f"frequencies {perplexity(verdict.frequencies):.4g}). It is untrained, or needs its "
            "own text: --text FILE.",
        )
    findings = {switch: _judge(reading, switch, verdict, found) for switch in switches}
    settled = replace(checkpoint, findings=checkpoint.findings | findings)
    return _at_rest(settled, reading, verdict, model, found) if found.own else settled


def _at_rest(
    checkpoint: Checkpoint, reading: Reading, verdict: Verdict, model: HandWritten, text: Text
) -> Checkpoint:
    """`checkpoint`; where its model shows that it has learned in another form, that is asked."""
    unrest = find_unrest(
        verdict.form,
        text.ids,
        _length(reading),
        model.losses,
        positions=reading.roles.positions is not None,
    )
    if unrest is None:
        return checkpoint
    figures = (
        f"{text.name} is better understood with {PARTS[unrest.part]} times {unrest.factor:g} "
        f"(perplexity {perplexity(unrest.loss - unrest.gain):.4g}, as read "
        f"{perplexity(unrest.loss):.4g})"
    )
    checkpoint.ask(
        Question(
            AS_READ,
            f"In no form that we know is the model at rest, as training leaves it: {figures}. So "
            "its code computes something otherwise, and the file would be wrong; --code FILE.py "
            "compares with it.",
            (Choice("anyway", "convert it as it was read"),),
        )
    )
    unsure = {
        switch: replace(one, clear=False, detail=f"{one.detail}; {figures}")
        for switch, one in checkpoint.findings.items()
    }
    return _noted(
        replace(checkpoint, findings=unsure),
        f"The file may not compute what its author's code does: {figures}.",
    )


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
