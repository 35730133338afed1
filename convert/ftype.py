"""The types a model file can be written in, as data.

Two notions, kept apart: a tensor's type says how its rows are packed (`enum ggml_type`), a file's
type (`enum llama_ftype`) is llama.cpp's recipe for which tensor gets which. Vectors and position
tables stay F32 in every one of them.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
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


F32 = TensorType("F32", 0, 1, 4)
F16 = TensorType("F16", 1, 1, 2)
BF16 = TensorType("BF16", 30, 1, 2)
Q8_0 = TensorType("Q8_0", 8, 32, 34)

# By llama.cpp's name in lower case, as its log has them.
TENSOR_TYPES: dict[str, TensorType] = {
    kind.name.lower(): kind
    for kind in (
        F32,
        F16,
        BF16,
        Q8_0,
        TensorType("Q4_0", 2, 32, 18),
        TensorType("Q4_1", 3, 32, 20),
        TensorType("Q5_0", 6, 32, 22),
        TensorType("Q5_1", 7, 32, 24),
        TensorType("Q2_K", 10, 256, 84),
        TensorType("Q3_K", 11, 256, 110),
        TensorType("Q4_K", 12, 256, 144),
        TensorType("Q5_K", 13, 256, 176),
        TensorType("Q6_K", 14, 256, 210),
        TensorType("IQ2_XXS", 16, 256, 66),
        TensorType("IQ2_XS", 17, 256, 74),
        TensorType("IQ3_XXS", 18, 256, 98),
        TensorType("IQ1_S", 19, 256, 50),
        TensorType("IQ4_NL", 20, 32, 18),
        TensorType("IQ3_S", 21, 256, 110),
        TensorType("IQ2_S", 22, 256, 82),
        TensorType("IQ4_XS", 23, 256, 136),
        TensorType("IQ1_M", 29, 256, 56),
        TensorType("TQ1_0", 34, 256, 54),
        TensorType("TQ2_0", 35, 256, 66),
        TensorType("MXFP4", 39, 32, 17),
    )
}


@dataclass(frozen=True)
class FileType:
    """One recipe of llama.cpp's quantizer."""

    name: str
    number: int
    """For `general.file_type`, from `enum llama_ftype`."""
    main: str
    """Type of most tensors, a key of `TENSOR_TYPES`."""
    needs_imatrix: bool = False
    """llama.cpp does not write it without an importance matrix."""

    @property
    def main_type(self) -> TensorType:
        """Type of most tensors."""
        return TENSOR_TYPES[self.main]


# From the most exact to the smallest.
FTYPES: dict[str, FileType] = {
    kind.name: kind
    for kind in (
        FileType("F32", 0, "f32"),
        FileType("BF16", 32, "bf16"),
        FileType("F16", 1, "f16"),
        FileType("Q8_0", 7, "q8_0"),
        FileType("Q6_K", 18, "q6_k"),
        FileType("Q5_1", 9, "q5_1"),
        FileType("Q5_K_M", 17, "q5_k"),
        FileType("Q5_K_S", 16, "q5_k"),
        FileType("Q5_0", 8, "q5_0"),
        FileType("Q4_1", 3, "q4_1"),
        FileType("Q4_K_M", 15, "q4_k"),
        FileType("Q4_K_S", 14, "q4_k"),
        FileType("IQ4_NL", 25, "iq4_nl"),
        FileType("Q4_0", 2, "q4_0"),
        FileType("MXFP4_MOE", 38, "mxfp4"),  # of the experts; all else is Q8_0
        FileType("IQ4_XS", 30, "iq4_xs"),
        FileType("Q3_K_L", 13, "q3_k"),
        FileType("Q3_K_M", 12, "q3_k"),
        FileType("IQ3_M", 27, "iq3_s"),
        FileType("IQ3_S", 26, "iq3_s"),
        FileType("Q3_K_S", 11, "q3_k"),
        FileType("IQ3_XS", 22, "iq3_s", needs_imatrix=True),
        FileType("IQ3_XXS", 23, "iq3_xxs", needs_imatrix=True),
        FileType("Q2_K", 10, "q2_k"),
        FileType("IQ2_M", 29, "iq2_s", needs_imatrix=True),
        FileType("Q2_K_S", 21, "q2_k", needs_imatrix=True),
        FileType("IQ2_S", 28, "iq2_xs", needs_imatrix=True),
        FileType("IQ2_XS", 20, "iq2_xs", needs_imatrix=True),
        FileType("IQ2_XXS", 19, "iq2_xxs", needs_imatrix=True),
        FileType("TQ2_0", 37, "tq2_0"),
        FileType("IQ1_M", 31, "iq1_m", needs_imatrix=True),
        FileType("TQ1_0", 36, "tq1_0"),
        FileType("IQ1_S", 24, "iq1_s", needs_imatrix=True),
    )
}
# What llama-quantize takes too.
ALIASES = {"Q3_K": "Q3_K_M", "Q4_K": "Q4_K_M", "Q5_K": "Q5_K_M", "FP16": "F16", "FP32": "F32"}
EXACT = frozenset({"F32", "BF16", "F16"})
