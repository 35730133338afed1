"""The numbers GGUF files use for tensor types and file types, and how many bytes a tensor takes.

Two notions, kept apart: a tensor's type says how its rows are packed (`enum ggml_type`), a file's
type (`enum llama_ftype`) is llama.cpp's recipe for which tensor gets which. A number that is not
here is a type newer than this table: its name is the number, its size unknown.
"""

from dataclasses import dataclass
from math import prod


@dataclass(frozen=True, slots=True)
class TensorType:
    """How a row of weights is packed."""

    name: str
    number: int
    """In `enum ggml_type`."""
    block: int
    """Weights per block; a row must be a multiple of it."""
    block_bytes: int
    """Bytes a block takes."""

    def row_bytes(self, n_cols: int) -> int:
        """Bytes one row of `n_cols` weights takes; `n_cols` must be a multiple of `block`."""
        return n_cols // self.block * self.block_bytes

    def tensor_bytes(self, shape: tuple[int, ...]) -> int:
        """Bytes a tensor takes; `shape` as in numpy, so that its last axis is a row."""
        return prod(shape[:-1]) * self.row_bytes(shape[-1] if shape else 1)


_TENSOR_TYPES = (
    TensorType("F32", 0, 1, 4),
    TensorType("F16", 1, 1, 2),
    TensorType("Q4_0", 2, 32, 18),
    TensorType("Q4_1", 3, 32, 20),
    TensorType("Q5_0", 6, 32, 22),
    TensorType("Q5_1", 7, 32, 24),
    TensorType("Q8_0", 8, 32, 34),
    TensorType("Q8_1", 9, 32, 40),
    TensorType("Q2_K", 10, 256, 84),
    TensorType("Q3_K", 11, 256, 110),
    TensorType("Q4_K", 12, 256, 144),
    TensorType("Q5_K", 13, 256, 176),
    TensorType("Q6_K", 14, 256, 210),
    TensorType("Q8_K", 15, 256, 292),
    TensorType("IQ2_XXS", 16, 256, 66),
    TensorType("IQ2_XS", 17, 256, 74),
    TensorType("IQ3_XXS", 18, 256, 98),
    TensorType("IQ1_S", 19, 256, 50),
    TensorType("IQ4_NL", 20, 32, 18),
    TensorType("IQ3_S", 21, 256, 110),
    TensorType("IQ2_S", 22, 256, 82),
    TensorType("IQ4_XS", 23, 256, 136),
    TensorType("I8", 24, 1, 1),
    TensorType("I16", 25, 1, 2),
    TensorType("I32", 26, 1, 4),
    TensorType("I64", 27, 1, 8),
    TensorType("F64", 28, 1, 8),
    TensorType("IQ1_M", 29, 256, 56),
    TensorType("BF16", 30, 1, 2),
    TensorType("TQ1_0", 34, 256, 54),
    TensorType("TQ2_0", 35, 256, 66),
    TensorType("MXFP4", 39, 32, 17),
    TensorType("NVFP4", 40, 64, 36),
    TensorType("Q1_0", 41, 128, 18),
)
TENSOR_TYPES: dict[int, TensorType] = {kind.number: kind for kind in _TENSOR_TYPES}
"""By the number in `enum ggml_type`."""
TYPES_BY_NAME: dict[str, TensorType] = {kind.name: kind for kind in _TENSOR_TYPES}
"""By the name in capitals."""

FILE_TYPES: dict[int, str] = {
    0: "F32",
    1: "F16",
    2: "Q4_0",
    3: "Q4_1",
    7: "Q8_0",
    8: "Q5_0",
    9: "Q5_1",
    10: "Q2_K",
    11: "Q3_K_S",
    12: "Q3_K_M",
    13: "Q3_K_L",
    14: "Q4_K_S",
    15: "Q4_K_M",
    16: "Q5_K_S",
    17: "Q5_K_M",
    18: "Q6_K",
    19: "IQ2_XXS",
    20: "IQ2_XS",
    21: "Q2_K_S",
    22: "IQ3_XS",
    23: "IQ3_XXS",
    24: "IQ1_S",
    25: "IQ4_NL",
    26: "IQ3_S",
    27: "IQ3_M",
    28: "IQ2_S",
    29: "IQ2_M",
    30: "IQ4_XS",
    31: "IQ1_M",
    32: "BF16",
    36: "TQ1_0",
    37: "TQ2_0",
    38: "MXFP4_MOE",
    39: "NVFP4",
    40: "Q1_0",
}
"""`general.file_type` to the name people use for the quantisation."""


def file_type_name(number: int) -> str:
    """`Q4_K_M`, or `type 99` for one this table does not know."""
    return FILE_TYPES.get(number, f"type {number}")
