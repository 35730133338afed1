"""Which PyTorch model a layout is compared with: the registry, loaded when a proof runs.

To add one: a module here with `load(checkpoint, model)`, and a line in `REFERENCES`. A reference
reads the checkpoint's own tensor names, never the mapped ones, so that a wrong mapping cannot agree
with itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from convert.architectures.model import Model
from convert.checkpoints.checkpoint import Checkpoint
from convert.handwritten.spellings import LAYOUTS
from convert.witness import assumed, describe_reading


class Unavailable(Exception):  # noqa: N818  (not an error: the report says so)
    """This machine cannot run the reference, and why."""


class Reference(Protocol):
    """A model in PyTorch that a file is compared with."""

    name: str
    """What it is, for the report: "transformers 5.2", "our reading of nanoGPT's model.py ..."."""
    against: str
    """`CODE`, `TRANSFORMERS` or `READING` of `convert.witness`."""
    notes: Sequence[str]
    """How it was run, where that is not plain."""

    def logits(self, ids: Sequence[int]) -> NDArray[np.float32]:
        """Logits [len(ids), n_rows] after each of `ids`, from an empty context, in float32. The
        encoder of an encoder–decoder has read `ids` before its decoder says them."""


# `Model.layout` to the module's name under `convert.parity`.
REFERENCES: dict[str, str] = {
    **dict.fromkeys(LAYOUTS, "hand_written"),
    "llama2.c": "llama",
    "meta": "llama",
    "torchtune": "llama",
    "litgpt": "llama",
    "llama-names": "llama",
    "hf": "hf",
    "encoder-decoder": "encoder_decoder",
}


def name_reading(model: Model) -> str:
    """What a reference of our own making is called."""
    import torch

    where = f"PyTorch {torch.__version__}"
    return describe_reading(model.layout, assumed(model), where)


def require_torch() -> None:
    """Raise `Unavailable` unless PyTorch is installed."""
    try:
        import torch  # noqa: F401  (is it there?)
    except ImportError:
        raise Unavailable("PyTorch is not installed") from None


def load_reference(checkpoint: Checkpoint, model: Model) -> Reference:
    """The reference for `model`. Raises `Unavailable`."""
    require_torch()
    name = REFERENCES.get(model.layout)
    if name is None:
        raise Unavailable(f"there is no reference for the layout {model.layout}")
    reference: Reference = import_module(f"convert.parity.{name}").load(checkpoint, model)
    return reference
