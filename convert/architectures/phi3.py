"""Phi-3 and 3.5 mini: fused projections, rotary positions on a part of each head, LongRoPE."""

from convert.architectures.decoder import Decoder, Shape, decoder_family
from convert.architectures.rope import Rope, longrope_tensors
from convert.architectures.settings import Settings


def _rope(settings: Settings, shape: Shape, rope: Rope) -> Rope:
    if rope.scaling.get("rope_type") != "longrope":
        return rope
    n_rot = rope.hparams["rope.dimension_count"]
    assert isinstance(n_rot, int)
    scaling = dict(rope.scaling)
    original = settings.raw("original_max_position_embeddings")
    if original is not None:
        scaling["original_max_position_embeddings"] = original
    return longrope_tensors(Rope(rope.hparams, scaling=scaling), n_rot, shape.n_ctx)


DECODER = Decoder(
    arch="phi3",
    title="a Phi-3",
    model_types=("phi3",),
    fused=True,
    mlp="fused",
    rotary_share=1.0,
    rope=_rope,
)

FAMILY = decoder_family("phi3", "Phi-3 and Phi-3.5", DECODER)
