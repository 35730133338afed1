"""The name of the attribute that held the model, before every tensor's name.

Lightning's `self.model = GPT(...)` puts `model.` before all of them. Hugging Face's own models do
so too (`model.layers.0.self_attn...`), and there it stays.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from convert.checkpoints.checkpoint import Checkpoint

_ATTRIBUTES = ("model", "net", "network", "lm", "llm", "gpt", "_model", "base_model")
# What follows `model.` where that is Hugging Face's own.
_OWN = ("embed_tokens.", "decoder.", "encoder.", "language_model.", "text_model.", "shared.")
_OWN_IN_LAYERS = (".self_attn.", ".input_layernorm.", ".block_sparse_moe.", ".mixer.")


def strip_shared(checkpoint: Checkpoint) -> Checkpoint:
    """`checkpoint` without attributes that every name begins with."""
    for _ in range(3):
        first = next(iter(checkpoint.tensors)).partition(".")[0] + "."
        if first.removesuffix(".") not in _ATTRIBUTES or not _is_shared(first, checkpoint.tensors):
            return checkpoint
        tensors = {
            (short := name.removeprefix(first)): replace(tensor, name=short)
            for name, tensor in checkpoint.tensors.items()
        }
        note = f"Removed the prefix {first} from tensor names."
        checkpoint = replace(checkpoint, tensors=tensors, notes=(*checkpoint.notes, note))
    return checkpoint


def _is_shared(prefix: str, names: Iterable[str]) -> bool:
    rests = [name.removeprefix(prefix) for name in names]
    return all(name.startswith(prefix) and name != prefix for name in names) and not any(
        rest.startswith(_OWN)
        or (rest.startswith("layers.") and any(sign in rest for sign in _OWN_IN_LAYERS))
        for rest in rests
    )
