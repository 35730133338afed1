"""Mistral: a Llama with a sliding window, and without biases.

llama.cpp's Llama has no window: the file ends where it would begin to slide.
"""

from convert.architectures.decoder import Decoder, decoder_family

DECODER = Decoder(
    arch="llama",
    title="a Mistral",
    model_types=("mistral",),
    pairs=True,
    default_theta=10000.0,
    default_window=4096,
)

FAMILY = decoder_family("mistral", "Mistral", DECODER)
