"""Mixtral: a Mistral whose MLP is a choice among experts, kept as one stack each."""

from convert.architectures.decoder import Decoder, Shape, decoder_family
from convert.architectures.model import HParam
from convert.architectures.settings import Settings


def _own_keys(settings: Settings, shape: Shape) -> dict[str, HParam]:  # noqa: ARG001  (a hook)
    return {"vocab_size": shape.n_vocab}


DECODER = Decoder(
    arch="llama",
    title="a Mixtral",
    model_types=("mixtral",),
    pairs=True,
    experts="block_sparse_moe",
    default_theta=1000000.0,
    own_keys=_own_keys,
)

FAMILY = decoder_family("mixtral", "Mixtral", DECODER)
