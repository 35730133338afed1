"""How a hand-written model computes, as far as neither names nor shapes tell.

A `Form` has one value for each switch. `SWITCHES` says what each value means, in the words of a
report and of `--set`.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from math import prod
from typing import Any

# Every switch and the meaning of its values, the usual one first.
SWITCHES: dict[str, dict[str, str]] = {
    "n_head": {},
    "scale": {
        "head": "scores are divided by the root of a head's width",
        "width": "scores are divided by the root of the whole width",
        "none": "scores are not scaled",
        "size": "scores are divided by a head's width",
    },
    "norms": {
        "before": "norms stand before attention and MLP",
        "behind": "norms stand behind attention and MLP, after the sum",
        "output": "norms stand on what attention and MLP put out, before the sum",
        "through": "norms stand before attention and MLP, and sums go on from what they put out",
    },
    "last_norm": {
        "used": "the last norm is applied",
        "unused": "the last norm is saved and not applied",
    },
    "norm": {
        "layernorm": "norms are LayerNorm",
        "rmsnorm": "norms are RMSNorm",
    },
    "norm_weights": {
        "plain": "norms multiply by their weights",
        "one-more": "norms multiply by one more than their weights",
    },
    "order": {
        "qkv": "Q, K and V follow one another",
        "kqv": "K, Q and V follow one another",
        "qvk": "Q, V and K follow one another",
        "vqk": "V, Q and K follow one another",
        "kvq": "K, V and Q follow one another",
        "vkq": "V, K and Q follow one another",
        "qkv-heads": "each head has its Q, K and V together",
        "kqv-heads": "each head has its K, Q and V together",
        "qkv-each": "Q, K and V alternate row by row",
        "kqv-each": "K, Q and V alternate row by row",
    },
    "activation": {
        "gelu": "the MLP has GELU by erf",
        "gelu_new": "the MLP has GELU by tanh",
        "relu": "the MLP has ReLU",
        "silu": "the MLP has SiLU",
        "relu2": "the MLP has ReLU squared",
    },
    "gate": {
        "first": "the first of the two upper matrices goes through the activation",
        "second": "the second of the two upper matrices goes through the activation",
    },
    "embeddings": {
        "plain": "embeddings are added as they are",
        "sqrt": "embeddings are multiplied by the root of the width",
    },
    "blocks": {
        "sequence": "the MLP comes after attention",
        "parallel": "attention and MLP run side by side",
    },
    "passes": {
        "once": "every layer runs once",
        "twice": "all layers run twice in a row",
        "thrice": "all layers run three times in a row",
        "each-twice": "each layer runs twice",
        "each-thrice": "each layer runs three times",
    },
    "positions": {
        "table": "positions are a table in the checkpoint",
        "offset": "positions are a table in the checkpoint that is read from its second row on",
        "halves": "positions rotate the two halves of each head",
        "pairs": "positions rotate neighbouring pairs in each head",
        "sines": "positions are sines and cosines by turns",
        "none": "there are no positions",
    },
    "rope_theta": {},
    "qk_norm": {
        "none": "Q and K have no norms",
        "weightless": "Q and K have norms without weights",
        "before": "Q and K have norms before they are rotated",
        "after": "Q and K have norms after they are rotated",
    },
}
# Switches that nearly everybody has the same: named where they were measured or said.
RARE = frozenset({"norm_weights", "passes", "qk_norm"})
# Factors of parts, one where nobody multiplies: what each multiplies.
FACTORS = {
    "logits_factor": "logits",
    "scores_factor": "attention's scores",
    "residual_factor": "what attention and the MLP put out",
    "embeddings_factor": "embeddings and positions together",
    "tokens_factor": "token embeddings",
    "positions_factor": "positions",
    "attention_factor": "what attention puts out",
    "mlp_factor": "what the MLP puts out",
}
# Numbers that shapes do not tell and that are not measured: (what is assumed, meaning).
NUMBERS = {"eps": "the norms' epsilon", "n_ctx": "positions"}

SAME = {  # other spellings of values
    "gelu_python": "gelu",
    "gelu_pytorch_tanh": "gelu_new",
    "gelu_fast": "gelu_new",
    "gelu_tanh": "gelu_new",
    "gelu_python_tanh": "gelu_new",
    "tanh": "gelu_new",
    "swish": "silu",
    "swiglu": "silu",
    "geglu": "gelu",
    "reglu": "relu",
    "squared_relu": "relu2",
    "relu_squared": "relu2",
    "layer_norm": "layernorm",
    "rms": "rmsnorm",
    "rms_norm": "rmsnorm",
    "pre": "before",
    "post": "behind",
}


@dataclass(frozen=True)
class Form:
    """One value for every switch; those that a model does not have keep their first value."""

    n_head: int = 1
    scale: str = "head"
    norms: str = "before"
    last_norm: str = "used"
    norm: str = "layernorm"
    order: str = "qkv"
    activation: str = "gelu"
    gate: str = "first"
    embeddings: str = "plain"
    blocks: str = "sequence"
    positions: str = "table"
    rope_theta: float = 10000.0
    qk_norm: str = "before"
    norm_weights: str = "plain"
    passes: str = "once"
    eps: float = 1e-5
    logits_factor: float = 1.0
    scores_factor: float = 1.0
    residual_factor: float = 1.0
    embeddings_factor: float = 1.0
    tokens_factor: float = 1.0
    positions_factor: float = 1.0
    attention_factor: float = 1.0
    mlp_factor: float = 1.0

    def value(self, switch: str) -> Any:
        """The value of a switch."""
        return getattr(self, switch)

    def but(self, **values: Any) -> Form:
        """The same with other values."""
        return replace(self, **values)

    def rotates(self) -> bool:
        """Whether positions rotate Q and K."""
        return self.positions in ("halves", "pairs")

    def times(self, *parts: str) -> float:
        """What `parts` ("tokens", "residual") are multiplied with, all together."""
        return prod(float(self.value(f"{part}_factor")) for part in parts)

    def factors(self) -> dict[str, float]:
        """Its factors that are not one."""
        return {name: self.value(name) for name in FACTORS if self.value(name) != 1.0}

    def run(self, n_layers: int) -> list[int]:
        """The numbers of the layers in the order in which they run."""
        how, _, often = self.passes.rpartition("-")
        times = {"once": 1, "twice": 2, "thrice": 3}[often]
        once = range(n_layers)
        return [n for n in once for _ in range(times)] if how else [*once] * times


FIELDS = tuple(field.name for field in fields(Form))


def meaning(switch: str, value: Any) -> str:
    """What a value says, in words."""
    if switch == "n_head":
        return f"attention has {value} {'head' if value == 1 else 'heads'}"
    if switch == "rope_theta":
        return f"positions rotate by a base of {value:g}"
    if switch in FACTORS:
        return f"{FACTORS[switch]} times {value:g}"
    return SWITCHES[switch].get(str(value), f"{switch} is {value}")


def text_of(value: Any) -> str:
    """A value as it is typed after --set."""
    return f"{value:g}" if isinstance(value, float) else str(value)
