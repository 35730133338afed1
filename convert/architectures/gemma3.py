"""Gemma 3, the language model: like Gemma 2 with norms over Q and K, and two rope bases.

A folder with the vision tower gives its language model; the tower is left out and said so.
"""

from dataclasses import replace

from convert.architectures.decoder import Decoder, Shape, read_decoder
from convert.architectures.family import Family
from convert.architectures.gemma2 import NORMS, scale_queries
from convert.architectures.model import HParam, Model
from convert.architectures.rope import Rope, rope_parameters
from convert.architectures.settings import Settings
from convert.checkpoints.checkpoint import Checkpoint
from convert.checkpoints.tensor import Tensor
from convert.errors import ArchitectureError

_TOWERS = ("vision_tower.", "multi_modal_projector.")
_VISION = (*_TOWERS, *(f"model.{name}" for name in _TOWERS))
_PREFIXES = ("language_model.model.", "model.language_model.", "language_model.")


def _own_keys(settings: Settings, shape: Shape) -> dict[str, HParam]:
    if settings.raw("attn_logit_softcapping"):
        raise ArchitectureError("attn_logit_softcapping is set; llama.cpp's Gemma 3 has none.")
    layers = settings.raw("layer_types")
    expected = [
        "sliding_attention" if (i + 1) % 6 else "full_attention" for i in range(shape.n_layer)
    ]
    if layers is not None and layers != expected:
        raise ArchitectureError("layer_types is not one full layer in six, as llama.cpp has it.")
    found: dict[str, HParam] = {"attention.sliding_window": settings.integer("sliding_window")}
    if settings.raw("final_logit_softcapping"):
        found["final_logit_softcapping"] = settings.number("final_logit_softcapping")
    return found


def _rope(settings: Settings, shape: Shape, rope: Rope) -> Rope:  # noqa: ARG001  (a hook)
    local = rope_parameters(settings, "sliding_attention").get("rope_theta")
    base = settings.number("rope_local_base_freq", default=float(local or 10000.0))
    return replace(rope, hparams=rope.hparams | {"rope.freq_base_swa": base})


DECODER = Decoder(
    arch="gemma3",
    title="a Gemma 3",
    model_types=("gemma3_text", "gemma3"),
    norms=NORMS,
    norm_shift=1.0,
    qk_norm="head",
    activations=("gelu_pytorch_tanh", "gelu_new"),
    own_keys=_own_keys,
    q_scale=scale_queries,
    switches=("final_logit_softcapping", "query_pre_attn_scalar"),
    rope=_rope,
)


def recognise(checkpoint: Checkpoint) -> bool:
    """Whether config.json names this family."""
    return checkpoint.config.get("model_type") in DECODER.model_types


def read(checkpoint: Checkpoint) -> Model:
    """The model in `checkpoint`. Raises `ArchitectureError`."""
    checkpoint, seen = _without_vision(checkpoint)
    full = rope_parameters(Settings(checkpoint), "full_attention")
    config = checkpoint.config | {"rope_parameters": {**_local(checkpoint), **full}}
    model = read_decoder(replace(checkpoint, config=config), DECODER)
    return replace(model, ignored=(*model.ignored, *seen)) if seen else model


def _local(checkpoint: Checkpoint) -> dict[str, object]:
    values = rope_parameters(Settings(checkpoint), "sliding_attention")
    return {"sliding_attention": {"rope_theta": values.get("rope_theta")}}


def _without_vision(checkpoint: Checkpoint) -> tuple[Checkpoint, tuple[tuple[str, str], ...]]:
    text = checkpoint.config.get("text_config")
    if not isinstance(text, dict):
        return checkpoint, ()
    tensors: dict[str, Tensor] = {}
    seen = []
    for name, tensor in checkpoint.tensors.items():
        if name.startswith(_VISION):
            seen.append((name, "vision: the file holds the language model"))
            continue
        prefix = next((prefix for prefix in _PREFIXES if name.startswith(prefix)), None)
        tensors[name if prefix is None else f"model.{name.removeprefix(prefix)}"] = tensor
    config = {**text, "model_type": "gemma3_text"}
    return replace(checkpoint, tensors=tensors, config=config), tuple(seen)


FAMILY = Family("gemma3", "Gemma 3 (text)", recognise, read)
