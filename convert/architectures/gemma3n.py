"""Gemma 3n, the language model: four streams that predict one another, embeddings in every layer.

Of every layer's input one stream goes through attention and MLP, and the others are corrected by
what comes of it (AltUp); a low-rank bypass (LAuReL) runs beside attention. llama.cpp has the
published sizes as constants: they are checked here. Vision and hearing are left out.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from convert.architectures.decoder import Decoder, Shape, is_decoder, read_decoder
from convert.architectures.decoder_layers import LayerReader
from convert.architectures.family import Family
from convert.architectures.gemma2 import NORMS
from convert.architectures.layer_types import FULL, SLIDING, sliding_layers
from convert.architectures.model import HParam, Model
from convert.architectures.rope import Rope, rope_parameters
from convert.architectures.settings import Settings
from convert.architectures.text_part import text_part
from convert.checkpoints.checkpoint import Checkpoint
from convert.checkpoints.operations import constant, gather, stack, zeros
from convert.checkpoints.tensor import Tensor
from convert.errors import ArchitectureError

# llama.cpp's constants for this architecture.
_N_OWN = 20  # first layers with keys and values of their own
_N_SPARSE = 10  # first layers whose MLP keeps the strongest twentieth
_SPARSITY = 0.95
_N_STREAMS = 4
_RANK = 64
_PER_LAYER = 256
_FIXED = {
    "altup_num_inputs": (_N_STREAMS,),
    "altup_active_idx": (0,),
    "laurel_rank": (_RANK,),
    "hidden_size_per_layer_input": (_PER_LAYER,),
    "final_logit_softcapping": (30, 30.0),
}


def _n_shared(settings: Settings, shape: Shape) -> int:
    """Last layers that take keys and values from earlier ones."""
    n = settings.raw("num_kv_shared_layers")
    n = 15 if n is None else n
    if n != max(0, shape.n_layer - _N_OWN):
        raise ArchitectureError(
            f"num_kv_shared_layers is {n!r:.40}: llama.cpp's Gemma 3n shares those of layer 19 and "
            f"20 with every one behind them, {max(0, shape.n_layer - _N_OWN)} of {shape.n_layer}."
        )
    return int(n)


def _own_keys(settings: Settings, shape: Shape) -> dict[str, HParam]:
    for name, values in _FIXED.items():
        settings.require(name, values, f"llama.cpp's Gemma 3n has {values[0]}")
        if settings.said(name) and settings.raw(name) is None:
            raise ArchitectureError(f"{name} is null: llama.cpp's Gemma 3n has {values[0]}.")
    sparse = settings.raw("activation_sparsity_pattern")
    n = min(_N_SPARSE, shape.n_layer)
    expected = [_SPARSITY] * n + [0.0] * (shape.n_layer - n)
    if (sparse is None and shape.n_layer <= _N_SPARSE) or sparse not in (None, expected):
        raise ArchitectureError(
            f"activation_sparsity_pattern is {sparse!r:.60}: llama.cpp's Gemma 3n keeps a "
            f"twentieth in the first {_N_SPARSE} layers and everything behind them."
        )
    slides = sliding_layers(settings, shape.n_layer, 5)
    if slides != [bool((layer + 1) % 5) for layer in range(shape.n_layer)]:
        raise ArchitectureError("layer_types is not one full layer in five, as llama.cpp has it.")
    return {
        "attention.sliding_window": settings.integer("sliding_window"),
        "attention.sliding_window_pattern": slides,
        "attention.shared_kv_layers": _n_shared(settings, shape),
        "embedding_length_per_layer_input": _PER_LAYER,
        "altup.active_idx": 0,
        "altup.num_inputs": _N_STREAMS,
    }


def _rope(settings: Settings, shape: Shape, rope: Rope) -> Rope:  # noqa: ARG001  (a hook)
    if rope.scaling.get("rope_type", "default") != "default":
        raise ArchitectureError("Rope is scaled, which llama.cpp's Gemma 3n does not do.")
    local = rope_parameters(settings, SLIDING).get("rope_theta")
    base = settings.number("rope_local_base_freq", default=float(local or 10000.0))
    return replace(rope, hparams=rope.hparams | {"rope.freq_base_swa": base})


def _attention(reader: LayerReader, layer: int) -> list[Tensor]:
    source, name, s = f"model.layers.{layer}.self_attn", f"blk.{layer}", reader.shape
    rows, kv_rows = s.n_head * s.head_dim, s.n_head_kv * s.head_dim
    shared = layer >= s.n_layer - _n_shared(reader.settings, s)
    found = reader.linear(f"{source}.q_proj", f"{name}.attn_q", (rows, s.n_embd))
    shapes: dict[str, tuple[int, ...]] = {
        "k_proj": (kv_rows, s.n_embd),
        "v_proj": (kv_rows, s.n_embd),
        "k_norm": (s.head_dim,),
    }
    ours = {"k_proj": "attn_k", "v_proj": "attn_v", "k_norm": "attn_k_norm"}
    for theirs, shape in shapes.items():
        whole = f"{source}.{theirs}.weight"
        if shared:  # never read, but llama.cpp wants them
            tensor = reader.taker.take_if_there(whole, shape) or zeros(whole, shape)
        else:
            tensor = reader.taker.take(whole, shape)
        found.append(tensor.rename(f"{name}.{ours[theirs]}.weight"))
    found += reader.norm(f"{source}.q_norm", f"{name}.attn_q_norm", s.head_dim)
    return [*found, *reader.linear(f"{source}.o_proj", f"{name}.attn_output", (s.n_embd, rows))]


def _feed_forward(reader: LayerReader, layer: int) -> list[Tensor]:
    source, name, s = f"model.layers.{layer}", f"blk.{layer}", reader.shape
    altup, laurel, n = f"{source}.altup", f"{source}.laurel", _N_STREAMS
    linear, norm = reader.linear, reader.norm
    scale = reader.taker.take(f"{altup}.correct_output_scale", (s.n_embd,))
    if not reader.settings.flag("altup_correct_scale", default=True):
        scale = constant(scale.name, (s.n_embd,), 1.0, "altup_correct_scale")
    return [
        *reader.mlp(f"{source}.mlp", name),
        *linear(f"{source}.per_layer_input_gate", f"{name}.inp_gate", (_PER_LAYER, s.n_embd)),
        *linear(f"{source}.per_layer_projection", f"{name}.proj", (s.n_embd, _PER_LAYER)),
        *norm(f"{source}.post_per_layer_input_norm", f"{name}.post_norm", s.n_embd),
        scale.rename(f"{name}.altup_correct_scale.weight"),
        *linear(f"{altup}.correction_coefs", f"{name}.altup_correct_coef", (n, n)),
        *linear(f"{altup}.prediction_coefs", f"{name}.altup_predict_coef", (n * n, n)),
        *linear(f"{altup}.modality_router", f"{name}.altup_router", (n, s.n_embd)),
        *norm(f"{altup}.router_norm", f"{name}.altup_router_norm", s.n_embd),
        *linear(f"{laurel}.linear_left", f"{name}.laurel_l", (_RANK, s.n_embd)),
        *linear(f"{laurel}.linear_right", f"{name}.laurel_r", (s.n_embd, _RANK)),
        *norm(f"{laurel}.post_laurel_norm", f"{name}.laurel_post_norm", s.n_embd),
    ]


def _shared(reader: LayerReader) -> list[Tensor]:
    """The embeddings of every layer, and what makes the streams and one of them again."""
    s, taker = reader.shape, reader.taker
    width, name = s.n_layer * _PER_LAYER, "model.embed_tokens_per_layer.weight"
    n_rows = taker.shape(name)[0]
    table = taker.take(name, (n_rows, width))
    if n_rows != s.n_vocab:  # pictures and sound have no rows: transformers takes the first
        table = gather(table, [row if row < n_rows else 0 for row in range(s.n_vocab)])
    found = [table.rename("per_layer_token_embd.weight")]
    for theirs, ours in (("projections", "proj"), ("unembed_projections", "unembd_proj")):
        names = [f"model.altup_{theirs}.{i}.weight" for i in range(_N_STREAMS - 1)]
        parts = [taker.take(each, (s.n_embd, s.n_embd)) for each in names]
        found.append(stack(f"altup_{ours}.weight", parts))
    project = "model.per_layer_model_projection"
    found += reader.linear(project, "per_layer_model_proj", (width, s.n_embd))
    norm = "model.per_layer_projection_norm"
    return found + reader.norm(norm, "per_layer_proj_norm", _PER_LAYER)


DECODER = Decoder(
    arch="gemma3n",
    title="a Gemma 3n",
    model_types=("gemma3n_text", "gemma3n"),
    norms=NORMS,
    activations=("gelu_pytorch_tanh", "gelu_new"),
    mixer=_attention,
    feed_forward=_feed_forward,
    shared=_shared,
    default_theta=1000000.0,
    switches=("final_logit_softcapping",),
    own_keys=_own_keys,
    rope_of=FULL,
    rope=_rope,
)


def read(checkpoint: Checkpoint) -> Model:
    """The model in `checkpoint`. Raises `ArchitectureError`."""
    text, seen = text_part(checkpoint, DECODER.model_types[0])
    widths: Any = text.config.get("intermediate_size")
    if isinstance(widths, list) and widths:
        if any(width != widths[0] for width in widths):
            raise ArchitectureError(
                "intermediate_size differs from layer to layer (a slice of a MatFormer): in "
                "llama.cpp's Gemma 3n all layers are alike."
            )
        text = replace(text, config={**text.config, "intermediate_size": widths[0]})
    model = read_decoder(text, DECODER)
    return replace(model, ignored=(*model.ignored, *seen))


FAMILY = Family(
    "gemma3n", "Gemma 3n (text)", lambda checkpoint: is_decoder(checkpoint, DECODER), read
)
