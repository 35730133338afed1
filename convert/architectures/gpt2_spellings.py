"""Whose code wrote a GPT-2: what their source fixes and their checkpoints do not say.

Only what an author's published code always does is filled in, and it is shown as evidence; what
another author may have changed is asked for.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from convert.checkpoints.checkpoint import Checkpoint


@dataclass(frozen=True)
class Spelling:
    """One author's way."""

    layout: str
    evidence: str
    signs: frozenset[str]
    """Tensors that together only this spelling has."""
    activation: str | None
    """What the code always uses; None: it must be said."""
    plain_norms: bool = False
    """Norms without a bias are LayerNorm all the same."""
    show_roles: bool = True
    needs_norm_first: bool = False


_HF = Spelling(
    "hf",
    "config.json says 'gpt2', and the tensor names agree.",
    frozenset(),
    "gelu_new",
    plain_norms=True,
    show_roles=False,
)
SPELLINGS: tuple[Spelling, ...] = (
    Spelling(
        "nanogpt",
        "Tensor names are nanoGPT's (transformer.h.N.attn.c_attn): a GPT-2 with Linear layers.",
        frozenset({"transformer.wte.weight", "transformer.h.0.attn.c_attn.weight"}),
        "gelu",
        plain_norms=True,
        show_roles=False,
    ),
    Spelling(
        "mingpt",
        "Tensor names are those of the first minGPT (tok_emb, blocks.N.attn.key).",
        frozenset({"tok_emb.weight", "pos_emb", "blocks.0.attn.key.weight"}),
        "gelu",
    ),
    Spelling(
        "lecture",
        "Tensor names are those of Karpathy's lecture (token_embedding_table, sa.heads); its code "
        "has ReLU.",
        frozenset({"token_embedding_table.weight", "blocks.0.ffwd.net.0.weight"}),
        "relu",
    ),
    Spelling(
        "raschka",
        "Tensor names are those of Raschka's book (trf_blocks, W_query); its code has GELU by "
        "tanh.",
        frozenset({"trf_blocks.0.att.W_query.weight", "trf_blocks.0.norm1.scale"}),
        "gelu_new",
    ),
)
_ENCODER = Spelling(
    "pytorch-encoder",
    "Layers are nn.TransformerEncoderLayer's (self_attn.in_proj_weight, linear1).",
    frozenset(),
    None,
    needs_norm_first=True,
)
_OTHER = Spelling(
    "hand-written",
    "A GPT by the roles its tensors play; nobody's names that we know.",
    frozenset(),
    None,
)
LAYOUTS = ("hf", *(spelling.layout for spelling in SPELLINGS), "pytorch-encoder", "hand-written")


def find_spelling(checkpoint: Checkpoint) -> Spelling:
    """Whose code wrote `checkpoint`."""
    names: Iterable[str] = checkpoint.tensors
    if checkpoint.config.get("model_type") == "gpt2":
        return _HF
    for spelling in SPELLINGS:
        if spelling.signs <= checkpoint.tensors.keys():
            return spelling
    if any(name.endswith("self_attn.in_proj_weight") for name in names):
        return _ENCODER
    return _OTHER
