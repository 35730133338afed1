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
from convert.architectures.text_part import text_part
from convert.checkpoints.checkpoint import Checkpoint
from convert.errors import ArchitectureError


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
    rope_of="full_attention",
    rope=_rope,
)


def recognise(checkpoint: Checkpoint) -> bool:
    """Whether the config.json of `checkpoint` names this family."""
    return checkpoint.config.get("model_type") in DECODER.model_types


def read(checkpoint: Checkpoint) -> Model:
    """The model in `checkpoint`. Raises `ArchitectureError`."""
    text, seen = text_part(checkpoint, "gemma3_text")
    model = read_decoder(text, DECODER)
    return replace(model, ignored=(*model.ignored, *seen))


FAMILY = Family("gemma3", "Gemma 3 (text)", recognise, read)
