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
from convert.architectures.llama_facts import (
    from_hand_written,
    from_llama2_c,
    from_meta,
    from_torchtune,
)
from convert.architectures.taking import by_new_name
from convert.checkpoints.checkpoint import Checkpoint
from convert.checkpoints.tensor import Tensor

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
            meta = spelling is _META_SPELLING
            return _LLAMA2_C if meta and _is_llama2_c(checkpoint) else spelling
    described = checkpoint.config.get("model_type") or checkpoint.config.get("architectures")
    if not described and any(sign in names for sign in _HF_SIGNS):
        return _HF_LIKE_PAIRS if checkpoint.config.get("rope_interleave") is True else _HF_LIKE
    return None


def _is_llama2_c(checkpoint: Checkpoint) -> bool:
    """Its model_args are Meta's, with dropout and without norm_eps; it saves iter_num too."""
    config = checkpoint.config
    if checkpoint.format == "meta" or "dim" not in config:
        return False
    trained = "dropout" in config or "iter_num" in checkpoint.facts
    return trained or ("max_seq_len" in config and "norm_eps" not in config)


def rename(checkpoint: Checkpoint, spelling: Spelling) -> Checkpoint:
    """The same weights under Hugging Face's names, with a configuration to match."""
    if spelling is _LITGPT:
        return litgpt.as_llama(checkpoint)
    tensors: list[tuple[str, Tensor]] = []
    for name, tensor in checkpoint.tensors.items():
        found = re.fullmatch(r"layers\.(\d{1,8})\.(.+)", name)
        ours = spelling.names.get(name)
        if found:
            stem, _, ending = found[2].rpartition(".")
            layer_names = spelling.layer_names
            whole = layer_names.get(found[2]) or (
                f"{layer_names[stem]}.{ending}" if stem in layer_names else None
            )
            ours = f"model.layers.{found[1]}.{whole}" if whole else None
        tensors.append((ours or name, tensor))
    config = {**spelling.config(checkpoint), "model_type": "llama"}
    return replace(checkpoint, tensors=by_new_name(tensors), config=config)


_META_SPELLING = Spelling(
    layout="meta",
    evidence="Tensor names are Meta's (layers.N.attention.wq): a Llama with rows in pairs.",
    sign="layers.0.attention.wq.weight",
    names=_META,
    layer_names=_META_LAYER,
    pairs=True,
    config=from_meta,
)
_LLAMA2_C = replace(
    _META_SPELLING,
    layout="llama2.c",
    evidence="Tensor names and model_args are llama2.c's: a Llama with rows in pairs.",
    config=from_llama2_c,
)
_TORCHTUNE = Spelling(
    layout="torchtune",
    evidence="Tensor names are torchtune's (layers.N.attn.q_proj): a Llama with rows in pairs.",
    sign="layers.0.attn.q_proj.weight",
    names=_TUNE,
    layer_names=_TUNE_LAYER,
    pairs=True,
    config=from_torchtune,
    notes=(
        "Taken for a Llama or a Mistral: torchtune gives its Qwen, Phi and Gemma the same names.",
    ),
)
_HF_SIGNS = ("layers.0.self_attn.q_proj.weight", "model.layers.0.self_attn.q_proj.weight")
_HF_LIKE = Spelling(
    layout="llama-names",
    evidence="Tensor names are those of transformers' Llama, without a config.json: rows of Q and "
    "K in halves, as there.",
    sign="",
    names={},
    layer_names={},
    pairs=False,
    config=from_hand_written,
)
_HF_LIKE_PAIRS = replace(
    _HF_LIKE,
    evidence="Tensor names are those of transformers' Llama; rope_interleave says that rows of Q "
    "and K are in pairs.",
    pairs=True,
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
