"""Qwen3: a norm over each head of Q and K, no biases."""

from convert.architectures.decoder import Decoder, decoder_family

DECODER = Decoder(
    arch="qwen3",
    title="a Qwen3",
    model_types=("qwen3",),
    qk_norm="head",
    default_theta=10000.0,
    window_switch=True,
)

FAMILY = decoder_family("qwen3", "Qwen3", DECODER)
