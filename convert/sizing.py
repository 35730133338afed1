"""Chooses a type by what the file may cost in bytes.

Sizes are exact: they come from llama.cpp's own mixture, and the vocabulary is counted. Legacy and
ternary types are not chosen from: at their sizes others are closer to the source.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from gguf import GGUFWriter

from chatapp.gguf.size import size_text
from convert.architectures.model import Model
from convert.errors import UsageError
from convert.ftype import EXACT, FTYPES, FileType
from convert.metadata import REPORT_BYTES
from convert.plan import source_ftype
from convert.typemap import TypeMap
from convert.vocab.metadata import add_vocab
from convert.vocab.vocabulary import Vocab

_NOT_CHOSEN = EXACT | {"Q5_1", "Q5_0", "Q4_1", "Q4_0", "IQ4_NL", "MXFP4_MOE", "TQ2_0", "TQ1_0"}
# Of a file beside vocabulary and tensors: name, description, licence, provenance.
_KEYS_BYTES = 8192


def candidates(model: Model, *, imatrix: bool) -> list[FileType]:
    """The types to choose from, the most exact first; no wider than the source."""
    others = (ftype for ftype in FTYPES.values() if ftype.name not in _NOT_CHOSEN)
    return [source_ftype(model), *(kind for kind in others if imatrix or not kind.needs_imatrix)]


def choose_by_size(
    mixture: TypeMap, model: Model, vocab: Vocab, limit: int, *, imatrix: bool
) -> tuple[FileType, str]:
    """The largest type whose file takes at most `limit` bytes, and why. Raises `UsageError`."""
    header = _header_bytes(model, vocab)
    sizes = {
        ftype: mixture.size(ftype, imatrix=imatrix) + header
        for ftype in candidates(model, imatrix=imatrix)
    }
    fitting = {ftype: size for ftype, size in sizes.items() if size <= limit}
    if not fitting:
        ftype, size = min(sizes.items(), key=lambda item: item[1])
        more = "" if imatrix else " Smaller ones need --imatrix TEXT."
        raise UsageError(
            f"Nothing fits {size_text(limit)}: the smallest, {ftype.name}, takes "
            f"{size_text(size)}.",
            f"Allow more, or convert a smaller model.{more}",
        )
    # of types as large as one another the first is the more exact
    best = max(fitting, key=lambda ftype: fitting[ftype])
    return best, f"the largest that fits {size_text(limit)}"


def _header_bytes(model: Model, vocab: Vocab) -> int:
    """Bytes a file takes beside its tensors; some more rather than less."""
    with tempfile.TemporaryDirectory(prefix="chatapp-vocab-") as folder:
        path = Path(folder) / "vocab.gguf"
        writer = GGUFWriter(path, model.arch)
        add_vocab(writer, vocab)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.close()
        size = path.stat().st_size
    infos = sum(len(tensor.name) + 24 + 8 * len(tensor.shape) for tensor in model.tensors)
    values = sum(64 + 8 * len(str(value)) for value in model.hparams.values())
    return size + infos + values + REPORT_BYTES + _KEYS_BYTES
