"""How the author's forward is called, and where in what it gives the logits are.

Found by trying on a few tokens, and only what behaves as a language model is taken: a change of the
first token changes the last row of logits, a change of the last token no row before it, and the
same tokens give the same logits twice.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from convert.author.faults import AuthorError

_TARGETS = ("target", "label", "y", "tgt")
_STARTS = ("start_pos", "offset", "start", "past_len", "pos_offset", "cache_pos", "position_offset")
_PROBE = 6
_NEAR = 1e-4  # of the largest logit: what sums in another order may differ by
Ids = list[int]
Extras = Callable[[int], dict[str, Any]]


@dataclass(frozen=True)
class Way:
    """One way of calling the author's forward."""

    layout: str
    """How ids are laid out: "batch" (1, n), "sequence" (n, 1), "plain" (n)."""
    extras: Extras
    """Further arguments, by the number of ids."""
    says: str
    """What is special about it, for the report; "" where nothing is."""


class Caller:
    """The author's model as a function from ids to logits."""

    def __init__(self, model: Any, widths: set[int], n_ctx: int) -> None:
        """`widths`: how many logits a row may have; `n_ctx`: positions it takes."""
        self._model, self._widths, self._n_ctx = model, widths, n_ctx
        self._pad = self._by_prefix = False
        self._way = Way("batch", lambda _: {}, "")
        self.notes: list[str] = []

    def find_way(self) -> None:
        """Find out how it is called. Raises `AuthorError` or what the code raised first."""
        n = max(2, min(_PROBE, self._n_ctx))
        ids = [(7 * i + 3) % min(self._widths) for i in range(n)]
        first: Exception | None = None
        last_only: Way | None = None
        blind = seeing = False
        for pad in (False, True) if n < self._n_ctx else (False,):
            for way in self._ways():
                self._way, self._pad = way, pad
                try:
                    found = self._look(ids)
                except Exception as error:  # noqa: BLE001  (the author's code may raise anything)
                    first = first or error
                    continue
                if found == "" and self._by_prefix:  # another way may give all of them
                    last_only = last_only or way
                    continue
                if found == "":
                    return self._note()
                blind, seeing = blind or found == "blind", seeing or found == "seeing"
        if last_only is not None:
            self._way, self._pad, self._by_prefix = last_only, False, True
            return self._note()
        if seeing:
            raise AuthorError(
                "its logits depend on later tokens: it is no causal language model as it is called"
            )
        if blind:
            raise AuthorError("its logits do not depend on the tokens before")
        assert first is not None
        raise first

    def _look(self, ids: Ids) -> str:
        """ "" where the way works; "blind" or "seeing" where it gives logits of no use."""
        logits = self._rows(ids)
        if len(logits) != len(ids):  # the last position only
            self._by_prefix = True
            return self._check_prefix(ids)
        self._by_prefix = False
        size = _NEAR * float(np.abs(logits[np.isfinite(logits)]).max(initial=1e-6))
        other = [*ids[:-1], (ids[-1] + 1) % min(self._widths)]
        if not _close(self._rows(other)[:-1], logits[:-1], size):
            return "seeing"
        if not _close(self._rows(ids), logits, size):
            raise AuthorError("it gives other logits for the same tokens every time")
        other = [(ids[0] + 1) % min(self._widths), *ids[1:]]
        return "blind" if np.array_equal(self._rows(other)[-1], logits[-1]) else ""

    def _check_prefix(self, ids: Ids) -> str:
        last = self._rows(ids)[-1]
        other = [(ids[0] + 1) % min(self._widths), *ids[1:]]
        return "blind" if np.array_equal(self._rows(other)[-1], last) else ""

    def _note(self) -> None:
        if self._way.says:
            self.notes.append(self._way.says)
        if self._by_prefix:
            self.notes.append("It gives the last position only: asked once for every position.")
        if self._pad:
            self.notes.append(f"It takes {self._n_ctx} tokens, no fewer: padded behind.")

    def logits(self, ids: Sequence[int]) -> NDArray[np.float32]:
        """Logits [len(ids), width] after each of `ids`."""
        if not self._by_prefix:
            return self._rows(list(ids))
        rows = [self._rows(list(ids[: n + 1]))[-1] for n in range(len(ids))]
        return np.stack(rows)

    def _rows(self, ids: Ids) -> NDArray[np.float32]:
        """What one call gives: a row for each of `ids`, or the last one alone."""
        given = ids + [0] * (self._n_ctx - len(ids)) if self._pad else ids
        tensor = torch.tensor(given)
        if self._way.layout != "plain":
            tensor = tensor[None] if self._way.layout == "batch" else tensor[:, None]
        with torch.no_grad():
            out = self._model(tensor, **self._way.extras(len(given)))
        rows = find_logits(out, len(given), self._widths)
        if rows is None:
            raise AuthorError(f"its forward gives no logits: {describe(out)}")
        found = _as_logits(rows)
        if self._pad and len(found) != len(given):
            raise AuthorError("it gives the logits of the last position only, behind the padding")
        return found[: len(ids)]

    def _ways(self) -> Iterator[Way]:
        parameters = _parameters_after_ids(self._model)
        for layout in ("batch", "sequence", "plain"):
            for extras, says in _extras(parameters, layout):
                yield Way(layout, extras, says)


def _close(a: NDArray[np.float32], b: NDArray[np.float32], size: float) -> bool:
    if a.shape != b.shape:
        return False
    with np.errstate(invalid="ignore"):
        gap = np.abs(a - b)
    return bool((gap[np.isfinite(gap)] <= size).all())


def _parameters_after_ids(model: Any) -> list[inspect.Parameter]:
    try:
        found = list(inspect.signature(model.forward).parameters.values())
    except (ValueError, TypeError):
        return []
    return [p for p in found[1:] if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]


def _extras(parameters: list[inspect.Parameter], layout: str) -> Iterator[tuple[Extras, str]]:
    """Ways to fill the parameters after the ids: what must be, then targets, then masks."""
    required = [p.name for p in parameters if p.default is p.empty]
    optional = [p.name for p in parameters if p.default is not p.empty]

    def targets(n: int) -> torch.Tensor:
        ids = torch.zeros(n, dtype=torch.long)
        return {"batch": ids[None], "sequence": ids[:, None]}.get(layout, ids)

    def fill(names: Sequence[str], mask: Any = None, start: Any = 0) -> Extras:
        return lambda n: {name: _value(name, n, targets, mask, start) for name in names}

    masked = [name for name in required if "mask" in name.lower()]
    if not masked:
        yield fill(required), ""
    wanted = [name for name in optional if _is_target(name)]
    if wanted:
        yield fill([*required, *wanted[:1]]), f"Called with {wanted[0]}, for every position."
    for name in masked or [name for name in optional if "mask" in name.lower()][:1]:
        for words, mask in _MASKS.items():
            yield fill([*required, name], mask), f"Called with {name}: {words}."
        if name in required:
            yield fill(required), ""
    if any(name.lower().startswith("pos") or "position" in name.lower() for name in required):
        yield fill(required, start=None), ""


def _is_target(name: str) -> bool:
    lowered = name.lower()
    return lowered == "y" or lowered.startswith(_TARGETS[:2]) or lowered in _TARGETS


def _value(name: str, n: int, targets: Callable[[int], torch.Tensor], mask: Any, start: Any) -> Any:
    lowered = name.lower()
    if _is_target(name):
        return targets(n)
    if "pad" in lowered:
        return None
    if "mask" in lowered:
        return (
            torch.ones(1, n, dtype=torch.long) if lowered == "attention_mask" else mask and mask(n)
        )
    if lowered in _STARTS or (lowered.startswith("pos") and start is not None):
        return 0
    if "pos" in lowered:
        return torch.arange(n)
    return False if lowered.startswith(("use_", "return_", "train", "is_")) else None


_MASKS: dict[str, Callable[[int], torch.Tensor]] = {
    "-inf above the diagonal": lambda n: torch.full((n, n), float("-inf")).triu(1),
    "true above the diagonal": lambda n: torch.ones(n, n, dtype=torch.bool).triu(1),
    "true up to the diagonal": lambda n: torch.ones(n, n, dtype=torch.bool).tril(),
    "true up to the diagonal, in four axes": lambda n: torch.ones(
        1, 1, n, n, dtype=torch.bool
    ).tril(),
    "1 up to the diagonal": lambda n: torch.ones(1, n, n).tril(),
}


def find_logits(out: Any, n: int, widths: set[int]) -> torch.Tensor | None:
    """The logits [n, width] in what a forward gave, or [1, width] of the last position alone."""
    for tensor in _tensors(out):
        shape = tuple(tensor.shape)
        if tensor.is_floating_point() and shape and shape[-1] in widths:
            rows = tensor.reshape(-1, shape[-1])
            if len(rows) in (n, 1):
                return rows
        if len(shape) == 3 and shape[1] in widths and shape[::2] == (1, n):
            return tensor[0].T  # (batch, vocabulary, position), as cross_entropy takes it
    return None


def _tensors(out: Any) -> Iterator[torch.Tensor]:
    """Tensors in what was given, those called logits first."""
    if isinstance(out, torch.Tensor):
        yield out
    elif isinstance(out, Mapping):
        names = sorted(out, key=lambda name: "logits" not in str(name))
        for name in names:
            yield from _tensors(out[name])
    elif isinstance(out, tuple | list):
        for item in out[:8]:
            yield from _tensors(item)
    elif hasattr(out, "logits"):
        yield from _tensors(out.logits)


def describe(out: Any) -> str:
    """What was given, in a few words."""
    if isinstance(out, torch.Tensor):
        return f"a tensor {tuple(out.shape)}"
    if isinstance(out, tuple | list):
        return f"{type(out).__name__} of {', '.join(describe(item) for item in out[:4])}"
    return f"a {type(out).__name__}"


def _as_logits(rows: torch.Tensor) -> NDArray[np.float32]:
    """As float32; probabilities become their logarithms."""
    found: NDArray[np.float32] = rows.float().contiguous().numpy()
    sums = found.sum(axis=1)
    if found.min() >= 0 and np.abs(sums - 1).max() < 1e-3:
        return np.log(np.maximum(found, np.finfo(np.float32).tiny))
    return found
