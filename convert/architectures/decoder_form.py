"""What a family of decoders says of itself: its dimensions, and how it differs from Llama."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from convert.architectures.model import HParam
from convert.architectures.rope import Rope
from convert.architectures.settings import Settings

_LLAMA_NORMS = {"input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm"}


@dataclass(frozen=True)
class Shape:
    """The numbers every decoder has."""

    n_vocab: int
    n_ctx: int
    n_layer: int
    n_embd: int
    n_ff: int
    n_head: int
    n_head_kv: int
    head_dim: int


Extra = Callable[[Settings, Shape], dict[str, HParam]]


@dataclass(frozen=True)
class Decoder:
    """How a family differs from Llama."""

    arch: str
    """llama.cpp's name."""
    title: str
    """For errors: "a Llama"."""
    model_types: tuple[str, ...]
    """Of config.json."""
    pairs: bool = False
    """llama.cpp rotates neighbouring pairs: rows of Q and K are reordered."""
    norms: dict[str, str] = field(default_factory=lambda: dict(_LLAMA_NORMS))
    """Norms of a layer: Hugging Face's name to llama.cpp's."""
    norm_shift: float = 0.0
    """Added to every norm: Gemma keeps its norms less one."""
    qk_norm: str = ""
    """"head": a norm over each head; "width": over all of them; "": none."""
    activations: tuple[str, ...] = ("silu", "swish")
    fused: bool = False
    """qkv_proj and gate_up_proj, as Phi-3 has them."""
    experts: str = ""
    """Where a layer's experts are: "block_sparse_moe" (Mixtral) or "mlp" (Qwen3)."""
    biases: tuple[str, ...] = ()
    """Projections that may have one: q k v o gate up down."""
    output_required: bool = False
    """llama.cpp wants output.weight even where it is tied."""
    default_theta: float | None = None
    """Base of rope in transformers where config.json names none, as the first Llamas' do; None: it
    is asked for."""
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
    rope: Callable[[Settings, Shape, Rope], Rope] | None = None
    """Rope beyond what `read_rope` reads."""
