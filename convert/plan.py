"""What a conversion will do, decided before a weight is read.

It promises the exact bytes of every tensor for every type, and where they go. Choosing costs no
reading, so `--dry-run` stops here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from convert.architectures.model import OUTPUT, TOKEN_EMBEDDING, Model
from convert.checkpoints.checkpoint import Checkpoint
from convert.checkpoints.operations import cut
from convert.checkpoints.tensor import Tensor
from convert.errors import UsageError, VocabError
from convert.ftype import F16, F32, FTYPES, FType
from convert.quantize import choose_type
from convert.vocab.vocabulary import Vocab

ALIGNMENT = 32  # bytes; GGUF's default, to which every tensor is padded
# File names that say nothing about the model; its folder's name does.
_DULL_NAMES = frozenset({"ckpt", "checkpoint", "model", "latest", "best", "last", "final"})


@dataclass(frozen=True)
class Plan:
    """One conversion, decided."""

    checkpoint: Checkpoint
    model: Model
    vocab: Vocab
    ftype: FType
    type_reason: str
    output: Path
    name: str
    license: str | None
    temperature: float | None
    """What its maker samples it with; None: not said."""
    notes: tuple[str, ...]

    def types(self) -> list[tuple[Tensor, FType]]:
        """Each tensor with the type it is written in, in file order."""
        return [(t, choose_type(t.name, t.shape, self.ftype)) for t in self.model.tensors]

    def as_dict(self) -> dict[str, Any]:
        """The plan as plain values, for the report."""
        return {
            "source": str(self.checkpoint.path),
            "format": self.checkpoint.format,
            "arch": self.model.arch,
            "layout": self.model.layout,
            "hparams": self.model.hparams,
            "evidence": list(self.model.evidence),
            "n_weights": self.model.n_weights,
            "n_tokens": len(self.vocab.tokens),
            "special_ids": self.vocab.special_ids,
            "chat_template": self.vocab.chat_template is not None,
            "type": self.ftype.name,
            "type_reason": self.type_reason,
            "sizes": {name: weight_bytes(self.model, ftype) for name, ftype in FTYPES.items()},
            "output": str(self.output),
            "name": self.name,
            "temperature": self.temperature,
            "ignored": [list(pair) for pair in self.model.ignored],
            "notes": list(self.notes),
        }


def weight_bytes(model: Model, ftype: FType) -> int:
    """Bytes the tensors take in a file of type `ftype`, padding included."""
    return sum(
        padded(tensor_bytes(tensor.shape, choose_type(tensor.name, tensor.shape, ftype)))
        for tensor in model.tensors
    )


def tensor_bytes(shape: tuple[int, ...], ftype: FType) -> int:
    """Bytes of one tensor."""
    n_rows = 1
    for n in shape[:-1]:
        n_rows *= n
    return n_rows * ftype.row_bytes(shape[-1])


def padded(size: int) -> int:
    """`size` rounded up to the alignment."""
    return -(-size // ALIGNMENT) * ALIGNMENT


def choose_ftype(wanted: str | None) -> tuple[FType, str]:
    """The file's type and why. `wanted` is a name in `FTYPES`, in any case."""
    if wanted is None:
        return F16, "the default: half of F32, and the logits stay the same to about 0.001"
    ftype = FTYPES.get(wanted.upper())
    if ftype is None:
        raise UsageError(f"There is no type {wanted!r:.40}.", f"Types: {', '.join(FTYPES)}.")
    return ftype, "as asked"


def source_ftype(model: Model) -> FType:  # noqa: ARG001  (stand-in until BF16 is there)
    """The type that keeps the source's precision."""
    return F32


def choose_output(checkpoint: Path, output: Path | None, ftype: FType) -> Path:
    """Where the file goes: as asked, else beside the checkpoint, named after it and its type."""
    if output is None:
        return checkpoint.with_name(f"{checkpoint.stem}-{ftype.name}.gguf")
    return output / f"{checkpoint.stem}-{ftype.name}.gguf" if output.is_dir() else output


def choose_name(checkpoint: Path, name: str | None) -> str:
    """The model's name: as asked, else the file's, else its folder's."""
    if name:
        return name
    path = checkpoint.resolve()
    chosen = path.parent.name if path.stem.lower() in _DULL_NAMES else path.stem
    return (chosen or path.stem).encode("utf-8", "replace").decode()


def fit_vocab(model: Model, vocab: Vocab) -> tuple[Model, tuple[str, ...]]:
    """`model` with as many vocabulary rows as there are tokens, and what was done about it."""
    n_tokens, n_rows = len(vocab.tokens), model.n_vocab
    if n_tokens > n_rows:
        raise VocabError(
            f"The tokenizer has {n_tokens} tokens and the model {n_rows} rows.",
            "This tokenizer does not belong to this checkpoint.",
        )
    if n_tokens == n_rows:
        return model, ()
    note = (
        f"The model has {n_rows} vocabulary rows and the tokenizer {n_tokens} tokens: "
        f"{n_rows - n_tokens} padding rows are cut."
    )
    return cut_vocab(model, n_tokens), (note,)


def cut_vocab(model: Model, n_tokens: int) -> Model:
    """`model` with the first `n_tokens` rows of its vocabulary.

    Exact for the tokens that stay: a padding row only ever took probability away from them.
    """
    tensors = tuple(
        cut(tensor, 0, n_tokens) if tensor.name in (TOKEN_EMBEDDING, OUTPUT) else tensor
        for tensor in model.tensors
    )
    return replace(model, tensors=tensors)


def fallback_notes(model: Model, ftype: FType) -> tuple[str, ...]:
    """Says which matrices cannot be written in `ftype`, because their rows do not divide."""
    odd = [t for t in model.tensors if len(t.shape) > 1 and t.shape[-1] % ftype.block]
    if not odd:
        return ()
    note = (
        f"{len(odd)} matrices are written as F16: their rows are no multiple of {ftype.block}, as "
        f"{ftype.name} asks ({odd[0].name} has {odd[0].shape[-1]})."
    )
    return (note,)
