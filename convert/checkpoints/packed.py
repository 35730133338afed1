"""Tensors whose rows lie in a file packed as llama.cpp packs them.

They are carried over as they are: decoding and quantising once more would change them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from convert.checkpoints.tensor import Tensor


def _nothing(_start: int, _stop: int) -> NDArray[np.uint8]:
    return np.empty(0, np.uint8)


@dataclass(frozen=True)
class PackedTensor(Tensor):
    """A tensor whose rows lie in a file packed as llama.cpp packs them."""

    packed: Callable[[int, int], NDArray[np.uint8]] = _nothing
    """`packed(start, stop)`: those rows' bytes; of a vector, all of it."""
