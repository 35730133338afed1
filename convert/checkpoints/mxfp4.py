"""Weights in MXFP4 as gpt-oss keeps them: codes of four bits, and one scale for every 32.

They are the numbers of llama.cpp's type of that name in another order, so they are carried over bit
by bit, or read as float32, which is exact. In a checkpoint a row is [n / 32, 16] bytes of codes,
the even weight in the lower half of a byte, beside [n / 32] exponents of two, biased by 127.
llama.cpp has both in a block of 17 bytes: the exponent, then 16 with weight i below and i + 16
above.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from convert.checkpoints.packed import PackedTensor
from convert.checkpoints.tensor import Tensor

BLOCK = 32  # weights under one scale
_HALF = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6], np.float32)
_VALUES = np.concatenate([_HALF, -_HALF])


def unpack(name: str, codes: Tensor, scales: Tensor, shape: tuple[int, ...]) -> PackedTensor:
    """The weights `name` of `shape` [..., n], whose rows are `codes` [n_rows, n / 2] and `scales`
    [n_rows, n / 32], both of bytes."""
    n_blocks = shape[-1] // BLOCK

    def blocks(start: int, stop: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Codes one by one [n, 32] and scales [n, 1] of all blocks in those rows."""
        packed = codes.read(start, stop).astype(np.uint8).reshape(-1, BLOCK // 2)
        single = np.stack([packed & 15, packed >> 4], axis=-1).reshape(-1, BLOCK)
        return single, scales.read(start, stop).astype(np.uint8).reshape(-1, 1)

    def read(start: int, stop: int) -> NDArray[np.float32]:
        single, exponents = blocks(start, stop)
        values = np.ldexp(_VALUES[single], exponents.astype(np.int32) - 127)
        return np.ascontiguousarray(values, np.float32).reshape(-1, n_blocks * BLOCK)

    def packed(start: int, stop: int) -> NDArray[np.uint8]:
        single, exponents = blocks(start, stop)
        pairs = single[:, : BLOCK // 2] | single[:, BLOCK // 2 :] << 4
        return np.concatenate([exponents, pairs], axis=1).reshape(-1)

    identity = ("mxfp4", shape, *codes.identity, *scales.identity)
    origin = codes.origin or codes.name
    return PackedTensor(name, shape, "MXFP4", read, identity, origin, packed=packed)
