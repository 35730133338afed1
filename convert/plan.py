"""What a conversion will do, decided before a weight is read.

It promises the exact bytes of every tensor for every type, and where they go. Choosing costs no
reading, so `--dry-run` stops here.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chatapp.gguf.naming import name_source
from convert.architectures.model import Model
from convert.author.asked import Code
from convert.checkpoints.checkpoint import Checkpoint
from convert.checkpoints.operations import widest
from convert.ftype import F32, FTYPES, FileType, find_ftype
from convert.typemap import Types
from convert.vocab.chat import sample_or_nothing
from convert.vocab.vocabulary import Vocab
from convert.witness import assumed, foresee

Importance = dict[str, NDArray[np.float32]]


@dataclass(frozen=True)
class Plan:
    """One conversion with everything that was decided before a weight is written."""

    checkpoint: Checkpoint
    model: Model
    vocab: Vocab
    ftype: FileType
    type_reason: str
    types: Types
    """Every tensor's type, by its name."""
    output: Path
    name: str
    license: str | None
    temperature: float | None
    """What its maker samples it with; None: not said."""
    notes: tuple[str, ...]
    sizes: dict[str, int]
    """Bytes of the tensors by file type: of the chosen one, or of all for a dry run."""
    code: Code | None = None
    """The model's own code, which the logits will be compared with."""
    guide: bool = False
    """It was trained to answer from facts about chatapp."""
    importance: Importance = field(default_factory=dict)
    """Importance of every column, by tensor; empty without --imatrix."""

    @property
    def witness(self) -> str:
        """What the logits will be compared with."""
        model = self.model
        if self.code is not None:
            return f"the model's own code ({self.code.label})"
        return foresee(model.layout, assumed(model), embeddings=model.embeddings)

    def as_dict(self) -> dict[str, Any]:
        """The plan as plain values, for the report."""
        return {
            "source": str(self.checkpoint.path),
            "format": self.checkpoint.format,
            "arch": self.model.arch,
            "layout": self.model.layout,
            "hparams": self.model.hparams,
            "evidence": list(self.model.evidence),
            "assumptions": [one.as_dict() for one in self.model.assumptions],
            "n_weights": self.model.n_weights,
            "n_tokens": len(self.vocab.tokens),
            "special_ids": self.vocab.special_ids,
            "chat_template": self.vocab.chat_template is not None,
            "chat_sample": sample_or_nothing(self.vocab),
            "type": self.ftype.name,
            "type_reason": self.type_reason,
            "compared_with": self.witness,
            "types": count_types(self.types),
            "sizes": self.sizes,
            "need_imatrix": [name for name in self.sizes if FTYPES[name].needs_imatrix],
            "output": str(self.output),
            "name": self.name,
            "temperature": self.temperature,
            "ignored": [list(pair) for pair in self.model.ignored],
            "notes": list(self.notes),
        }


def count_types(types: Types) -> dict[str, int]:
    """How many tensors have each type."""
    return dict(Counter(kind.name for kind in types.values()).most_common())


def choose_ftype(wanted: str | None, model: Model) -> tuple[FileType, str]:
    """The file's type and why. `wanted` is a name in `FTYPES`, in any case."""
    if wanted is None:
        return source_ftype(model), "the source's precision, as no type was asked for"
    return find_ftype(wanted), "as asked"


def source_ftype(model: Model) -> FileType:
    """The type that keeps the precision of the source's matrices."""
    matrices = [tensor for tensor in model.tensors if len(tensor.shape) > 1]
    return FTYPES.get(widest(matrices or model.tensors), FTYPES["F32"])


def choose_output(
    checkpoint: Path, output: Path | None, ftype: FileType, adapter: Path | None = None
) -> Path:
    """Where the file goes: as asked, else beside the checkpoint, named after it and its type; with
    an adapter beside that, named after both."""
    stem = checkpoint.name if checkpoint.is_dir() else checkpoint.stem  # `gpt-1.5` is no ending
    beside = checkpoint
    if adapter is not None:
        beside = adapter.resolve()
        stem = f"{name_source(checkpoint)}-{beside.name}"
    if output is None:
        return beside.with_name(f"{stem}-{ftype.name}.gguf")
    return output / f"{stem}-{ftype.name}.gguf" if output.is_dir() else output


def choose_name(checkpoint: Checkpoint, name: str | None) -> str:
    """The model's name: as asked, else what tells it from others in where it lies.

    llama.cpp looks up certain tokens in every model whose name holds "phi3" or "phi-3", and gives
    up where they are missing: such a name is written with a space.
    """
    chosen = name or name_source(checkpoint.path, checkpoint.config.get("_name_or_path"))
    if not name and checkpoint.adapter is not None:
        chosen = f"{chosen} {name_source(checkpoint.adapter)}"
    chosen = chosen.encode("utf-8", "replace").decode()
    return re.sub(r"(phi)-?(3)", r"\1 \2", chosen, flags=re.IGNORECASE)


def fallback_notes(model: Model, ftype: FileType, types: Types) -> tuple[str, ...]:
    """Says which matrices another type is used for, because their rows do not divide."""
    block = ftype.main_type.block
    odd = [t for t in model.tensors if len(t.shape) > 1 and t.shape[-1] % block]
    odd = [t for t in odd if types[t.name].block < block and types[t.name] is not F32]
    if not odd:
        return ()
    instead = ", ".join(count_types({t.name: types[t.name] for t in odd}))
    note = (
        f"{len(odd)} matrices are written as {instead}: their rows are no multiple of {block}, as "
        f"{ftype.main_type.name} asks ({odd[0].name} has {odd[0].shape[-1]})."
    )
    return (note,)
