"""The spellings of Llama outside Hugging Face: whose names, whose numbers, and the order of rows.

llama2.c and Meta write `layers.N.attention.wq`, torchtune `layers.N.attn.q_proj`: all three rotate
neighbouring pairs. litgpt writes `transformer.h.N.attn.qkv` and rotates halves, as Hugging Face
does. A bare state dict says nothing of heads, base and epsilon: those come from the file's own
configuration or from the user.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from convert.architectures import litgpt
from convert.checkpoints.checkpoint import Checkpoint
from convert.checkpoints.tensor import Tensor
from convert.errors import ArchitectureError

_META = {
    "tok_embeddings.weight": "model.embed_tokens.weight",
    "norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
}
_META_LAYER = {
    "attention.wq": "self_attn.q_proj",
    "attention.wk": "self_attn.k_proj",
    "attention.wv": "self_attn.v_proj",
    "attention.wo": "self_attn.o_proj",
    "feed_forward.w1": "mlp.gate_proj",
    "feed_forward.w2": "mlp.down_proj",
    "feed_forward.w3": "mlp.up_proj",
    "attention_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
}
_TUNE = {
    "tok_embeddings.weight": "model.embed_tokens.weight",
    "norm.scale": "model.norm.weight",
    "output.weight": "lm_head.weight",
}
_TUNE_LAYER = {
    "attn.q_proj": "self_attn.q_proj",
    "attn.k_proj": "self_attn.k_proj",
    "attn.v_proj": "self_attn.v_proj",
    "attn.output_proj": "self_attn.o_proj",
    "mlp.w1": "mlp.gate_proj",
    "mlp.w2": "mlp.down_proj",
    "mlp.w3": "mlp.up_proj",
    "sa_norm.scale": "input_layernorm.weight",
    "mlp_norm.scale": "post_attention_layernorm.weight",
}


@dataclass(frozen=True)
class Spelling:
    """One way to write a Llama down."""

    layout: str
    evidence: str
    sign: str
    """A tensor that only this spelling has."""
    names: dict[str, str]
    layer_names: dict[str, str]
    pairs: bool
    """Rows of Q and K are in pairs already."""
    config: Callable[[Checkpoint], dict[str, Any]]
    """The configuration under Hugging Face's names."""
    notes: tuple[str, ...] = ()


def find(checkpoint: Checkpoint) -> Spelling | None:
    """The spelling whose tensors are there, or None."""
    names = checkpoint.tensors
    if litgpt.is_llama(checkpoint):
        return _LITGPT
    for spelling in (_META_SPELLING, _TORCHTUNE):
        if spelling.sign in names and "tok_embeddings.weight" in names:
            llama2_c = spelling is _META_SPELLING and "dim" in checkpoint.config
            if llama2_c and checkpoint.format != "meta":
                return _LLAMA2_C
            return spelling
    return None


def rename(checkpoint: Checkpoint, spelling: Spelling) -> Checkpoint:
    """The same weights under Hugging Face's names, with a configuration to match."""
    if spelling is _LITGPT:
        return litgpt.as_llama(checkpoint)
    tensors: dict[str, Tensor] = {}
    for name, tensor in checkpoint.tensors.items():
        if name in _COMPUTED:
            continue
        found = re.fullmatch(r"layers\.(\d{1,8})\.(.+)", name)
        ours = spelling.names.get(name)
        if found:
            stem, _, ending = found[2].rpartition(".")
            layer_names = spelling.layer_names
            whole = layer_names.get(found[2]) or (
                f"{layer_names[stem]}.{ending}" if stem in layer_names else None
            )
            ours = f"model.layers.{found[1]}.{whole}" if whole else None
        tensors[ours or name] = tensor
    config = {"model_type": "llama", **spelling.config(checkpoint)}
    return replace(checkpoint, tensors=tensors, config=config)


# Tables of rotations, computed again by llama.cpp.
_COMPUTED = frozenset({"freqs_cos", "freqs_sin", "rope.freqs"})


def _from_meta(checkpoint: Checkpoint) -> dict[str, Any]:
    """Meta's params.json (or llama2.c's model_args) under Hugging Face's names."""
    said = checkpoint.config
    gate = checkpoint.tensors.get("layers.0.feed_forward.w1.weight")
    config: dict[str, Any] = {
        "num_attention_heads": said.get("n_heads"),
        "num_key_value_heads": said.get("n_kv_heads"),
        "num_hidden_layers": said.get("n_layers"),
        "rms_norm_eps": said.get("norm_eps"),
        "rope_theta": said.get("rope_theta"),
        "max_position_embeddings": said.get("max_seq_len"),
        "intermediate_size": gate.shape[0] if gate and gate.shape else None,
    }
    if said.get("use_scaled_rope"):
        config["rope_parameters"] = _LLAMA3_SCALING | {"rope_theta": said.get("rope_theta")}
        config["max_position_embeddings"] = said.get("max_seq_len") or 131072
    return config | {key: value for key, value in said.items() if value is not None}


# Llama 3.1's, which its params.json only switches on (meta-llama/llama-models, apply_scaling).
_LLAMA3_SCALING = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
}


def _from_llama2_c(checkpoint: Checkpoint) -> dict[str, Any]:
    """llama2.c fixes base and epsilon in its model.py and does not save them."""
    config = _from_meta(checkpoint)
    if config.get("rope_theta") is None:
        config["rope_theta"] = 10000.0
    if config.get("rms_norm_eps") is None:
        config["rms_norm_eps"] = 1e-5
    return config


def _from_torchtune(checkpoint: Checkpoint) -> dict[str, Any]:
    """torchtune saves no configuration; config.json or params.json beside it may be there."""
    gate = checkpoint.tensors.get("layers.0.mlp.w1.weight")
    config = _from_meta(checkpoint)
    if gate is None:
        raise ArchitectureError("There is no layers.0.mlp.w1.weight: not one of torchtune's Llama.")
    return config | {"intermediate_size": gate.shape[0]}


_META_SPELLING = Spelling(
    layout="meta",
    evidence="Tensor names are Meta's (layers.N.attention.wq): a Llama with rows in pairs.",
    sign="layers.0.attention.wq.weight",
    names=_META,
    layer_names=_META_LAYER,
    pairs=True,
    config=_from_meta,
)
_LLAMA2_C = replace(
    _META_SPELLING,
    layout="llama2.c",
    evidence="Tensor names and model_args are llama2.c's: a Llama with rows in pairs.",
    config=_from_llama2_c,
)
_TORCHTUNE = Spelling(
    layout="torchtune",
    evidence="Tensor names are torchtune's (layers.N.attn.q_proj): a Llama with rows in pairs.",
    sign="layers.0.attn.q_proj.weight",
    names=_TUNE,
    layer_names=_TUNE_LAYER,
    pairs=True,
    config=_from_torchtune,
)
_LITGPT = Spelling(
    layout="litgpt",
    evidence="Tensor names are litgpt's (transformer.h.N.attn), its MLP a Llama's.",
    sign="",
    names={},
    layer_names={},
    pairs=False,
    config=lambda checkpoint: checkpoint.config,
)
LAYOUTS = ("llama2.c", "meta", "torchtune", "litgpt")
