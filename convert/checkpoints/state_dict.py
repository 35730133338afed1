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

from convert.checkpoints.facts import OPTIMIZER, attributes
from convert.checkpoints.inert import Stub
from convert.checkpoints.modules import collect_weights, is_module, settings_of
from convert.checkpoints.objects import mend_text
from convert.checkpoints.tensor import Tensor
from convert.errors import CheckpointError

_PREFERRED = (
    *("model", "state_dict", "model_state_dict", "model_state", "module", "net", "network"),
    *("weights", "params", "gpt", "llm", "transformer"),
)
# DistributedDataParallel, torch.compile, Fabric, FSDP and activation checkpointing.
_WRAPPERS = re.compile(
    r"^(?:(?:_orig_mod|module|_forward_module|_fsdp_wrapped_module)\.)+"
    r"|(?<=\.)(?:_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module|_forward_module)\."
)
_MAX_DEPTH = 4
_MAX_NAME = 1000  # characters
_MAX_STEPS = 1_000_000  # entries of a tree of dictionaries

_Path = tuple[str, ...]


@dataclass(frozen=True)
class StateDict:
    """The weights of a state dict by their cleaned names."""

    tensors: dict[str, Tensor]
    weights: dict[Any, Any] | None
    """Where they were, to be left out of the facts."""
    beside: Any
    """What else was saved."""
    notes: tuple[str, ...]


def find_state_dict(root: Any, where: str, unknown: AbstractSet[str] = frozenset()) -> StateDict:
    """The weights in `root`. `unknown` names the classes in the file that were not understood."""
    found = _candidates(root)
    if not found:
        raise _nothing(where, unknown)
    path, value, weights = _choose(found, where)
    notes = [f"Weights taken from the key {'.'.join(path)[:80]!r}."] if len(found) > 1 else []
    beside: dict[Any, Any] = {} if value is root else dict(attributes(root))
    if isinstance(value, Stub):
        beside = settings_of(value) | beside
        notes.append(f"A whole module was saved, a {value.kind[:80]}: its weights are taken.")
        if path:
            beside.pop(path[0], None)
    tensors, stripped, others = _clean(weights, where)
    if not tensors:
        raise _nothing(where, unknown)
    if stripped:
        notes.append(f"Removed the prefix {' and '.join(sorted(stripped))} from tensor names.")
    if others:
        notes.append(f"{len(others)} entries are no tensors: {', '.join(others[:4])[:200]}.")
    return StateDict(tensors, weights, beside, tuple(notes))


def _nothing(where: str, unknown: AbstractSet[str]) -> CheckpointError:
    listed = ", ".join(sorted(unknown)[:4])[:300]
    return CheckpointError(
        f"{where} holds no named weights.{f' It holds objects of {listed}.' if listed else ''}",
        "Save the weights by name: torch.save({'model': model.state_dict(), ...}).",
    )


def _candidates(root: Any) -> list[tuple[_Path, Any, dict[Any, Any]]]:
    """(where, the object there, its weights by name) of everything that may be the weights."""
    found: list[tuple[_Path, Any, dict[Any, Any]]] = []
    queue: deque[tuple[_Path, Any]] = deque([((), root)])
    seen: set[int] = set()  # one object can be named a million times
    while queue:
        path, value = queue.popleft()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if is_module(value):
            weights = collect_weights(value)
            found += [(path, value, weights)] if weights else []
            continue
        inside = _children(value)
        direct = [item for item in inside.values() if _is_weight(item)]
        below = {id(item): item for key, item in inside.items() if _may_hold(key)}
        deeper = max(map(_count, below.values()), default=0)
        if path and deeper and any(len(item.shape) > 1 for item in direct):
            found.append((path, value, _flatten(inside)))
        elif _is_mostly_weights(inside) and len(direct) >= deeper:
            found.append((path, value, inside))
        elif len(path) < _MAX_DEPTH and len(queue) < 1000:
            queue.extend(((*path, key), item) for key, item in inside.items() if _may_hold(key))
    return found


def _may_hold(key: Any) -> bool:
    return isinstance(key, str) and not OPTIMIZER.search(key)


def _is_weight(item: Any) -> bool:
    """Whether it is a tensor of more than one number: a loss that was saved as one is none."""
    return isinstance(item, Tensor) and item.n_weights > 1


def _count(value: Any) -> int:
    return sum(map(_is_weight, _children(value).values()))


def _is_mostly_weights(inside: dict[Any, Any]) -> bool:
    n_others = sum(not isinstance(item, Tensor) for item in inside.values())
    return sum(map(_is_weight, inside.values())) > n_others


def _flatten(inside: dict[Any, Any]) -> dict[Any, Any]:
    """A tree of dictionaries and tensors as one: names are the ways through it."""
    found: dict[Any, Any] = {}
    waiting: list[tuple[str, Any, int]] = [("", inside, 0)]
    steps = 0
    while waiting and steps < _MAX_STEPS:
        prefix, value, depth = waiting.pop()
        below = _children(value)
        steps += 1 + len(below)
        for key, item in below.items():
            if isinstance(item, Tensor):
                found[f"{prefix}{key}"[: _MAX_NAME + 1]] = item
            elif depth < _MAX_DEPTH and len(waiting) < 1000:
                waiting.append((f"{prefix}{key}."[: _MAX_NAME + 1], item, depth + 1))
    return found


def _children(value: Any) -> dict[Any, Any]:
    if isinstance(value, list) and len(value) <= 1000 and any(isinstance(v, dict) for v in value):
        return {str(index): item for index, item in enumerate(value)}
    return attributes(value)


def _choose(
    found: list[tuple[_Path, Any, dict[Any, Any]]], where: str
) -> tuple[_Path, Any, dict[Any, Any]]:
    if len(found) == 1:
        return found[0]
    for name in _PREFERRED:
        inside = [one for one in found if one[0] and one[0][0] == name]
        if len(inside) == 1:
            return inside[0]
        if inside:  # a tree of dictionaries: names are the ways through it
            joined = {
                ".".join((*path[1:], key)): item
                for path, _, weights in inside
                for key, item in weights.items()
                if isinstance(key, str)
            }
            return (name,), None, joined
    keys = ", ".join(repr(".".join(path)[:80]) for path, _, _ in found[:6])
    raise CheckpointError(
        f"{where} holds several sets of weights, under {keys}.",
        "Save the one to convert under the key 'model'.",
    )


def _clean(weights: dict[Any, Any], where: str) -> tuple[dict[str, Tensor], set[str], list[str]]:
    """Tensors by name without wrappers, the prefixes removed, and the names of what is no tensor.

    Raises `CheckpointError` for a tensor of a kind that is not read, rather than leave it out.
    """
    tensors: dict[str, Tensor] = {}
    stripped: set[str] = set()
    others: list[str] = []
    for key, value in weights.items():
        if not isinstance(key, str):
            continue
        if len(key) > _MAX_NAME:
            raise _misnamed(where, key)
        if not isinstance(value, Tensor):
            if isinstance(value, Stub) and value.kind.startswith("torch"):
                raise CheckpointError(
                    f"{where} holds {key[:80]!r} as a {value.kind[:80]}, which is not read.",
                    "Save plain tensors: neither quantised, sparse nor distributed ones.",
                )
            if value is not None and not key.endswith("_extra_state"):
                others.append(key[:80])
            continue
        name = _WRAPPERS.sub("", key)
        if name != key:
            stripped |= set(re.findall(r"[a-z_]*(?:_mod|module)\.", key))
        if name in tensors or not name or mend_text(name) != name:
            raise _misnamed(where, key)
        tensors[name] = replace(value, name=name, origin=key)
    return tensors, stripped, others


def _misnamed(where: str, key: str) -> CheckpointError:
    return CheckpointError(
        f"{where} holds a tensor named {key[:80]!r}, twice or in no way a name.",
        "Save model.state_dict() of the unwrapped model.",
    )
