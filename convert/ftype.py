"""The types a model file can be written in: llama.cpp's recipes, and the type most tensors get.

Vectors and position tables stay F32 in every one of them.
"""

from dataclasses import dataclass
from difflib import get_close_matches

from chatapp.gguf.ggml_types import FILE_TYPES, TYPES_BY_NAME, TensorType
from convert.errors import UsageError

F32, F16, BF16 = (TYPES_BY_NAME[name] for name in ("F32", "F16", "BF16"))

_NUMBERS = {name: number for number, name in FILE_TYPES.items()}


@dataclass(frozen=True)
class FileType:
    """One recipe of llama.cpp's quantizer, such as Q4_K_M."""

    name: str
    main: str
    """Type of most tensors."""
    needs_imatrix: bool = False
    """llama.cpp does not write it without an importance matrix."""

    @property
    def number(self) -> int:
        """The recipe's number in `enum llama_ftype`, for `general.file_type`."""
        return _NUMBERS[self.name]

    @property
    def main_type(self) -> TensorType:
        """The type that most tensors of such a file have."""
        return TYPES_BY_NAME[self.main]


# From the most exact to the smallest.
FTYPES: dict[str, FileType] = {
    kind.name: kind
    for kind in (
        FileType("F32", "F32"),
        FileType("BF16", "BF16"),
        FileType("F16", "F16"),
        FileType("Q8_0", "Q8_0"),
        FileType("Q6_K", "Q6_K"),
        FileType("Q5_1", "Q5_1"),
        FileType("Q5_K_M", "Q5_K"),
        FileType("Q5_K_S", "Q5_K"),
        FileType("Q5_0", "Q5_0"),
        FileType("Q4_1", "Q4_1"),
        FileType("Q4_K_M", "Q4_K"),
        FileType("Q4_K_S", "Q4_K"),
        FileType("IQ4_NL", "IQ4_NL"),
        FileType("Q4_0", "Q4_0"),
        FileType("MXFP4_MOE", "MXFP4"),  # of the experts; all else is Q8_0
        FileType("IQ4_XS", "IQ4_XS"),
        FileType("Q3_K_L", "Q3_K"),
        FileType("Q3_K_M", "Q3_K"),
        FileType("IQ3_M", "IQ3_S"),
        FileType("IQ3_S", "IQ3_S"),
        FileType("Q3_K_S", "Q3_K"),
        FileType("IQ3_XS", "IQ3_S", needs_imatrix=True),
        FileType("IQ3_XXS", "IQ3_XXS", needs_imatrix=True),
        FileType("Q2_K", "Q2_K"),
        FileType("IQ2_M", "IQ2_S", needs_imatrix=True),
        FileType("Q2_K_S", "Q2_K", needs_imatrix=True),
        FileType("IQ2_S", "IQ2_XS", needs_imatrix=True),
        FileType("IQ2_XS", "IQ2_XS", needs_imatrix=True),
        FileType("IQ2_XXS", "IQ2_XXS", needs_imatrix=True),
        FileType("TQ2_0", "TQ2_0"),
        FileType("IQ1_M", "IQ1_M", needs_imatrix=True),
        FileType("TQ1_0", "TQ1_0"),
        FileType("IQ1_S", "IQ1_S", needs_imatrix=True),
    )
}
# What llama-quantize takes too.
ALIASES = {"Q3_K": "Q3_K_M", "Q4_K": "Q4_K_M", "Q5_K": "Q5_K_M", "FP16": "F16", "FP32": "F32"}
EXACT = frozenset({"F32", "BF16", "F16"})


def find_ftype(wanted: str) -> FileType:
    """The file type of that name, in any case. Raises `UsageError` with those that look like it."""
    name = wanted.upper()
    ftype = FTYPES.get(ALIASES.get(name, name))
    if ftype is None:
        near = ", ".join(get_close_matches(name, FTYPES, n=3, cutoff=0.3))
        raise UsageError(
            f"There is no type {wanted!r:.40}.",
            f"Did you mean {near}?" if near else f"Types: {', '.join(FTYPES)}.",
        )
    return ftype
