"""What the author's process is told of the checkpoint: names and shapes, settings, sizes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
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


@dataclass(frozen=True)
class Subject:
    """What is known of the model before its code is asked."""

    n_rows: int
    """Of the token embedding as it lies in the checkpoint."""
    n_tokens: int
    """Of the vocabulary that goes into the file."""
    n_ctx: int
    n_weights: int
    sizes: dict[str, int]
    """By role (`convert.author.known`), as the shapes tell them."""
    ignored: tuple[str, ...]
    """Tensors that the code may have no place for."""
    hints: dict[str, Any] = field(default_factory=dict)
    """By role, what may stand in where the code says nothing."""


def subject_of(checkpoint: Checkpoint, model: Model) -> Subject:
    """The subject that a model is which was read."""
    n_rows = _vocabulary_rows(checkpoint, model)
    sizes = {role: model.hparams.get(key) for role, key in _BY_SHAPE.items()} | {"vocab": n_rows}
    n_ctx = model.hparams.get("context_length", 512)
    if any(tensor.name == _POSITIONS for tensor in model.tensors):
        sizes["ctx"] = n_ctx
    said = any(role_of(name) == "head" for name in checkpoint.config)
    if not said and "n_head" not in checkpoint.findings:
        sizes["head"] = model.hparams.get("attention.head_count")  # counted in the names
    hints = {role: v for role, key in _HINTS.items() if (v := model.hparams.get(key))}
    return Subject(
        n_rows=n_rows,
        n_tokens=model.n_vocab,
        n_ctx=n_ctx if isinstance(n_ctx, int) else 512,
        n_weights=model.n_weights,
        sizes={role: size for role, size in sizes.items() if isinstance(size, int)},
        ignored=tuple(name for name, _ in model.ignored),
        hints=hints,
    )


def describe_job(
    code: Code, checkpoint: Checkpoint, subject: Subject, told: Mapping[str, Any]
) -> dict[str, Any]:
    """What `AuthorModel` needs, as JSON has it. `told` is what the user said of it."""
    said = {name: value for name, value in _plain_settings(checkpoint).items() if name not in told}
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
        "ignored": list(subject.ignored),
        "sizes": subject.sizes,
        "hints": subject.hints,
        "widths": sorted({subject.n_rows, subject.n_tokens}),
        "n_ctx": subject.n_ctx,
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
