"""What the older families share: LayerNorm with biases, and GELU.

llama.cpp asks for every bias of theirs: where a model was trained without, zeros are the same
function.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from convert.architectures.settings import Settings
from convert.architectures.taking import Taker
from convert.checkpoints.checkpoint import Checkpoint
from convert.checkpoints.operations import zeros
from convert.checkpoints.tensor import Tensor

TANH_GELU = ("gelu_new", "gelu_pytorch_tanh", "gelu_fast", "gelu_python_tanh")
ERF_GELU = ("gelu", "gelu_python")
ERF_NOTE = (
    "The model was trained with GELU by erf; llama.cpp has its tanh form, whose logits differ by "
    "about 0.001."
)


class LayerNormReader:
    """Reads weights in pairs with their biases."""

    def __init__(self, checkpoint: Checkpoint, title: str, prefix: str = "") -> None:
        """`title` is for errors; `prefix` is put before names where none has it."""
        if prefix and not any(name.startswith(prefix) for name in checkpoint.tensors):
            heads = ("lm_head.", "embed_out.", "cls.", "pooler.")
            tensors = {
                (name if name.startswith(heads) else prefix + name): tensor
                for name, tensor in checkpoint.tensors.items()
            }
            checkpoint = replace(checkpoint, tensors=tensors)
        self.settings = Settings(checkpoint)
        self.taker = Taker(checkpoint, title)
        self.n_zeros = 0

    def pair(
        self, source: str, name: str, shape: tuple[int, ...], *, bias: bool = True
    ) -> Iterator[Tensor]:
        """Weight and bias; zeros where there is no bias, or nothing if `bias` is false."""
        yield self.taker.take(f"{source}.weight", shape).rename(f"{name}.weight")
        found = self.taker.take_if_there(f"{source}.bias", shape[:1])
        if found is not None:
            yield found.rename(f"{name}.bias")
        elif bias:
            self.n_zeros += 1
            yield zeros(f"{name}.bias", shape[:1])

    def check_gelu(self, key: str) -> tuple[str, ...]:
        """A note when the activation is the other GELU; raises when it is none."""
        because = "llama.cpp has GELU here and nothing else"
        self.settings.require(key, (*TANH_GELU, *ERF_GELU), because)
        return (ERF_NOTE,) if self.settings.raw(key) in ERF_GELU else ()
