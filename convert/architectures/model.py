"""A model as llama.cpp will see it: tensors under GGUF names, hyper-parameters, evidence."""

from __future__ import annotations

from dataclasses import dataclass, replace

from convert.checkpoints.tensor import Tensor
from convert.errors import ArchitectureError

TOKEN_TENSORS = ("token_embd.weight", "output.weight")


@dataclass(frozen=True)
class Model:
    """One checkpoint understood: what goes into the file, what does not, and why we think so."""

    arch: str
    """llama.cpp's name of the architecture."""
    layout: str
    """Which spelling of it the checkpoint uses; parity picks its reference by it."""
    hparams: dict[str, int | float]
    """Under GGUF keys without the architecture's prefix, such as `attention.head_count`."""
    tensors: tuple[Tensor, ...]
    """In file order, under GGUF names."""
    ignored: tuple[tuple[str, str], ...]
    """Tensors that are left out, each with its reason."""
    evidence: tuple[str, ...]
    """What was seen, in sentences."""

    @property
    def n_vocab(self) -> int:
        """Rows of the token embedding."""
        return next(t.shape[0] for t in self.tensors if t.name == TOKEN_TENSORS[0])

    @property
    def n_weights(self) -> int:
        """Number of weights in the file."""
        return sum(tensor.n_weights for tensor in self.tensors)

    def cut_vocab(self, n_tokens: int) -> Model:
        """The same model with the first `n_tokens` rows of its vocabulary.

        Exact for the tokens that stay: a padding row only ever took probability away from them.
        """
        tensors = tuple(
            tensor.derive(
                tensor.name,
                shape=(n_tokens, *tensor.shape[1:]),
                view=lambda array: array[:n_tokens],
            )
            if tensor.name in TOKEN_TENSORS
            else tensor
            for tensor in self.tensors
        )
        return replace(self, tensors=tensors)


def expect_shape(tensor: Tensor, shape: tuple[int, ...], because: str) -> None:
    """Raise `ArchitectureError` unless `tensor` has `shape`; `because` says what implies it."""
    if tensor.shape != shape:
        raise ArchitectureError(
            f"{tensor.name} has shape {tensor.shape}, but {because} asks for {shape}.",
            "The checkpoint and its model_args do not belong together.",
        )
