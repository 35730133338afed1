"""Chooses a type by how far its file is from the source, measured on text.

It promises that the type that comes out was written and measured, not estimated: llama.cpp runs the
file in the source's precision once and every candidate after it. No PyTorch is needed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from convert.errors import UsageError
from convert.ftype import EXACT, FileType
from convert.libllama import ModelFile
from convert.output import PartFile, check_space
from convert.parity.measure import Agreement
from convert.plan import Plan, fallback_notes
from convert.progress import Progress
from convert.sizing import candidates
from convert.typemap import TypeMap, type_map, weight_bytes

_WINDOW = 256
_MIN_TOKENS, _MAX_TOKENS = 32, 4096
_MAX_LOGITS = 64 << 20  # numbers, 256 MiB: the source's logits are kept


@dataclass(frozen=True)
class Trial:
    """One type that was written and measured."""

    name: str
    bytes: int
    """Of its tensors."""
    kl_mean: float
    """Nats, from the file in the source's precision."""


def choose_by_kl(
    plan: Plan, limit: float, text: str, progress: Progress
) -> tuple[Plan, list[Trial]]:
    """`plan` in the smallest type whose mean KL from the source's precision is at most `limit`.

    Files are written beside the output, one at a time, and measured by llama.cpp on `text`. Halving
    the list takes it that a larger file is a closer one; the type that comes out was measured. The
    source's own type is what is left when all others are further. Raises `ConvertError`.
    """
    if plan.model.embeddings:
        raise UsageError(
            "--max-kl compares next tokens, and this model makes embeddings.", "Choose with -q."
        )
    with type_map(plan.model) as mixture:
        kinds = candidates(plan.model, imatrix=bool(plan.importance))
        precise, *others = (_in_type(plan, kind, mixture) for kind in kinds)
    others.sort(key=_size)
    with _written(precise, "source", progress) as file:
        distance = _Distance(file, text)
    trials: dict[int, Trial] = {}
    low, high = 0, len(others)
    while low < high:
        middle = (low + high) // 2
        with _written(others[middle], "trial", progress) as file:
            trial = Trial(others[middle].ftype.name, _size(others[middle]), distance.to(file))
        progress("note", text=f"{trial.name}: mean KL {trial.kl_mean:.2g}.")
        trials[middle] = trial
        low, high = (low, middle) if trial.kl_mean <= limit else (middle + 1, high)
    reason = f"no smaller type has a mean KL within {limit:g}"
    if low < len(others):
        found = f"{trials[low].kl_mean:.2g} on {distance.n_tokens} tokens"
        reason = f"the smallest whose mean KL is within {limit:g}: {found}"
    best = others[low] if low < len(others) else precise
    return replace(best, type_reason=reason), list(trials.values())


def _in_type(plan: Plan, ftype: FileType, mixture: TypeMap) -> Plan:
    types = mixture.types(ftype, imatrix=bool(plan.importance))
    return replace(
        plan,
        ftype=ftype,
        types=types,
        notes=plan.notes + fallback_notes(plan.model, ftype, types),
        sizes={ftype.name: weight_bytes(plan.model, types)},
        importance={} if ftype.name in EXACT else plan.importance,
    )


def _size(plan: Plan) -> int:
    return plan.sizes[plan.ftype.name]


@contextmanager
def _written(plan: Plan, suffix: str, progress: Progress) -> Iterator[ModelFile]:
    """The file of `plan`, loaded; it lies beside the output and is removed again."""
    plan = replace(plan, output=plan.output.with_name(f"{plan.output.name}.{suffix}"))
    check_space(plan)
    with PartFile(plan.output) as part:
        part.write(plan, {}, progress)
        with ModelFile(part.path) as file:
            yield file


class _Distance:
    """How far files are from one, whose logits on a text are kept."""

    def __init__(self, file: ModelFile, text: str) -> None:
        """Compute the logits. Raises `UsageError` when the text is too short."""
        n_tokens = min(_MAX_TOKENS, max(_WINDOW, _MAX_LOGITS // file.n_tokens))
        self._windows = file.windows(text, n_tokens, _WINDOW)
        self.n_tokens = sum(map(len, self._windows))
        if self.n_tokens < _MIN_TOKENS:
            raise UsageError(
                f"The text to measure on has {self.n_tokens} tokens.",
                "Give more with --parity-text.",
            )
        self._expected = [file.logits(window) for window in self._windows]

    def to(self, file: ModelFile) -> float:
        """The mean KL divergence of `file` from what was measured first, in nats."""
        sums = Agreement()
        for expected, window in zip(self._expected, self._windows, strict=True):
            sums.add(expected, file.logits(window), window)
        return float(sums.report()["kl_mean"])
