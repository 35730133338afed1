"""Checkpoints in nanoGPT's `ckpt.pt` layout, with what an exact resume needs besides.

Promises that a file under its final name is whole, and that loading runs nothing from a pickle
(`weights_only`). The surplus key `rng` is ours; readers of nanoGPT's format ignore it.
"""

import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from chatapp.errors import ChatAppError
from chatapp.train.model import GPT, ModelArgs
from chatapp.train.storage import write_atomically

CHECKPOINT_FILE = "ckpt.pt"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """All that training had at one step."""

    model: dict[str, Any]
    optimizer: dict[str, Any]
    model_args: dict[str, Any]
    iter_num: int
    """Optimizer steps taken in this stage."""
    best_val_loss: float
    config: dict[str, Any] = field(default_factory=dict)
    """The settings of the run, as plain values."""
    rng: dict[str, Any] = field(default_factory=dict)

    def restore_model(self) -> GPT:
        """The model these weights belong to; raises `ChatAppError` when they do not fit it."""
        model = GPT(ModelArgs(**self.model_args))
        try:
            model.load_state_dict(self.model)
        except RuntimeError as error:
            raise ChatAppError(f"The checkpoint's weights do not fit its model: {error}") from error
        return model


def save_checkpoint(checkpoint: Checkpoint, folder: Path) -> Path:
    """Write `ckpt.pt` into `folder`; what was there stays until the new one is whole."""
    buffer = io.BytesIO()
    names = Checkpoint.__dataclass_fields__
    torch.save({name: getattr(checkpoint, name) for name in names}, buffer)
    path = folder / CHECKPOINT_FILE
    write_atomically(path, buffer.getvalue())
    return path


def load_checkpoint(folder: Path) -> Checkpoint:
    """The checkpoint in `folder`; raises `ChatAppError` when it is missing or not one of ours."""
    path = folder / CHECKPOINT_FILE
    if not path.is_file():
        raise ChatAppError(
            f"There is no checkpoint at {path}.", "Train first, or leave out --resume."
        )
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        return Checkpoint(**content)
    except (RuntimeError, TypeError, EOFError, OSError, ValueError) as error:
        raise ChatAppError(
            f"{path} cannot be read as a checkpoint: {error}", "Is it from another program?"
        ) from error
