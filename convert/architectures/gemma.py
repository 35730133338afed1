"""Gemma 1: embeddings scaled by the root of their width, norms kept less one, a GELU gate."""

from convert.architectures.decoder import Decoder, decoder_family

DECODER = Decoder(
    arch="gemma",
    title="a Gemma",
    model_types=("gemma",),
    norm_shift=1.0,
    # its first configurations say "gelu" and mean the tanh form, as transformers reads them
    activations=("gelu_pytorch_tanh", "gelu_new", "gelu"),
    tied=True,
    default_theta=10000.0,
)

FAMILY = decoder_family("gemma", "Gemma 1", DECODER)
