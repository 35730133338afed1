"""What a family's module offers: its name, and two functions."""

from collections.abc import Callable
from dataclasses import dataclass

from convert.architectures.model import Model
from convert.checkpoints.checkpoint import Checkpoint


@dataclass(frozen=True)
class Family:
    """A family of models: how it is recognised, and how it is read."""

    name: str
    """For `--arch`."""
    description: str
    """For the documents and for errors."""
    recognise: Callable[[Checkpoint], bool]
    """Whether configuration or tensor names belong to this family."""
    read: Callable[[Checkpoint], Model]
    """The model, or an `ArchitectureError` naming the first thing that does not fit."""
    embeddings: bool = False
    """Makes embeddings: heads for training on top of it are left out."""
