"""Mistral: a Llama with a sliding window, and without biases."""

from convert.architectures.decoder import Decoder, decoder_family

DECODER = Decoder(arch="llama", title="a Mistral", model_types=("mistral",), pairs=True)

FAMILY = decoder_family("mistral", "Mistral", DECODER)
