"""From an adapter's factors to those that llama.cpp adds to its own tensors.

It promises B' and A' whose product is what the model's family makes of B A, checked weight by
weight. Nothing about a family is known here: it is given a checkpoint whose adapted weights are
products of factors, once with A and once with columns of the unit matrix in its place. The second
shows where every row of B went, and how it was scaled; the first is what B' A' is compared with.
A change that is not one of rows, such as of the order of columns, fails that comparison.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from convert.architectures import read_model
from convert.architectures.model import OUTPUT, TOKEN_EMBEDDING, Model
from convert.checkpoints.checkpoint import Checkpoint
from convert.checkpoints.operations import concat, constant
from convert.checkpoints.peft_arithmetic import add_product
from convert.checkpoints.peft_config import Strength
from convert.checkpoints.tensor import Tensor
from convert.errors import CheckpointError

MERGE = "Merge it into the model instead: chatapp convert MODEL --lora ADAPTER."
# What llama.cpp multiplies with `build_lora_mm`; an adapter of anything else it would pass over.
_HEARD = re.compile(
    r"blk\.\d+\.(?:attn_(?:q|k|v|qkv|output)|ffn_(?:gate|up|down|gate_inp))\.weight|output\.weight"
)
_MARK = "an adapted weight"
_TOLERANCE = 1e-4  # of the sum of absolute products; float32 has 1e-7 of each


@dataclass(frozen=True)
class Factors:
    """One module's delta, strength * B @ A, with A [r, in] and B [out, r]."""

    name: str
    """Of the weight in the checkpoint."""
    a: Tensor
    b: Tensor
    strength: Strength
    turned: bool
    """The weight is [in, out]."""
    is_embedding: bool


@dataclass(frozen=True)
class Pair:
    """What llama.cpp reads for one tensor: `lora_a` [r, in] and `lora_b` [out, r].

    Of the token embedding A is [n_vocab, r] and B [n_embd, r].
    """

    name: str
    a: Tensor
    b: Tensor
    scales: tuple[float, ...]
    """For every column of B."""


def map_factors(
    base: Checkpoint, arch: str | None, factors: list[Factors]
) -> tuple[Model, list[Pair]]:
    """The base as llama.cpp has it, and a pair for each tensor that `factors` change.

    Raises `CheckpointError` for what no pair can express.
    """
    model = read_model(base, arch)
    known = {tensor.name: tensor for tensor in model.tensors}
    pairs = [_embedding(known, base, each) for each in factors if each.is_embedding]
    linear = {each.name: each for each in factors if not each.is_embedding}
    mapped = _Mapped(base, arch, linear)
    used: set[str] = set()
    for name, inside in mapped.contributions():
        used.update(inside)
        _check_place(name, known, inside[0])
        pairs.append(mapped.pair(name, [linear[source] for source in inside]))
    missing = sorted(linear.keys() - used)
    if missing:
        raise _inexpressible(missing[0], "it has no tensor of its own in the model file")
    return model, sorted(pairs, key=lambda pair: list(known).index(pair.name))


def _embedding(known: dict[str, Tensor], base: Checkpoint, factors: Factors) -> Pair:
    tensor = known.get(TOKEN_EMBEDDING)
    if tensor is None or tensor.identity != base.tensors[factors.name].identity:
        raise _inexpressible(factors.name, "it is not the embedding of tokens as it lies there")
    if OUTPUT not in known:
        raise _inexpressible(factors.name, "the output is tied to it, and llama.cpp adapts both")
    a = _turned(factors.a, f"{TOKEN_EMBEDDING}.lora_a")
    b = factors.b.rename(f"{TOKEN_EMBEDDING}.lora_b")
    return Pair(TOKEN_EMBEDDING, a, b, (factors.strength.scale,) * factors.a.shape[0])


def _turned(tensor: Tensor, name: str) -> Tensor:
    def read(start: int, stop: int) -> NDArray[np.float32]:
        return np.ascontiguousarray(tensor.float32()[:, start:stop].T)

    shape = (tensor.shape[1], tensor.shape[0])
    return replace(tensor, name=name, shape=shape, read=read, identity=(*tensor.identity, "turned"))


def _check_place(name: str, known: dict[str, Tensor], source: str) -> None:
    if name not in known:
        raise _inexpressible(source, f"the model file has no {name}: it is tied to another")
    if not _HEARD.fullmatch(name) or len(known[name].shape) != 2:
        raise _inexpressible(source, f"llama.cpp does not adapt {name}")


def _inexpressible(name: str, reason: str) -> CheckpointError:
    return CheckpointError(f"{name[:100]} cannot be adapted by a file: {reason}.", MERGE)


class _Mapped:
    """What the family makes of the factors."""

    def __init__(self, base: Checkpoint, arch: str | None, linear: dict[str, Factors]) -> None:
        self._base, self._arch, self._linear = base, arch, linear
        self._zero = self._map(lambda _, zero: zero)
        self._full = self._map(lambda f, zero: add_product(zero, f.a, f.b, 1.0, turned=f.turned))
        self._first = self._first_columns()
        self._probed = self._map(self._probe)

    def _map(self, fill: Callable[[Factors, Tensor], Tensor]) -> dict[str, Tensor]:
        tensors = dict(self._base.tensors)
        for name, factors in self._linear.items():
            zero = constant(name, tensors[name].shape, 0.0, name)
            tensors[name] = fill(factors, replace(zero, identity=(_MARK, name)))
        model = read_model(replace(self._base, tensors=tensors), self._arch)
        return {tensor.name: tensor for tensor in model.tensors}

    def contributions(self) -> Iterator[tuple[str, list[str]]]:
        """Tensors of the model that adapted weights are in, and which, in their order there."""
        for name, tensor in self._zero.items():
            inside = list(dict.fromkeys(_marks(tensor.identity)))
            if inside:
                yield name, inside

    def _first_columns(self) -> dict[str, int]:
        """Where each weight's columns of B lie in a probe: apart from those it is joined with."""
        first: dict[str, int] = {}
        for _, inside in self.contributions():
            for source in inside:
                taken = [first[o] + self._rank(o) for o in inside if o in first and o != source]
                first.setdefault(source, max(taken, default=0))
        return first

    def _rank(self, source: str) -> int:
        return self._linear[source].a.shape[0]

    def _probe(self, factors: Factors, zero: Tensor) -> Tensor:
        rank, n_in = factors.a.shape
        first = self._first.get(factors.name, 0)
        if first + rank > n_in:
            raise _inexpressible(factors.name, f"its rank, {rank}, is above its {n_in} inputs")
        unit = replace(factors.a, read=_unit_rows(first, n_in), identity=("unit", first, rank))
        return add_product(zero, unit, factors.b, 1.0, turned=factors.turned)

    def pair(self, name: str, inside: list[Factors]) -> Pair:
        """The pair for the tensor `name`, made of `inside`. Raises `CheckpointError`."""
        zero, full, probed = self._zero[name], self._full[name], self._probed[name]
        columns = [
            column
            for each in inside
            for column in range(self._first[each.name], self._first[each.name] + each.a.shape[0])
        ]

        def read(start: int, stop: int) -> NDArray[np.float32]:
            moved = probed.read(start, stop) - zero.read(start, stop)
            return np.ascontiguousarray(moved[:, columns])

        shape = (probed.shape[0], len(columns))
        identity = (*probed.identity, "columns", tuple(columns))
        b = Tensor(f"{name}.lora_b", shape, "F32", read, identity, inside[0].name)
        parts = [each.a for each in inside]
        a = parts[0] if len(parts) == 1 else concat(name, parts)
        _compare(full, zero, a, b, inside[0].name)
        scales = tuple(each.strength.scale for each in inside for _ in range(each.a.shape[0]))
        return Pair(name, a.rename(f"{name}.lora_a"), b, scales)


def _unit_rows(first: int, n_cols: int) -> Callable[[int, int], NDArray[np.float32]]:
    def read(start: int, stop: int) -> NDArray[np.float32]:
        return np.eye(stop - start, n_cols, first + start, dtype=np.float32)

    return read


def _marks(identity: object) -> Iterator[str]:
    if isinstance(identity, tuple):
        if len(identity) > 1 and identity[0] == _MARK:
            yield str(identity[1])
        for part in identity:
            yield from _marks(part)


def _compare(full: Tensor, zero: Tensor, a: Tensor, b: Tensor, source: str) -> None:
    """Raise unless `full` less `zero` is `b` times `a`."""
    right = a.float32()
    step = max(1, (1 << 20) // full.n_cols)
    for start in range(0, full.n_rows, step):
        stop = min(start + step, full.n_rows)
        left = b.read(start, stop)
        expected = full.read(start, stop) - zero.read(start, stop)
        most = np.abs(left) @ np.abs(right)
        if not (np.abs(left @ right - expected) <= _TOLERANCE * most + 1e-30).all():
            raise _inexpressible(source, "llama.cpp has its inputs in another order")
