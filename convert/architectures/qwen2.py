"""Qwen2 and 2.5: a Llama with biases on Q, K and V."""

from convert.architectures.decoder import Decoder, decoder_family

DECODER = Decoder(
    arch="qwen2",
    title="a Qwen2",
    model_types=("qwen2",),
    biases=("q", "k", "v"),
    always_biased=True,
    default_theta=10000.0,
    window_switch=True,
)

FAMILY = decoder_family("qwen2", "Qwen2 and Qwen2.5", DECODER)
