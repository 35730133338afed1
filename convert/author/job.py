"""What the author's process is told of the checkpoint: names and shapes, settings, sizes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from convert.architectures.model import TOKEN_EMBEDDING, Model
from convert.author.asked import Code
from convert.author.known import role_of
from convert.checkpoints.checkpoint import Checkpoint
from convert.checkpoints.tensor import FLOATS

_POSITIONS = "position_embd.weight"
_BY_SHAPE = {"embd": "embedding_length", "layer": "block_count", "ff": "feed_forward_length"}
_HINTS = {
    "head": "attention.head_count",
    "kv": "attention.head_count_kv",
    "headdim": "attention.key_length",
    "theta": "rope.freq_base",
    "ctx": "context_length",
}
_MOST_SETTINGS = 4000
_LONGEST = 80  # characters of a setting's name


def describe_job(
    code: Code, checkpoint: Checkpoint, model: Model, told: Mapping[str, Any]
) -> dict[str, Any]:
    """What `AuthorModel` needs, as JSON has it. `told` is what the user said of it."""
    n_rows = _vocabulary_rows(checkpoint, model)
    sizes = {role: model.hparams.get(key) for role, key in _BY_SHAPE.items()} | {"vocab": n_rows}
    if any(tensor.name == _POSITIONS for tensor in model.tensors):
        sizes["ctx"] = model.hparams.get("context_length")
    said = {name: value for name, value in _plain_settings(checkpoint).items() if name not in told}
    if not any(role_of(name) == "head" for name in (*said, *told)):
        sizes["head"] = model.hparams.get("attention.head_count")  # counted
    return {
        "path": str(code.path),
        "name": code.name,
        "arguments": code.arguments,
        "config": said,
        "shapes": {
            name: list(tensor.shape)
            for name, tensor in checkpoint.tensors.items()
            if tensor.dtype in FLOATS
        },
        "told": {role: value for name, value in told.items() if (role := role_of(name))},
        "ignored": [name for name, _ in model.ignored],
        "sizes": {role: size for role, size in sizes.items() if isinstance(size, int)},
        "hints": {role: v for role, key in _HINTS.items() if (v := model.hparams.get(key))},
        "widths": sorted({n_rows, model.n_vocab}),
        "n_ctx": model.hparams.get("context_length", 512),
    }


def _vocabulary_rows(checkpoint: Checkpoint, model: Model) -> int:
    """Rows of the token embedding as it lies in the checkpoint."""
    origin = next(tensor.origin for tensor in model.tensors if tensor.name == TOKEN_EMBEDDING)
    for tensor in checkpoint.tensors.values():
        if origin in (tensor.name, tensor.origin):
            return tensor.shape[0]
    return model.n_vocab


def _plain_settings(checkpoint: Checkpoint) -> dict[str, Any]:
    """Every setting that was saved, by its own name; those that describe the model go first."""
    found: dict[str, Any] = {}
    waiting: list[tuple[Mapping[str, Any], int]] = [(checkpoint.facts, 0)]
    while waiting and len(found) < _MOST_SETTINGS:
        values, depth = waiting.pop()
        for name, value in values.items():
            if not isinstance(name, str) or len(name) > _LONGEST:
                continue
            if isinstance(value, dict) and depth < 3:
                waiting.append((value, depth + 1))
            elif name.isidentifier() and _is_plain(value):
                found.setdefault(name, value)
    return found | checkpoint.config


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, bool | int | float | str)
