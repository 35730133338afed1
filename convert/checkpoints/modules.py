"""A whole `nn.Module` that was saved instead of its state_dict.

Its pickle holds every module's own dictionaries of parameters, buffers and modules; names follow
from them as `state_dict()` makes them, without the class that nobody may have any more.
"""

from __future__ import annotations

from typing import Any

from convert.checkpoints.facts import attributes
from convert.checkpoints.inert import Stub
from convert.checkpoints.tensor import Tensor
from convert.errors import CheckpointError

_MAX_STEPS = 1_000_000  # modules and what they hold
_MAX_DEPTH = 40
_OWN = ("_parameters", "_buffers", "_modules")


def is_module(value: Any) -> bool:
    """Whether `value`, out of a pickle, was an `nn.Module`."""
    if not isinstance(value, Stub) or not isinstance(value.state, dict):
        return False
    return all(isinstance(value.state.get(name), dict) for name in _OWN)


def collect_weights(module: Stub) -> dict[str, Tensor]:
    """The state_dict of `module`. Raises `CheckpointError` when it is endless."""
    found: dict[str, Tensor] = {}
    waiting: list[tuple[str, Any, int]] = [("", module.state, 0)]
    steps = 0
    while waiting:
        prefix, inside, depth = waiting.pop()
        parameters, buffers, modules = (inside[name] for name in _OWN)
        steps += 1 + len(parameters) + len(buffers) + len(modules)
        if steps > _MAX_STEPS or depth > _MAX_DEPTH or len(prefix) > 1000:
            raise CheckpointError(
                "The checkpoint holds modules in modules without end.",
                "Save model.state_dict() instead of the model.",
            )
        passing = inside.get("_non_persistent_buffers_set")
        passing = passing[:1000] if isinstance(passing, list) else []
        for name, tensor in [*parameters.items(), *buffers.items()]:
            if isinstance(tensor, Tensor) and isinstance(name, str) and name not in passing:
                found[prefix + name] = tensor
        below = [
            (f"{prefix}{name}.", child.state, depth + 1)
            for name, child in modules.items()
            if is_module(child) and isinstance(name, str)
        ]
        waiting.extend(reversed(below))
    return found


def settings_of(module: Stub) -> dict[Any, Any]:
    """What the module keeps beside its weights: its `config`, and plain attributes."""
    return {
        name: value
        for name, value in attributes(module).items()
        if isinstance(name, str) and not name.startswith("_") and not is_module(value)
    }
