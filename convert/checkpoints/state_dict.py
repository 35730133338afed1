"""Finds the weights inside what was saved, however it was wrapped.

It promises to say where the weights were and which prefixes were removed, and never to choose
between two sets of weights in silence. Optimizer state holds tensors too, and is passed over.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from typing import Any

from convert.checkpoints.inert import Global, Stub
from convert.checkpoints.tensor import Tensor
from convert.errors import CheckpointError

_PREFERRED = ("model", "state_dict", "model_state_dict", "model_state", "module", "net")
_PASSED_OVER = re.compile(r"optim|scheduler|scaler|rng", re.IGNORECASE)
_WRAPPERS = re.compile(r"^(?:_orig_mod\.|module\.)+|(?<=\.)_orig_mod\.")
_MAX_DEPTH = 4
_MAX_FACTS = 20_000  # values kept of what was saved beside the weights


@dataclass(frozen=True)
class StateDict:
    """Weights by their cleaned names, and the plain values saved beside them."""

    tensors: dict[str, Tensor]
    facts: dict[str, Any]
    notes: tuple[str, ...]


def find_state_dict(root: Any, where: str, unknown: AbstractSet[str] = frozenset()) -> StateDict:
    """The weights in `root`. `unknown` names the classes in the file that were not understood."""
    found = _candidates(root)
    if not found:
        classes = f" It holds objects of {', '.join(sorted(unknown)[:4])}." if unknown else ""
        raise CheckpointError(
            f"{where} holds no named weights.{classes}",
            "Save the weights by name: torch.save({'model': model.state_dict(), ...}).",
        )
    path, weights = _choose(found, where)
    notes = [f"Weights taken from the key {'.'.join(path)!r}."] if len(found) > 1 else []
    tensors, stripped = _clean(weights, where)
    if stripped:
        notes.append(f"Removed the prefix {' and '.join(sorted(stripped))} from tensor names.")
    beside = {key: value for key, value in root.items() if value is not weights}
    return StateDict(tensors, _Facts().mapping(beside, 0), tuple(notes))


def _candidates(root: Any) -> list[tuple[tuple[str, ...], dict[Any, Any]]]:
    found: list[tuple[tuple[str, ...], dict[Any, Any]]] = []
    queue: deque[tuple[tuple[str, ...], Any]] = deque([((), root)])
    while queue:
        path, value = queue.popleft()
        if not isinstance(value, dict):
            continue
        n_tensors = sum(isinstance(item, Tensor) for item in value.values())
        if 2 * n_tensors > len(value):
            found.append((path, value))
        elif len(path) < _MAX_DEPTH and len(queue) < 1000:
            queue.extend(
                ((*path, key), item)
                for key, item in value.items()
                if isinstance(key, str) and not _PASSED_OVER.search(key)
            )
    return found


def _choose(
    found: list[tuple[tuple[str, ...], dict[Any, Any]]], where: str
) -> tuple[tuple[str, ...], dict[Any, Any]]:
    if len(found) == 1:
        return found[0]
    for name in _PREFERRED:
        for path, weights in found:
            if path and path[0] == name:
                return path, weights
    keys = ", ".join(repr(".".join(path)) for path, _ in found[:6])
    raise CheckpointError(
        f"{where} holds several sets of weights, under {keys}.",
        "Save the one to convert under the key 'model'.",
    )


def _clean(weights: dict[Any, Any], where: str) -> tuple[dict[str, Tensor], set[str]]:
    tensors: dict[str, Tensor] = {}
    stripped: set[str] = set()
    for key, value in weights.items():
        if not isinstance(value, Tensor) or not isinstance(key, str):
            continue
        name = _WRAPPERS.sub("", key)
        if name != key:
            stripped |= set(re.findall(r"_orig_mod\.|module\.", key))
        if name in tensors:
            raise CheckpointError(
                f"{where} holds two tensors that are both {name[:80]!r} without their prefix.",
                "Save model.state_dict() of the unwrapped model.",
            )
        tensors[name] = replace(value, name=name, origin=key)
    return tensors, stripped


class _Facts:
    """Plain copies of saved values, within a budget: a small pickle can describe a huge tree."""

    def __init__(self) -> None:
        self._left = _MAX_FACTS

    def mapping(self, value: dict[Any, Any], depth: int) -> dict[str, Any]:
        """The entries with text keys."""
        return {
            key: self._plain(item, depth + 1)
            for key, item in value.items()
            if isinstance(key, str) and self._left > 0 and not _PASSED_OVER.search(key)
        }

    def _plain(self, value: Any, depth: int) -> Any:
        self._left -= 1
        if value is None or isinstance(value, str | int | float):
            return value
        if isinstance(value, Tensor):
            return self._number(value)
        if isinstance(value, Global):
            return str(value)
        if depth > _MAX_DEPTH:
            return None
        if isinstance(value, Stub):
            return self._plain(value.state if value.state is not None else value.entries, depth + 1)
        if isinstance(value, dict):
            return self.mapping(value, depth)
        if isinstance(value, list | tuple):
            return [self._plain(item, depth + 1) for item in value[:1000] if self._left > 0]
        return None

    @staticmethod
    def _number(value: Tensor) -> float | None:
        return float(value.float32().reshape(-1)[0]) if value.n_weights == 1 else None
