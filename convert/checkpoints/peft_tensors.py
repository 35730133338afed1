"""The tensors of a PEFT adapter, sorted by what they do to the model.

It promises that every tensor of the file has a place or is left for an error. Names begin with
`base_model.model.`, and may have the adapter's own name in them (`lora_A.default.weight`), which
peft leaves out when it saves and other tools do not.
"""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from convert.checkpoints.files import read_file
from convert.checkpoints.peft_config import misfit
from convert.checkpoints.tensor import FLOATS, Tensor
from convert.errors import CheckpointError

WEIGHTS = ("adapter_model.safetensors", "adapter_model.bin")
_MODEL_NAMES = ("model.safetensors", "pytorch_model.bin")
_FACTORS = r"lora_A|lora_B|lora_embedding_A|lora_embedding_B|lora_magnitude_vector"
_NAMED = r"(?:\.(?!(?:weight|bias)$)[^.]+)?"
_PART = re.compile(rf"(.+)\.({_FACTORS}){_NAMED}(?:\.(weight|bias))?")
_TOKENS = re.compile(rf"(.+)\.token_adapter\.trainable_tokens_delta{_NAMED}")
# A copy of the base's own weight, which some tools save along.
_COPY = re.compile(r"\.original_module\.|\.trainable_tokens_original(?:\.|$)")
_WRAPPER = re.compile(
    r"\.(?:token_adapter|base_layer|modules_to_save(?:\.(?!weight$|bias$)[^.]+)?)\."
)


def find_weights(folder: Path) -> Path | None:
    """The adapter's file in `folder`: by peft's name for it, or a model's name with factors in it,
    as trainers that save "the model" write it."""
    named = next((folder / name for name in WEIGHTS if (folder / name).is_file()), None)
    if named is not None:
        return named
    for path in (folder / name for name in _MODEL_NAMES):
        with contextlib.suppress(CheckpointError, OSError):
            if path.is_file() and any(_PART.fullmatch(name) for name in read_file(path).tensors):
                return path
    return None


@dataclass
class Delta:
    """What the adapter has for one module: A [r, in], B [out, r], and what goes with them."""

    parts: dict[str, Tensor] = field(default_factory=dict)

    @property
    def is_embedding(self) -> bool:
        """A [r, n_vocab] and B [n_embd, r] are of an embedding."""
        return "lora_embedding_A" in self.parts

    def factor(self, letter: str) -> Tensor | None:
        """The factor of the delta that is called "A" or "B"."""
        return self.parts.get(f"lora_{letter}") or self.parts.get(f"lora_embedding_{letter}")

    def factors(self, module: str) -> tuple[Tensor, Tensor]:
        """A and B, checked against one another. Raises `CheckpointError`."""
        a, b = self.factor("A"), self.factor("B")
        if a is None or b is None:
            raise misfit(module, f"it has no factor {'A' if a is None else 'B'}")
        if len(a.shape) != 2 or len(b.shape) != 2 or a.shape[0] != b.shape[1]:
            raise misfit(module, f"its factors {a.shape} and {b.shape} do not multiply")
        return a, b

    @property
    def magnitude(self) -> Tensor | None:
        """The lengths of rows [out] that DoRA has beside its factors."""
        return self.parts.get("lora_magnitude_vector")

    @property
    def bias(self) -> Tensor | None:
        """The bias of B [out], where lora_bias was set."""
        return self.parts.get("lora_B.bias")


@dataclass(frozen=True)
class AdapterTensors:
    """An adapter's tensors, by the names of modules and weights in the base model."""

    path: Path
    deltas: dict[str, Delta] = field(default_factory=dict)
    """By module."""
    bases: dict[str, Tensor] = field(default_factory=dict)
    """Weights under an adapted module, saved because the vocabulary was resized; by weight."""
    replaced: dict[str, Tensor] = field(default_factory=dict)
    """Weights trained whole, by weight: modules_to_save and biases."""
    tokens: dict[str, Tensor] = field(default_factory=dict)
    """Rows of an embedding that were trained, by module."""


def read_tensors(folder: Path) -> AdapterTensors:
    """The tensors in the adapter's folder. Raises `CheckpointError`."""
    path = find_weights(folder)
    if path is None:
        raise CheckpointError(
            f"{folder.name} holds no weights: looked for {' and '.join(WEIGHTS)}.",
            "Copy the whole folder that peft saved.",
        )
    found = AdapterTensors(path)
    for name, tensor in read_file(path).tensors.items():
        _check(name, tensor)
        _place(name.removeprefix("base_model.model."), tensor, found)
    if not (found.deltas or found.replaced or found.tokens):
        raise CheckpointError(f"{path.name} holds no adapter.", "Copy the folder that peft saved.")
    return found


def _check(name: str, tensor: Tensor) -> None:
    if tensor.dtype not in FLOATS:
        raise CheckpointError(f"{name[:120]} of the adapter holds {tensor.dtype}, no weights.")
    for block in tensor.blocks():
        if not np.isfinite(block).all():
            raise CheckpointError(
                f"{name[:120]} of the adapter is not finite (NaN or infinity).",
                "The training diverged: convert an earlier checkpoint.",
            )


def _place(name: str, tensor: Tensor, found: AdapterTensors) -> None:
    part, tokens = _PART.fullmatch(name), _TOKENS.fullmatch(name)
    if part is not None:
        kind = part[2] + (".bias" if part[3] == "bias" else "")
        _put(found.deltas.setdefault(part[1], Delta()).parts, kind, tensor, name)
    elif tokens is not None:
        _put(found.tokens, tokens[1], tensor, name)
    elif not _COPY.search(name):
        bare = name
        while bare != (bare := _WRAPPER.sub(".", bare)):
            pass
        trained = ".base_layer." not in name or name.endswith(".bias")
        _put(found.replaced if trained else found.bases, bare, tensor, name)


def _put(places: dict[str, Tensor], key: str, tensor: Tensor, name: str) -> None:
    # a module both trained whole and resized is saved twice
    if key in places and not _same(places[key], tensor):
        raise CheckpointError(
            f"The adapter has {name[:120]} twice, with other weights.",
            "Save one adapter alone: model.save_pretrained(DIR, selected_adapters=[NAME]).",
        )
    places[key] = tensor


def _same(one: Tensor, other: Tensor) -> bool:
    if one.shape != other.shape:
        return False
    return all(np.array_equal(x, y) for x, y in zip(one.blocks(), other.blocks(), strict=True))
