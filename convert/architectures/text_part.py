"""The language model inside a checkpoint that also sees pictures or hears.

Its configuration is `text_config`, its tensors lie under `language_model`; the towers beside it are
left out and named.
"""

from __future__ import annotations

from dataclasses import replace

from convert.architectures.taking import by_new_name
from convert.checkpoints.checkpoint import Checkpoint
from convert.checkpoints.tensor import Tensor

_TOWERS = (
    "vision_tower.",
    "vision_model.",
    "visual.",
    "multi_modal_projector.",
    "embed_vision.",
    "audio_tower.",
    "embed_audio.",
)
_LEFT_OUT = (*_TOWERS, *(f"model.{name}" for name in _TOWERS))
# What stands before a name of the language model, and what it has there by itself.
_PREFIXES = {
    "language_model.lm_head.": "lm_head.",
    "language_model.model.": "model.",
    "model.language_model.": "model.",
    "language_model.": "model.",
}

Ignored = tuple[tuple[str, str], ...]


def text_part(checkpoint: Checkpoint, model_type: str) -> tuple[Checkpoint, Ignored]:
    """The language model as if it had been saved alone, and the tensors left out with the reason.

    `model_type` is what it is called where its own configuration does not say. A checkpoint without
    `text_config` is returned as it is. Raises `ArchitectureError` for a tensor that is there twice.
    """
    text = checkpoint.config.get("text_config")
    if not isinstance(text, dict):
        return checkpoint, ()
    own: list[tuple[str, Tensor]] = []
    seen = []
    for name, tensor in checkpoint.tensors.items():
        if name.startswith(_LEFT_OUT):
            seen.append((name, "not text: the file holds the language model"))
            continue
        prefix = next((prefix for prefix in _PREFIXES if name.startswith(prefix)), None)
        ours = name if prefix is None else _PREFIXES[prefix] + name.removeprefix(prefix)
        own.append((ours, tensor))
    config = {"model_type": model_type, **text}
    tied = checkpoint.config.get("tie_word_embeddings")  # transformers goes by the outer one
    if tied is not None:
        config["tie_word_embeddings"] = tied
    return replace(checkpoint, tensors=by_new_name(own), config=config), tuple(seen)
