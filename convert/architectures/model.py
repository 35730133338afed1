"""A model as llama.cpp will see it: tensors under GGUF names, hyper-parameters, evidence."""

from __future__ import annotations

from dataclasses import dataclass

from convert.architectures.assumptions import Assumption
from convert.checkpoints.tensor import Tensor
from convert.errors import ArchitectureError
from convert.handwritten.form import Form

TOKEN_EMBEDDING = "token_embd.weight"  # noqa: S105  (a tensor's name)
OUTPUT = "output.weight"

HParam = int | float | bool | str | list[int] | list[float] | list[bool]


@dataclass(frozen=True)
class Model:
    """One checkpoint understood: what goes into the file, what does not, and why we think so."""

    arch: str
    """llama.cpp's name of the architecture."""
    layout: str
    """Which spelling of it the checkpoint uses; parity picks its reference by it."""
    hparams: dict[str, HParam]
    """Under GGUF keys without the architecture's prefix, such as `attention.head_count`."""
    tensors: tuple[Tensor, ...]
    """In file order, under GGUF names."""
    ignored: tuple[tuple[str, str], ...]
    """Tensors that are left out, each with its reason."""
    evidence: tuple[str, ...]
    """What was seen, in sentences."""
    notes: tuple[str, ...] = ()
    """What the user should know, such as an activation that differs a little."""
    embeddings: bool = False
    """Makes embeddings, not text: no logits, no chat."""
    assumptions: tuple[Assumption, ...] = ()
    """How it computes, as far as neither names nor shapes tell: what a proof against our own
    reading rests on. Empty where a known author's code or a configuration says everything."""
    form: Form | None = None
    """Of a hand-written model: how its reference computes."""

    @property
    def n_vocab(self) -> int:
        """How many tokens the model knows: rows of its token embedding."""
        return next(t.shape[0] for t in self.tensors if t.name == TOKEN_EMBEDDING)

    @property
    def n_weights(self) -> int:
        """Number of weights in the file."""
        return sum(tensor.n_weights for tensor in self.tensors)


def expect_shape(tensor: Tensor, shape: tuple[int, ...], because: str) -> None:
    """Raise `ArchitectureError` unless `tensor` has `shape`; `because` says what implies it."""
    if tensor.shape != shape:
        raise ArchitectureError(
            f"{tensor.origin or tensor.name} has shape {tensor.shape}, but {because} asks for "
            f"{shape}.",
            "The checkpoint and its configuration do not belong together.",
        )
