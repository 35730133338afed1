"""What the reference Llama needs to know, from the checkpoint's own names and configuration.

Nothing is shared with the mapping: the same numbers are read here a second time, so that one
misread there disagrees. Only what the user had to give comes from the model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from convert.architectures.model import Model
from convert.checkpoints.checkpoint import Checkpoint
from convert.parity.references import Unavailable


@dataclass(frozen=True)
class Names:
    """One spelling: a layer's parts, and what is outside the layers."""

    layer: str
    parts: Mapping[str, str]
    tokens: str
    norm: str
    head: str
    norm_ending: str = "weight"
    halves: bool = False
    """Rope rotates the two halves of a head; else neighbouring pairs."""


META = Names(
    "layers.{}",
    {
        "q": "attention.wq", "k": "attention.wk", "v": "attention.wv", "o": "attention.wo",
        "gate": "feed_forward.w1", "down": "feed_forward.w2", "up": "feed_forward.w3",
        "norm_1": "attention_norm", "norm_2": "ffn_norm",
    },
    "tok_embeddings.weight", "norm.weight", "output.weight",
)  # fmt: skip
TUNE = Names(
    "layers.{}",
    {
        "q": "attn.q_proj", "k": "attn.k_proj", "v": "attn.v_proj", "o": "attn.output_proj",
        "gate": "mlp.w1", "down": "mlp.w2", "up": "mlp.w3",
        "norm_1": "sa_norm", "norm_2": "mlp_norm",
    },
    "tok_embeddings.weight", "norm.scale", "output.weight", norm_ending="scale",
)  # fmt: skip
LITGPT = Names(
    "transformer.h.{}",
    {
        "qkv": "attn.qkv", "groups": "attn.attn", "o": "attn.proj",
        "gate": "mlp.fc_1", "up": "mlp.fc_2", "down": "mlp.proj",
        "norm_1": "norm_1", "norm_2": "norm_2",
    },
    "transformer.wte.weight", "transformer.ln_f.weight", "lm_head.weight", halves=True,
)  # fmt: skip
_LIKE = {
    "q": "self_attn.q_proj", "k": "self_attn.k_proj", "v": "self_attn.v_proj",
    "o": "self_attn.o_proj",
    "gate": "mlp.gate_proj", "up": "mlp.up_proj", "down": "mlp.down_proj",
    "norm_1": "input_layernorm", "norm_2": "post_attention_layernorm",
}  # fmt: skip


def names_of(checkpoint: Checkpoint, layout: str) -> Names:
    """The spelling of `layout` ("meta", "llama-names", ...)."""
    if layout == "llama-names":
        root = "model." if "model.embed_tokens.weight" in checkpoint.tensors else ""
        halves = checkpoint.config.get("rope_interleave") is not True
        outside = (f"{root}embed_tokens.weight", f"{root}norm.weight", "lm_head.weight")
        return Names(f"{root}layers.{{}}", _LIKE, *outside, halves=halves)
    return {"torchtune": TUNE, "litgpt": LITGPT}.get(layout, META)


@dataclass(frozen=True)
class Facts:
    """What the shapes of a Llama's tensors cannot tell."""

    n_head: int
    n_kv: int
    epsilon: float
    base: float
    scaling: Mapping[str, float]
    """{} for none; {"factor"}: linear; with "low", "high" and "original" too: Llama 3.1's."""


def read_facts(checkpoint: Checkpoint, model: Model) -> Facts:
    """Facts of `checkpoint`. Raises `Unavailable` where rope is scaled in another way."""
    config = checkpoint.config
    rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
    fixed = model.layout == "llama2.c"

    def said(*names: str) -> Any:
        return next((config[name] for name in names if config.get(name) is not None), None)

    n_head = int(said("n_heads", "n_head", "num_attention_heads"))
    base = said("rope_theta", "rope_base") or rope.get("rope_theta") or (10000.0 if fixed else None)
    epsilon = said("norm_eps", "rms_norm_eps", "layer_norm_eps") or (1e-5 if fixed else None)
    return Facts(
        n_head=n_head,
        n_kv=int(
            said("n_query_groups", "n_kv_heads", "n_kv_head", "num_key_value_heads") or n_head
        ),
        epsilon=float(epsilon or str(model.hparams["attention.layer_norm_rms_epsilon"])),
        base=float(base or str(model.hparams["rope.freq_base"])),
        scaling=_scaling(config, rope),
    )


def _scaling(config: Mapping[str, Any], rope: Mapping[str, Any]) -> dict[str, float]:
    adjusted = config.get("rope_adjustments")
    if config.get("use_scaled_rope"):
        factor = float(config.get("rope_scaling_factor") or 8.0)
        high = float(config.get("rope_high_freq_factor") or 4.0)
        return {"factor": factor, "low": 1.0, "high": high, "original": 8192.0}
    if isinstance(adjusted, dict):
        rope = adjusted | {
            "rope_type": "llama3" if "low_freq_factor" in adjusted else "linear",
            "original_max_position_embeddings": adjusted.get("original_max_seq_len"),
        }
    elif config.get("rope_condense_ratio") not in (None, 1):
        return {"factor": float(config["rope_condense_ratio"])}
    kind = rope.get("rope_type") or rope.get("type") or "default"
    if kind == "default":
        return {}
    if kind == "linear":
        return {"factor": float(rope["factor"])}
    if kind == "llama3":
        return {
            "factor": float(rope["factor"]),
            "low": float(rope["low_freq_factor"]),
            "high": float(rope["high_freq_factor"]),
            "original": float(rope["original_max_position_embeddings"]),
        }
    raise Unavailable(f"the reference has no rope scaled by {kind!r:.40}")


def frequencies(facts: Facts, size: int) -> torch.Tensor:
    """Radians a position for each pair of a head [size / 2], float64."""
    plain = [facts.base ** (-i / size) for i in range(0, size, 2)]
    return torch.tensor([_scaled(f, facts.scaling) for f in plain], dtype=torch.float64)


def _scaled(frequency: float, scaling: Mapping[str, float]) -> float:
    if not scaling:
        return frequency
    slow = frequency / scaling["factor"]
    if "low" not in scaling:
        return slow
    turns = scaling["original"] * frequency / (2 * torch.pi)  # within the original context
    if turns < scaling["low"]:
        return slow
    if turns > scaling["high"]:
        return frequency
    share = (turns - scaling["low"]) / (scaling["high"] - scaling["low"])
    return (1 - share) * slow + share * frequency
