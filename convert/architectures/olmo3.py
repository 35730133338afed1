"""OLMo 3: an OLMo 2 whose attention slides in three layers of four, where rope is not scaled."""

from dataclasses import replace

from convert.architectures import olmo2
from convert.architectures.decoder import Shape, decoder_family
from convert.architectures.layer_types import FULL, SLIDING, sliding_layers
from convert.architectures.model import HParam
from convert.architectures.rope import Rope
from convert.architectures.settings import Settings
from convert.errors import ArchitectureError


def _own_keys(settings: Settings, shape: Shape) -> dict[str, HParam]:
    slides = sliding_layers(settings, shape.n_layer, 4)
    window = settings.integer("sliding_window")
    if not any(slides):
        return {
            "attention.sliding_window": 0
        }  # llama.cpp ends where there is a window for no layer
    return {"attention.sliding_window": window, "attention.sliding_window_pattern": slides}


def _rope(settings: Settings, shape: Shape, rope: Rope) -> Rope:  # noqa: ARG001  (a hook)
    both = settings.raw("rope_parameters")
    local = both.get(SLIDING) if isinstance(both, dict) else None
    if not isinstance(local, dict):
        return rope
    base = rope.hparams["rope.freq_base"]
    if local.get("rope_type", "default") != "default" or local.get("rope_theta", base) != base:
        raise ArchitectureError(
            f"The rope of sliding layers is {local!r:.100}: llama.cpp's OLMo 3 has it unscaled "
            f"there, on the base of the other layers ({base:g})."
        )
    return rope


DECODER = replace(
    olmo2.DECODER,
    title="an OLMo 3",
    model_types=("olmo3",),
    default_theta=500000.0,
    own_keys=_own_keys,
    rope_of=FULL,
    rope=_rope,
)

FAMILY = decoder_family("olmo3", "OLMo 3", DECODER)
