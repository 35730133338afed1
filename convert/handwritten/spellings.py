"""Whose code wrote a hand-written model: what that code does, which the checkpoint does not say.

It is where measuring begins, and what is taken where nothing can be measured; it is shown as
evidence, for anybody may have changed the code.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from convert.checkpoints.checkpoint import Checkpoint
from convert.handwritten.roles import Roles


@dataclass(frozen=True)
class Spelling:
    """One author's way."""

    layout: str
    evidence: str
    signs: tuple[str, ...] = ()
    """Tensors that together only this spelling has."""
    fixed: Mapping[str, Any] = field(default_factory=dict)
    """What the published code does, by switch."""
    asks: tuple[str, ...] = ()
    """Switches that the names leave open: no value of theirs is likelier than the others."""
    plain_norms: bool = False
    """Norms without a bias are LayerNorm all the same."""
    show_roles: bool = True
    published: bool = False
    """The code is nobody's own: what is not clearly otherwise is as there, and is not asked."""
    eps: float | None = None


_LLAMA_PAIRS = {
    "positions": "pairs", "norm": "rmsnorm", "activation": "silu", "gate": "first",
    "norms": "before", "scale": "head", "last_norm": "used", "embeddings": "plain",
    "blocks": "sequence", "passes": "once", "norm_weights": "plain", "qk_norm": "none",
}  # fmt: skip
_LLAMA_HALVES = _LLAMA_PAIRS | {"positions": "halves"}

SPELLINGS: tuple[Spelling, ...] = (
    Spelling(
        "nanogpt",
        "Tensor names are nanoGPT's (transformer.h.N.attn.c_attn): a GPT-2 with Linear layers.",
        ("transformer.wte.weight", "transformer.h.0.attn.c_attn.weight"),
        {"activation": "gelu", "norm": "layernorm", "norms": "before"},
        plain_norms=True,
        show_roles=False,
    ),
    Spelling(
        "mingpt",
        "Tensor names are those of the first minGPT (tok_emb, blocks.N.attn.key).",
        ("tok_emb.weight", "pos_emb", "blocks.0.attn.key.weight"),
        {"activation": "gelu"},
    ),
    Spelling(
        "lecture",
        "Tensor names are those of Karpathy's lecture (token_embedding_table, sa.heads); its code "
        "has ReLU.",
        ("token_embedding_table.weight", "blocks.0.ffwd.net.0.weight"),
        {"activation": "relu"},
    ),
    Spelling(
        "raschka",
        "Tensor names are those of Raschka's book (trf_blocks, W_query); its code has GELU by "
        "tanh.",
        ("trf_blocks.0.att.W_query.weight", "trf_blocks.0.norm1.scale", "pos_emb.weight"),
        {"activation": "gelu_new"},
    ),
    Spelling(
        "raschka-llama",
        "Tensor names are those of Raschka's Llama and Qwen3 (trf_blocks, fc1 to fc3); their code "
        "rotates halves.",
        ("trf_blocks.0.att.W_query.weight", "trf_blocks.0.ff.fc3.weight"),
        {"positions": "halves", "norm": "rmsnorm", "activation": "silu"},
    ),
    Spelling(
        "cs336",
        "Tensor names are those of Stanford's CS336 (token_embeddings, ffn.w1 to w3); its code "
        "rotates neighbouring pairs.",
        ("token_embeddings.weight", "layers.0.attn.q_proj.weight", "layers.0.ffn.w3.weight"),
        {"positions": "pairs", "norm": "rmsnorm", "activation": "silu"},
    ),
    Spelling(
        "meta-names",
        "Tensor names are Meta's (layers.N.attention.wq).",
        ("tok_embeddings.weight", "layers.0.attention.wq.weight"),
        _LLAMA_PAIRS,
        published=True,
    ),
    Spelling(
        "torchtune-names",
        "Tensor names are torchtune's (layers.N.attn.q_proj).",
        ("tok_embeddings.weight", "layers.0.attn.q_proj.weight"),
        _LLAMA_PAIRS,
        published=True,
    ),
    Spelling(
        "litgpt-names",
        "Tensor names are litgpt's (transformer.h.N.attn.qkv), its MLP a Llama's.",
        ("transformer.wte.weight", "transformer.h.0.attn.qkv.weight"),
        _LLAMA_HALVES | {"order": "qkv"},
        published=True,
    ),
    Spelling(
        "litgpt-names",
        "Tensor names are litgpt's (transformer.h.N.attn.attn), its MLP a Llama's.",
        ("transformer.wte.weight", "transformer.h.0.attn.attn.weight"),
        _LLAMA_HALVES | {"order": "qkv-heads"},
        published=True,
    ),
    *(
        Spelling(
            "transformers-names",
            "Tensor names are those of transformers' Llama, without a config.json.",
            (f"{root}layers.0.self_attn.q_proj.weight", f"{root}embed_tokens.weight"),
            _LLAMA_HALVES,
            published=True,
        )
        for root in ("model.", "")
    ),
)
_CONV = Spelling(
    "gpt2-names",
    "Tensor names and their shapes [in, out] are those of GPT-2 in transformers, without a "
    "config.json.",
    fixed={"activation": "gelu_new", "norm": "layernorm", "norms": "before"},
    plain_norms=True,
    show_roles=False,
)
_ENCODER = Spelling(
    "pytorch-encoder",
    "Layers are nn.TransformerEncoderLayer's (self_attn.in_proj_weight, linear1).",
    asks=("norms",),
)
_OTHER = Spelling(
    "hand-written",
    "A GPT by the roles its tensors play; nobody's names that we know.",
)
_LLAMA = Spelling(
    "hand-written",
    "A Llama by the roles its tensors play (rotary positions, an MLP with a gate); nobody's names "
    "that we know.",
)
LAYOUTS = (
    *dict.fromkeys(spelling.layout for spelling in SPELLINGS),
    "gpt2-names",
    "pytorch-encoder",
    "hand-written",
)


def find_spelling(checkpoint: Checkpoint, roles: Roles) -> Spelling:
    """Whose code wrote `checkpoint`."""
    names = checkpoint.tensors
    if roles.conv and any(re.search(r"(^|\.)h\.0\.attn\.c_attn\.weight$", n) for n in names):
        return _CONV
    for spelling in SPELLINGS:
        if all(sign in names for sign in spelling.signs):
            return spelling
    if any(name.endswith("self_attn.in_proj_weight") for name in names):
        return _ENCODER
    return _LLAMA if roles.positions is None and roles.layers[0].mlp.gated else _OTHER
