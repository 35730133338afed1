"""SmolLM3: a Llama in which every fourth layer has no positions."""

from convert.architectures.decoder import Decoder, Shape, decoder_family
from convert.architectures.model import HParam
from convert.architectures.settings import Settings
from convert.errors import ArchitectureError


def _own_keys(settings: Settings, shape: Shape) -> dict[str, HParam]:
    layers = settings.raw("no_rope_layers")
    expected = [int((i + 1) % 4 != 0) for i in range(shape.n_layer)]
    if layers is not None and layers != expected:
        raise ArchitectureError(
            "no_rope_layers is not every fourth layer, which is all that llama.cpp knows."
        )
    return {}


DECODER = Decoder(
    arch="smollm3", title="a SmolLM3", model_types=("smollm3",), pairs=True, own_keys=_own_keys
)

FAMILY = decoder_family("smollm3", "SmolLM3", DECODER)
