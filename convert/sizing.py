"""Chooses a type by what the file may cost: bytes, or distance from the source.

Both are exact about what they promise: sizes come from llama.cpp's own mixture, and a distance is
measured on files that were written, never estimated.
"""

from __future__ import annotations

from convert.errors import UsageError
from convert.ftype import EXACT, FTYPES, FileType
from convert.typemap import TypeMap

_METADATA = 4096  # bytes at least; a vocabulary adds its own


def choose_by_size(mixture: TypeMap, limit: int, *, imatrix: bool) -> tuple[FileType, str]:
    """The largest type whose tensors take at most `limit` bytes, and why."""
    usable = [ftype for ftype in FTYPES.values() if imatrix or not ftype.needs_imatrix]
    sizes = {ftype.name: mixture.size(ftype, imatrix=imatrix) + _METADATA for ftype in usable}
    fitting = [name for name, size in sizes.items() if size <= limit]
    if not fitting:
        name, size = min(sizes.items(), key=lambda item: item[1])
        more = "" if imatrix else " Smaller ones need --imatrix TEXT."
        raise UsageError(
            f"Nothing fits {limit / 1e6:,.1f} MB: the smallest, {name}, takes {size / 1e6:,.1f}.",
            f"Allow more, or convert a smaller model.{more}",
        )
    # of types as large as one another the first is the more exact
    best = max(fitting, key=lambda name: (name in EXACT and name != "F32", sizes[name]))
    if sizes[best] < max(sizes[name] for name in fitting):
        best = max(fitting, key=lambda name: sizes[name])
    return FTYPES[best], f"the largest that fits {limit / 1e6:,.1f} MB"
