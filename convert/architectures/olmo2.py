"""OLMo 2: norms after attention and MLP instead of before, and over all of Q and K."""

from convert.architectures.decoder import Decoder, decoder_family

DECODER = Decoder(
    arch="olmo2",
    title="an OLMo 2",
    model_types=("olmo2",),
    norms={
        "post_attention_layernorm": "post_attention_norm",
        "post_feedforward_layernorm": "post_ffw_norm",
    },
    qk_norm="width",
    output_required=True,
    default_theta=10000.0,
)

FAMILY = decoder_family("olmo2", "OLMo 2", DECODER)
