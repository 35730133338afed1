"""SmolLM3: a Llama in which every fourth layer has no positions."""

from convert.architectures.decoder import Decoder, Shape, decoder_family
from convert.architectures.model import HParam
from convert.architectures.settings import Settings
from convert.errors import ArchitectureError


def _own_keys(settings: Settings, shape: Shape) -> dict[str, HParam]:
    layers = settings.raw("no_rope_layers")
    if layers is None:
        because = "llama.cpp leaves out rope in every fourth layer"
        settings.require("no_rope_layer_interval", (4,), because)
    expected = [int((i + 1) % 4 != 0) for i in range(shape.n_layer)]
    if layers is not None and (not isinstance(layers, list) or layers[: shape.n_layer] != expected):
        raise ArchitectureError(
            "no_rope_layers is not every fourth layer, which is all that llama.cpp knows."
        )
    return {}


DECODER = Decoder(
    arch="smollm3",
    title="a SmolLM3",
    model_types=("smollm3",),
    pairs=True,
    default_theta=2000000.0,
    window_switch=True,
    own_keys=_own_keys,
)

FAMILY = decoder_family("smollm3", "SmolLM3", DECODER)
