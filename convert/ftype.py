"""The weight types a model file can be written in, as data.

`Q8_0` and `F16` name the bulk of a file: vectors and position tables stay F32 in every one of
them. Numbers are llama.cpp's (`enum ggml_type`, `enum llama_ftype`).
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class FType:
    """One weight type."""

    name: str
    ggml_type: int
    """Number of the tensor type in `enum ggml_type`."""
    file_type: int
    """Number for `general.file_type`, from `enum llama_ftype`."""
    block: int
    """Weights per block; a row must be a multiple of it."""
    block_bytes: int
    """Bytes a block takes."""

    def row_bytes(self, n_cols: int) -> int:
        """Bytes one row of `n_cols` weights takes; `n_cols` must be a multiple of `block`."""
        return n_cols // self.block * self.block_bytes


F32 = FType("F32", 0, 0, 1, 4)
F16 = FType("F16", 1, 1, 1, 2)
Q8_0 = FType("Q8_0", 8, 7, 32, 34)

FTYPES = {ftype.name: ftype for ftype in (F32, F16, Q8_0)}
