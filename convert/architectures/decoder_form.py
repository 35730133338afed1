"""What a family of decoders says of itself: its dimensions, and how it differs from Llama."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from convert.architectures.model import HParam
from convert.architectures.rope import Rope
from convert.architectures.settings import Settings
from convert.checkpoints.tensor import Tensor

if TYPE_CHECKING:
    from convert.architectures.decoder_layers import LayerReader

_LLAMA_NORMS = {"input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm"}


@dataclass(frozen=True)
class Shape:
    """The sizes that every decoder has: width, layers, heads, vocabulary."""

    n_vocab: int
    n_ctx: int
    n_layer: int
    n_embd: int
    n_ff: int
    n_head: int
    n_head_kv: int
    head_dim: int


Extra = Callable[[Settings, Shape], dict[str, HParam]]
Part = Callable[["LayerReader", int], list[Tensor] | None]


@dataclass(frozen=True)
class Decoder:
    """How a family differs from Llama."""

    arch: str
    """llama.cpp's name."""
    title: str
    """For errors: "a Llama"."""
    model_types: tuple[str, ...]
    """Of config.json."""
    names: dict[str, str] = field(default_factory=dict)
    """Parts of tensor names, Llama's to this family's: {"o_proj": "dense"}."""
    pairs: bool = False
    """llama.cpp rotates neighbouring pairs: rows of Q and K are reordered."""
    norms: dict[str, str] = field(default_factory=lambda: dict(_LLAMA_NORMS))
    """Norms of a layer: Hugging Face's name to llama.cpp's."""
    output_norm: str = "output_norm"
    """llama.cpp's name for the last norm."""
    norm: str = "rms"
    """"rms": RMSNorm; "layer": LayerNorm with a bias; "layer-unbiased": without."""
    epsilon: tuple[str, ...] = ("rms_norm_eps",)
    """What config.json calls the norms' epsilon."""
    norm_shift: float = 0.0
    """Added to every norm: Gemma keeps its norms less one."""
    qk_norm: str = ""
    """"head": a norm over each head; "width": over all of them; "heads": over each, with weights
    of its own; "": none."""
    square: bool = False
    """llama.cpp has heads that are as wide together as the model."""
    activations: tuple[str, ...] = ("silu", "swish")
    fused: bool = False
    """Q, K and V are one qkv_proj, as Phi-3 has them."""
    query_gate: bool = False
    """Behind every head's query q_proj has a gate of the head's output, as wide."""
    mlp: str = "gated"
    """"gated": gate_proj and up_proj; "fused": one gate_up_proj; "plain": up_proj and no gate."""
    experts: str = ""
    """Where a layer's experts are: "block_sparse_moe" (Mixtral) or "mlp" (Qwen3)."""
    shared_expert: bool = False
    """One expert more is always on, behind a gate of its own."""
    mixer: Part | None = None
    """What a layer has instead of this attention; None from it: the layer has this attention."""
    feed_forward: Part | None = None
    """What a layer has instead of this MLP; None from it: the layer has this MLP."""
    uneven: bool = False
    """Heads of layers differ, which `mixer` checks."""
    shared: Callable[[LayerReader], list[Tensor]] | None = None
    """Tensors of no layer, beside embedding, last norm and head."""
    layer_types: tuple[str, ...] = ("full_attention", "sliding_attention")
    """What `layer_types` may say."""
    biases: tuple[str, ...] = ()
    """Projections that may have one: q k v o gate up down."""
    bias_switch: str = "attention_bias"
    """The key of config.json that gives attention its biases: where it is true they are there."""
    always_biased: bool = False
    """The `biases` are there whatever config.json says."""
    output_required: bool = False
    """llama.cpp wants output.weight even where it is tied."""
    tied: bool = False
    """llama.cpp computes logits with the embedding, and with nothing else."""
    output_biased: bool = False
    """lm_head has a bias."""
    default_theta: float | None = None
    """Base of rope in transformers where config.json names none, as the first Llamas' do; None: it
    is asked for."""
    rotary_share: float | None = None
    """Share of a head that rope rotates where config.json names none; None: never a part."""
    n_rot: Callable[[Settings, Shape], int] | None = None
    """How many dimensions of a head rope rotates, where it is no share of `head_dim`."""
    default_window: int | None = None
    """Sliding window in transformers where config.json has no such key."""
    window_switch: bool = False
    """The window slides only where use_sliding_window says so."""
    switches: tuple[str, ...] = ()
    """Of those in `switches.py`: what `own_keys` or `q_scale` reads."""
    own_keys: Extra | None = None
    """Keys that only this family has; raises what it cannot express."""
    q_scale: Callable[[Settings, Shape], float] | None = None
    """What Q is multiplied with, where llama.cpp's own scale is another."""
    rope_of: str | None = None
    """The kind of layers whose rope is the file's, where `rope_parameters` has one for each."""
    rope: Callable[[Settings, Shape, Rope], Rope] | None = None
    """Rope beyond what `read_rope` reads."""
