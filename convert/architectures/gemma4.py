"""Gemma 4, the language model: wider heads in full layers, embeddings for every layer, experts.

Full layers have heads of their own width and rope on a part of them, the last layers may take keys
and values from earlier ones, and values may be the keys. Vision and hearing are left out.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from convert.architectures.decoder import Decoder, Shape, is_decoder, read_decoder
from convert.architectures.decoder_layers import LayerReader, count_experts
from convert.architectures.family import Family
from convert.architectures.gemma2 import NORMS
from convert.architectures.layer_types import FULL, SLIDING, sliding_layers
from convert.architectures.model import HParam, Model
from convert.architectures.rope import Rope
from convert.architectures.settings import Settings
from convert.architectures.text_part import text_part
from convert.checkpoints.checkpoint import Checkpoint
from convert.checkpoints.operations import computed
from convert.checkpoints.tensor import Tensor
from convert.errors import ArchitectureError

_NEVER = 1e30  # what llama.cpp divides a frequency by that does not turn
_EXPERT_NORMS = {
    "post_feedforward_layernorm_1": "post_ffw_norm_1",
    "post_feedforward_layernorm_2": "post_ffw_norm_2",
    "pre_feedforward_layernorm_2": "pre_ffw_norm_2",
}


@dataclass(frozen=True)
class _Layers:
    """How layers differ."""

    slides: list[bool]
    width: int
    """Of heads in layers that slide."""
    n_head_kv: int
    full_width: int
    full_n_head_kv: int
    n_shared: int
    """Last layers that take keys and values from earlier ones."""
    keys_are_values: bool
    """In full layers."""

    @property
    def n_own(self) -> int:
        """Layers with keys and values of their own."""
        return len(self.slides) - self.n_shared

    def heads(self, layer: int) -> tuple[int, int]:
        """Width of a head, and number of key-value heads."""
        if self.slides[layer]:
            return self.width, self.n_head_kv
        return self.full_width, self.full_n_head_kv


def _layers(settings: Settings, shape: Shape) -> _Layers:
    slides = sliding_layers(settings, shape.n_layer, 6)
    slides[-1] = False  # transformers has the last layer full, whatever is said
    if not any(slides):
        raise ArchitectureError("No layer slides in layer_types: llama.cpp's Gemma 4 has some.")
    keys_are_values = settings.flag("attention_k_eq_v", default=False)
    own = settings.raw("per_layer_config")
    if isinstance(own, dict):
        full = _of_full_layers(own, slides)
    else:
        n_head_kv = settings.raw("num_global_key_value_heads") if keys_are_values else None
        full = {
            "head_dim": settings.raw("global_head_dim") or 512,
            "num_key_value_heads": n_head_kv,
        }
    width, n_head_kv = (
        _whole(key, full.get(key) or default)
        for key, default in (("head_dim", shape.head_dim), ("num_key_value_heads", shape.n_head_kv))
    )
    if shape.n_head % n_head_kv or width % 2:
        raise ArchitectureError(
            f"Full layers have {shape.n_head} heads of {width} over {n_head_kv}, which do not "
            "divide, or are odd."
        )
    n_shared = settings.raw("num_kv_shared_layers") or 0
    first = shape.n_layer - n_shared if type(n_shared) is int else -1
    if not 0 <= first <= shape.n_layer or (
        n_shared and (first < 2 or slides[first - 1] or not slides[first - 2])
    ):
        raise ArchitectureError(
            f"num_kv_shared_layers is {n_shared!r:.40}: llama.cpp shares those of a sliding layer "
            "with a full one behind it."
        )
    return _Layers(
        slides, shape.head_dim, shape.n_head_kv, width, n_head_kv, n_shared, keys_are_values
    )


def _of_full_layers(own: dict[str, Any], slides: list[bool]) -> dict[str, Any]:
    """What `per_layer_config` says of all full layers; nothing is said of others."""
    found = [own.get(str(layer), {}) for layer, slide in enumerate(slides) if not slide]
    others = [own[str(layer)] for layer, slide in enumerate(slides) if slide and str(layer) in own]
    known = {"head_dim", "num_key_value_heads"}
    same = all(isinstance(each, dict) and each == found[0] for each in found)
    if not same or any(others) or not set(found[0]) <= known:
        raise ArchitectureError(
            "per_layer_config says what llama.cpp's Gemma 4 has not: there full layers are alike, "
            "and differ from the others by their heads."
        )
    return dict(found[0])


def _whole(name: str, value: object) -> int:
    if type(value) is not int or not 0 < value < 1 << 20:
        raise ArchitectureError(f"{name} of full layers is {value!r:.40}, not a number > 0.")
    return value


def _own_keys(settings: Settings, shape: Shape) -> dict[str, HParam]:
    bidirectional = (None, False, "vision")  # pictures look ahead, text does not
    if settings.raw("use_bidirectional_attention") not in bidirectional:
        raise ArchitectureError("use_bidirectional_attention: llama.cpp's Gemma 4 looks back only.")
    layers = _layers(settings, shape)
    found: dict[str, HParam] = {
        "attention.sliding_window": settings.integer("sliding_window"),
        "attention.sliding_window_pattern": layers.slides,
        "attention.shared_kv_layers": layers.n_shared,
        "attention.key_length": layers.full_width,
        "attention.value_length": layers.full_width,
        "attention.key_length_swa": layers.width,
        "attention.value_length_swa": layers.width,
        "attention.head_count_kv": [layers.heads(i)[1] for i in range(shape.n_layer)],
        "feed_forward_length": _widths(settings, shape, layers),
        "rope.dimension_count_swa": layers.width,
        "embedding_length_per_layer_input": _per_layer(settings),
    }
    # llama.cpp caps at 30 where the key is missing
    found["final_logit_softcapping"] = settings.number("final_logit_softcapping", default=0.0)
    if settings.flag("enable_moe_block", default=False):
        found["expert_count"] = count_experts(settings)
        found["expert_used_count"] = settings.integer("top_k_experts")
        found["expert_feed_forward_length"] = settings.integer("moe_intermediate_size")
    return found


def _widths(settings: Settings, shape: Shape, layers: _Layers) -> list[int]:
    """Of every layer's MLP."""
    double = settings.flag("use_double_wide_mlp", default=False)
    return [shape.n_ff * (1 + (double and i >= layers.n_own)) for i in range(shape.n_layer)]


def _per_layer(settings: Settings) -> int:
    """Width of the embeddings of every layer; 0 where there are none."""
    value = settings.raw("hidden_size_per_layer_input")
    return settings.integer("hidden_size_per_layer_input", default=256) if value != 0 else 0


def _rope(settings: Settings, shape: Shape, rope: Rope) -> Rope:
    """Full layers turn a part of each head, sliding layers all of it."""
    both = settings.raw("rope_parameters")
    local = both.get(SLIDING, {}) if isinstance(both, dict) else {}
    sane = isinstance(local, dict) and local.get("rope_type", "default") == "default"
    base = local.get("rope_theta", 10000.0) if sane else None
    if isinstance(base, bool) or not isinstance(base, int | float):
        raise ArchitectureError(f"The rope of sliding layers is {local!r:.100}, not the plain one.")
    if rope.scaling.get("rope_type", "default") not in ("default", "proportional"):
        kind = rope.scaling["rope_type"]
        raise ArchitectureError(f"Rope scaling of type {kind!r:.40} is not in a Gemma 4.")
    width = _layers(settings, shape).full_width
    factor, share = (rope.scaling.get(key, 1.0) for key in ("factor", "partial_rotary_factor"))
    for value in (factor, share):
        if type(value) not in (int, float) or not 0 < value < 1e6:
            raise ArchitectureError(f"The rope of full layers is {rope.scaling!r:.100}.")
    n_turned = min(width // 2, int(share * width // 2))
    factors = np.full(width // 2, _NEVER, np.float32)
    factors[:n_turned] = factor
    tensor = computed("rope_freqs.weight", factors, "rope_parameters")
    hparams = rope.hparams | {"rope.freq_base_swa": float(base)}
    return replace(rope, hparams=hparams, tensors=(tensor,))


def _attention(reader: LayerReader, layer: int) -> list[Tensor]:
    source, name, s = f"model.layers.{layer}.self_attn", f"blk.{layer}", reader.shape
    layers = _layers(reader.settings, s)
    width, n_head_kv = layers.heads(layer)
    rows, kv = s.n_head * width, (n_head_kv * width, s.n_embd)
    found = reader.linear(f"{source}.q_proj", f"{name}.attn_q", (rows, s.n_embd))
    found += reader.norm(f"{source}.q_norm", f"{name}.attn_q_norm", width)
    found += reader.linear(f"{source}.o_proj", f"{name}.attn_output", (s.n_embd, rows))
    if layer >= layers.n_own:
        unused = "not used: the layer takes keys and values from an earlier one"
        stem = re.escape(source)
        reader.taker.ignore(rf"{stem}\.(k_proj|v_proj|k_norm)\.weight", unused)
        return found
    found += reader.linear(f"{source}.k_proj", f"{name}.attn_k", kv)
    found += reader.norm(f"{source}.k_norm", f"{name}.attn_k_norm", width)
    if layers.slides[layer] or not layers.keys_are_values:
        found += reader.linear(f"{source}.v_proj", f"{name}.attn_v", kv)
    return found


def _feed_forward(reader: LayerReader, layer: int) -> list[Tensor]:
    source, name, s, taker = f"model.layers.{layer}", f"blk.{layer}", reader.shape, reader.taker
    layers = _layers(reader.settings, s)
    n_ff = _widths(reader.settings, s, layers)[layer]
    found = reader.mlp(f"{source}.mlp", name, n_ff)
    if reader.settings.flag("enable_moe_block", default=False):
        found += _experts(reader, source, name)
    n = _per_layer(reader.settings)
    if n:
        found += reader.linear(f"{source}.per_layer_input_gate", f"{name}.inp_gate", (n, s.n_embd))
        found += reader.linear(f"{source}.per_layer_projection", f"{name}.proj", (s.n_embd, n))
        found += reader.norm(f"{source}.post_per_layer_input_norm", f"{name}.post_norm", s.n_embd)
    scale = taker.take(f"{source}.layer_scalar", (1,))
    return [*found, scale.rename(f"{name}.layer_output_scale.weight")]


def _experts(reader: LayerReader, source: str, name: str) -> list[Tensor]:
    taker, n, n_embd = reader.taker, count_experts(reader.settings), reader.shape.n_embd
    n_ff = reader.settings.integer("moe_intermediate_size")
    router, experts = f"{source}.router", f"{source}.experts"
    taken = {
        "ffn_gate_inp.weight": taker.take(f"{router}.proj.weight", (n, n_embd)),
        "ffn_gate_inp.scale": taker.take(f"{router}.scale", (n_embd,)),
        "ffn_gate_up_exps.weight": taker.take(f"{experts}.gate_up_proj", (n, 2 * n_ff, n_embd)),
        "ffn_down_exps.weight": taker.take(f"{experts}.down_proj", (n, n_embd, n_ff)),
        "ffn_down_exps.scale": taker.take(f"{router}.per_expert_scale", (n,)),
    }
    found = [tensor.rename(f"{name}.{ours}") for ours, tensor in taken.items()]
    for theirs, ours in _EXPERT_NORMS.items():
        found += reader.norm(f"{source}.{theirs}", f"{name}.{ours}", n_embd)
    return found


def _shared(reader: LayerReader) -> list[Tensor]:
    """What makes the embeddings of every layer."""
    s, n = reader.shape, _per_layer(reader.settings)
    if not n:
        return []
    table = reader.taker.take("model.embed_tokens_per_layer.weight", (s.n_vocab, s.n_layer * n))
    return [
        table.rename("per_layer_token_embd.weight"),
        *reader.linear(
            "model.per_layer_model_projection", "per_layer_model_proj", (s.n_layer * n, s.n_embd)
        ),
        *reader.norm("model.per_layer_projection_norm", "per_layer_proj_norm", n),
    ]


DECODER = Decoder(
    arch="gemma4",
    title="a Gemma 4",
    model_types=("gemma4_text", "gemma4"),
    norms=NORMS,
    activations=("gelu_pytorch_tanh", "gelu_new"),
    mixer=_attention,
    feed_forward=_feed_forward,
    uneven=True,
    shared=_shared,
    default_theta=1000000.0,
    n_rot=lambda settings, shape: _layers(settings, shape).full_width,
    switches=("final_logit_softcapping", "use_bidirectional_attention"),
    own_keys=_own_keys,
    rope_of=FULL,
    rope=_rope,
)


def read(checkpoint: Checkpoint) -> Model:
    """The model in `checkpoint`. Raises `ArchitectureError`."""
    text, seen = text_part(checkpoint, DECODER.model_types[0])
    if not Settings(text).has("rope_parameters"):
        full = {"rope_type": "proportional", "partial_rotary_factor": 0.25, "rope_theta": 1e6}
        text = replace(text, config={**text.config, "rope_parameters": {FULL: full}})
    model = read_decoder(text, DECODER)
    return replace(model, ignored=(*model.ignored, *seen))


FAMILY = Family(
    "gemma4", "Gemma 4 (text)", lambda checkpoint: is_decoder(checkpoint, DECODER), read
)
