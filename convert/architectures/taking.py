"""Takes tensors out of a checkpoint one by one, so that none is missed and none is left over.

It promises that every tensor of the checkpoint ends in the model, in the list of ignored ones with
a reason, or in an error: nothing is dropped in silence.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import numpy as np

from convert.architectures.model import expect_shape
from convert.checkpoints.checkpoint import Checkpoint
from convert.checkpoints.tensor import FLOATS, Tensor
from convert.errors import ArchitectureError

MAX_LAYERS = 512  # llama.cpp's LLAMA_MAX_LAYERS


class Taker:
    """The tensors of one checkpoint that have not been used yet."""

    def __init__(
        self, checkpoint: Checkpoint, family: str, names: Mapping[str, str] | None = None
    ) -> None:
        """`family` is named in errors: "a GPT-2", "a Llama".

        `names` has parts of names as they are asked for, and what the checkpoint calls them:
        {"o_proj": "dense"}.
        """
        self._where = checkpoint.path.name
        self._family = family
        self._left = dict(checkpoint.tensors)
        self._all = checkpoint.tensors
        self._names = dict(names or {})
        self.ignored: list[tuple[str, str]] = []

    def __contains__(self, name: str) -> bool:
        return self._spelled(name) in self._left

    def _spelled(self, name: str) -> str:
        """`name` as the checkpoint has it."""
        if not self._names:
            return name
        return ".".join(self._names.get(part, part) for part in name.split("."))

    def names(self) -> list[str]:
        """Names of the tensors that were neither taken nor ignored so far."""
        return list(self._left)

    def shape(self, name: str, n_dims: int = 2) -> tuple[int, ...]:
        """Shape of `name`, which stays. Raises `ArchitectureError` if missing or another rank."""
        name = self._spelled(name)
        tensor = self._all.get(name)
        if tensor is None:
            raise self._missing(name)
        if len(tensor.shape) != n_dims or 0 in tensor.shape:
            raise ArchitectureError(f"{name} has shape {tensor.shape}, not {n_dims} dimensions.")
        return tensor.shape

    def raw_shape(self, name: str) -> tuple[int, ...]:
        """Shape of `name` in any number of dimensions."""
        return self._all[self._spelled(name)].shape

    def take(self, name: str, shape: tuple[int, ...], because: str = "the model's width") -> Tensor:
        """The tensor `name`, checked. Raises `ArchitectureError`."""
        tensor = self._take(name, shape, because)
        if tensor.dtype not in FLOATS:
            raise ArchitectureError(
                f"{name} holds {tensor.dtype} integers: another tool quantised the weights.",
                "Convert the original checkpoint, before quantisation.",
            )
        return tensor

    def take_codes(self, name: str, shape: tuple[int, ...]) -> Tensor:
        """The tensor `name` of bytes that stand for weights. Raises `ArchitectureError`."""
        tensor = self._take(name, shape, "the configuration")
        if tensor.dtype != "U8":
            raise ArchitectureError(f"{name} holds {tensor.dtype}, not bytes.")
        return tensor

    def _take(self, name: str, shape: tuple[int, ...], because: str) -> Tensor:
        name = self._spelled(name)
        tensor = self._left.pop(name, None)
        if tensor is None:
            raise self._missing(name)
        expect_shape(tensor, shape, because)
        return tensor

    def again(self, name: str) -> Tensor:
        """The tensor `name`, which may have been taken before."""
        return self._all[self._spelled(name)]

    def take_if_there(self, name: str, shape: tuple[int, ...]) -> Tensor | None:
        """Like `take`, or None where the checkpoint has no such tensor."""
        return self.take(name, shape) if name in self else None

    def count_layers(self, pattern: str) -> int:
        """Number of layers; `pattern` is a regular expression whose group 1 is the layer."""
        found = {m[1] for name in self._left if (m := re.match(pattern, name))}
        layers = {int(number) for number in found if len(number) < 9}
        if not layers or layers != set(range(len(layers))) or len(layers) > MAX_LAYERS:
            raise ArchitectureError(
                f"The layers in {self._where} are not numbered 0 to n (n at most "
                f"{MAX_LAYERS - 1}): {len(layers)} found, up to {max(layers, default=0)}.",
                "The checkpoint is incomplete.",
            )
        return len(layers)

    def ignore(self, pattern: str, reason: str) -> int:
        """Leave out every tensor whose whole name matches; how many there were."""
        names = [name for name in self._left if re.fullmatch(pattern, name)]
        for name in names:
            del self._left[name]
            self.ignored.append((name, reason))
        return len(names)

    def ignore_tied(self, name: str, twin: str) -> bool:
        """Leave out `name` if it holds the same weights as `twin`; whether it did."""
        name, twin = self._spelled(name), self._spelled(twin)
        tensor, other = self._left.get(name), self._all.get(twin)
        if tensor is None or other is None or not same_weights(tensor, other):
            return False
        del self._left[name]
        self.ignored.append((name, f"tied: the same weights as {twin}"))
        return True

    def finish(self, hint: str = "") -> tuple[tuple[str, str], ...]:
        """Raise unless nothing is left; what was ignored."""
        if self._left:
            names = ", ".join(sorted(self._left)[:6])
            raise ArchitectureError(
                f"{len(self._left)} tensors have no place in {self._family}: {names[:400]}.",
                hint or f"The model is a variant that llama.cpp cannot run as {self._family}.",
            )
        return tuple(self.ignored)

    def _missing(self, name: str) -> ArchitectureError:
        near = _nearest(name, self._left)
        seen = f" Nearest: {near}." if near else ""
        return ArchitectureError(
            f"{self._where} has no tensor {name}.{seen}",
            f"The checkpoint is incomplete, or the model is not {self._family}.",
        )


def by_new_name(tensors: Iterable[tuple[str, Tensor]]) -> dict[str, Tensor]:
    """Tensors by the names that a family asks for. Raises `ArchitectureError` where two of a
    checkpoint come to one name, as `bert.x` and `x` do: either would be passed over in silence."""
    found: dict[str, Tensor] = {}
    for name, tensor in tensors:
        if name in found:
            raise ArchitectureError(
                f"{found[name].name[:80]} and {tensor.name[:80]} are one tensor under two names: "
                "the checkpoint holds two models.",
                "Save one alone.",
            )
        found[name] = tensor
    return found


def same_weights(a: Tensor, b: Tensor) -> bool:
    """Whether two tensors are one, by their place in the file or else by every weight."""
    if a.identity == b.identity:
        return True
    if a.shape != b.shape:
        return False
    return all(np.array_equal(x, y) for x, y in zip(a.blocks(), b.blocks(), strict=True))


def _nearest(name: str, names: Iterable[str]) -> str:
    from difflib import get_close_matches  # only for an error

    return ", ".join(get_close_matches(name, list(names)[:2000], n=2, cutoff=0.6))[:200]
