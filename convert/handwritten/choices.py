"""What a checkpoint leaves open of its form: for each switch the values that its tensors allow.

What the checkpoint's configuration or the user says leaves one value. Of what is left the first is
what the author's code does where we know the author, or else what most people write; a switch that
most people write in several ways has no such value, and is asked for unless the model tells.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from convert.architectures.settings import Settings
from convert.checkpoints.checkpoint import Checkpoint
from convert.checkpoints.tensor import Tensor
from convert.errors import ArchitectureError
from convert.handwritten.form import FACTORS, SAME, SWITCHES, Form
from convert.handwritten.roles import Roles
from convert.handwritten.spellings import Spelling

HEADS = ("n_head", "n_heads", "num_heads", "num_attention_heads", "heads", "nhead")
KV_HEADS = (
    "n_kv_head", "n_kv_heads", "num_key_value_heads", "n_kv_groups", "num_kv_groups", "kv_heads",
)  # fmt: skip
ACTIVATIONS = ("activation_function", "activation", "hidden_act", "act", "nonlinearity", "act_fn")
THETAS = ("rope_theta", "rope_base", "theta", "theta_base", "rotary_base")
_EPSILONS = (
    "layer_norm_epsilon", "layer_norm_eps", "rms_norm_eps", "norm_eps", "norm_epsilon", "eps",
    "epsilon",
)  # fmt: skip
# Close enough that a base between two of them is told from neither, and asked for.
_THETAS = (10000.0, 1e3, 2e3, 5e3, 2e4, 5e4, 1e5, 1.5e5, 2.5e5, 5e5, 1e6, 2e6, 5e6, 1e7)
_SMALLEST_HEAD = 4
_MAX_LAYERS = 512  # llama.cpp's LLAMA_MAX_LAYERS
_HEAD_COUNTS = (
    1,
    2,
    3,
    4,
    5,
    6,
    7,
    8,
    9,
    10,
    12,
    14,
    15,
    16,
    18,
    20,
    24,
    25,
    28,
    32,
    36,
    40,
    48,
    64,
)


@dataclass(frozen=True)
class Choices:
    """The values of every switch that is there; the first of each is taken if nothing tells."""

    open: dict[str, tuple[Any, ...]]
    """Switches with more than one value."""
    said: dict[str, Any]
    """What configuration or user say."""
    fixed: dict[str, Any]
    """What the tensors allow one value of."""
    asked: frozenset[str] = field(default_factory=frozenset)
    """Of `open`: those whose first value is no better than the others."""
    eps: float = 1e-5
    eps_said: bool = False

    def form(self) -> Form:
        """The form with the first value of everything."""
        first = {switch: values[0] for switch, values in self.open.items()}
        return Form(**(first | self.said | self.fixed), eps=self.eps)


def find_choices(checkpoint: Checkpoint, roles: Roles, spelling: Spelling) -> Choices:
    """What is open in `checkpoint`. Raises `ArchitectureError` for what cannot be."""
    return _Chooser(checkpoint, roles, spelling).choices()


class _Chooser:
    def __init__(self, checkpoint: Checkpoint, roles: Roles, spelling: Spelling) -> None:
        self._checkpoint = checkpoint
        self._settings = Settings(checkpoint)
        self._roles = roles
        self._spelling = spelling
        self._asked: set[str] = set()

    def choices(self) -> Choices:
        allowed = self._allowed()
        said = self._said(allowed)
        values = {s: v for s, v in allowed.items() if s not in said}
        return Choices(
            open={s: v for s, v in values.items() if len(v) > 1},
            said=said,
            fixed={s: v[0] for s, v in values.items() if len(v) == 1},
            asked=frozenset(s for s in self._asked if len(values.get(s, ())) > 1),
            eps=self._settings.number(*_EPSILONS, default=self._spelling.eps or 1e-5),
            eps_said=self._settings.has(*_EPSILONS),
        )

    def _allowed(self) -> dict[str, tuple[Any, ...]]:
        """Every switch with the values that names and shapes allow, the likeliest first."""
        roles, spelling = self._roles, self._spelling
        layer = roles.layers[0]
        gated, shared = layer.mlp.gated, layer.norm_2 is None
        found: dict[str, tuple[Any, ...]] = {
            "n_head": self._head_counts(),
            "scale": tuple(SWITCHES["scale"]),
            "norms": ("before",) if shared else tuple(SWITCHES["norms"]),
            "norm": self._norm_kinds(),
            "norm_weights": ("plain", "one-more"),
            "order": self._orders(),
            "activation": self._activations(gated),
            "embeddings": ("plain", "sqrt"),
            "blocks": ("parallel", "sequence") if shared else ("sequence", "parallel"),
            "passes": self._passes(),
            "positions": self._positions(),
        }
        if roles.norm is not None:
            found["last_norm"] = ("used", "unused")
        else:
            found["last_norm"] = ("unused",)
        if gated:
            found["gate"] = ("first", "second")
        if set(found["positions"]) & {"halves", "pairs"}:
            found["rope_theta"] = _THETAS
        if layer.attention.q_norm is not None:
            found["qk_norm"] = ("before", "after")
        else:
            found["qk_norm"] = ("none", "weightless")
        for switch, value in spelling.fixed.items():
            values = found.get(switch, ())
            if value in values:
                found[switch] = (value, *(v for v in values if v != value))
                self._asked.discard(switch)
        self._asked.update(spelling.asks)
        return found

    def _head_counts(self) -> tuple[int, ...]:
        roles = self._roles
        if roles.n_per_head:
            return (roles.n_per_head,)
        norm = roles.layers[0].attention.q_norm
        if norm is not None:
            size = self._checkpoint.tensors[norm.weight].shape[0]
            if size != roles.q_rows and size > 1 and roles.q_rows % size == 0:
                return (roles.q_rows // size,)
        counts = [n for n in _HEAD_COUNTS if self._divides(n)]
        # heads of 64 are what most people have; of narrow models four to eight
        counts.sort(
            key=lambda n: abs(roles.q_rows // n - 64) if roles.q_rows >= 256 else abs(n - 4)
        )
        self._asked.add("n_head")
        return tuple(counts) or (1,)

    def _divides(self, n: int) -> bool:
        rows, kv = self._roles.q_rows, self._roles.kv_rows
        size = rows // n
        if self._roles.positions is None and size % 2:  # likely to rotate, which takes pairs
            return False
        return rows % n == 0 and size >= _SMALLEST_HEAD and (not kv or kv % size == 0)

    def _norm_kinds(self) -> tuple[str, ...]:
        if any(norm.bias for norm in self._roles.norms()):
            return ("layernorm",)
        gated = self._roles.layers[0].mlp.gated
        if not self._spelling.plain_norms and not gated:
            self._asked.add("norm")
        return ("rmsnorm", "layernorm") if gated else ("layernorm", "rmsnorm")

    def _orders(self) -> tuple[str, ...]:
        attention, roles = self._roles.layers[0].attention, self._roles
        if not attention.fused:
            return ("qkv",) if roles.kv_rows != roles.q_rows else ("qkv", "kqv")
        name = attention.parts[0][0].weight.lower()
        orders = tuple(SWITCHES["order"])
        if self._fused_rows() != 3 * roles.q_rows:
            orders = ("qkv", "qkv-heads")
        named = next((order for order in orders[:6] if order in name), None)
        first = orders[0] if named is None or named not in orders else named
        return (first, *(order for order in orders if order != first))

    def _passes(self) -> tuple[str, ...]:
        n = len(self._roles.layers)
        several = ("each-twice", "each-thrice") if n > 1 else ()
        return ("once", "twice", "thrice", *several) if n * 3 <= _MAX_LAYERS else ("once",)

    def _fused_rows(self) -> int:
        name = self._roles.layers[0].attention.parts[0][0].weight
        return self._checkpoint.tensors[name].shape[int(self._roles.conv)]

    def _activations(self, gated: bool) -> tuple[str, ...]:
        if gated:
            return ("silu", "gelu", "gelu_new", "relu")
        self._asked.add("activation")
        return ("gelu", "relu", "gelu_new", "silu", "relu2")

    def _positions(self) -> tuple[str, ...]:
        if self._roles.positions is not None:
            return ("table", "offset") if (self._roles.n_positions or 0) > 2 else ("table",)
        gated = self._roles.layers[0].mlp.gated
        # pairs are in the papers' code, halves in transformers'; one trained model tells
        self._asked.add("positions")
        return ("pairs", "halves", "none", *(() if gated else ("sines",)))

    def _said(self, allowed: dict[str, tuple[Any, ...]]) -> dict[str, Any]:
        """What the configuration says, under our names or under the usual ones."""
        settings = self._settings
        said: dict[str, Any] = {}
        if "n_head" in allowed and not self._roles.n_per_head and settings.has(*HEADS):
            said["n_head"] = self._said_heads()
        for switch in SWITCHES:
            value = settings.raw(switch)
            if switch in ("n_head", "rope_theta", "activation") or value is None:
                continue
            word = SAME.get(str(value).lower(), str(value).lower())
            if word in allowed.get(switch, ()):
                said[switch] = word
            elif isinstance(value, str) and switch in allowed:
                raise self._no_value(switch, value, allowed[switch])
        said |= {name: settings.number(name) for name in FACTORS if settings.has(name)}
        said |= self._said_otherwise(allowed)
        activation = settings.raw(*ACTIVATIONS) or self._checkpoint.fact("config", "activation")
        if activation is not None:
            said["activation"] = self._said_activation(str(activation), allowed["activation"])
        if "rope_theta" in allowed and settings.has(*THETAS):
            said["rope_theta"] = settings.number(*THETAS)
        return said

    def _said_otherwise(self, allowed: dict[str, tuple[Any, ...]]) -> dict[str, Any]:
        """What other keys than ours say of the same."""
        settings = self._settings
        said: dict[str, Any] = {}
        first = settings.raw("norm_first")
        if isinstance(first, bool):
            said["norms"] = "before" if first else "behind"
        pairs = settings.raw("rope_interleave", "rope_interleaved")
        if isinstance(pairs, bool) and "pairs" in allowed["positions"]:
            said["positions"] = "pairs" if pairs else "halves"
        if settings.raw("scale_attn_weights") is False:
            said["scale"] = "none"
        return said

    def _said_heads(self) -> int:
        n_head = self._settings.integer(*HEADS)
        if self._roles.q_rows % n_head:
            raise ArchitectureError(
                f"n_head is {n_head}, which does not divide the width {self._roles.q_rows}."
            )
        return n_head

    def _said_activation(self, said: str, allowed: tuple[Any, ...]) -> str:
        word = SAME.get(said.lower(), said.lower())
        if word not in allowed:
            raise ArchitectureError(
                f"The activation is {said!r:.40}; llama.cpp's GPT-2 has GELU.",
                "No family of llama.cpp has learned positions with this activation.",
            )
        return word

    def _no_value(self, switch: str, value: str, allowed: tuple[Any, ...]) -> ArchitectureError:
        return ArchitectureError(
            f"{switch} is {value!r:.40} in {self._checkpoint.path.name}, which these tensors "
            "cannot be.",
            f"They can be: --set {switch}={'|'.join(map(str, allowed))}.",
        )


def kv_heads(roles: Roles, form: Form, fused_rows: int) -> int:
    """Heads of K and V. Raises `ArchitectureError` where rows and heads do not fit."""
    if roles.q_rows % form.n_head:
        raise ArchitectureError(f"{form.n_head} heads do not divide {roles.q_rows} rows of Q.")
    size = roles.q_rows // form.n_head
    if form.rotates() and size % 2:
        raise ArchitectureError(
            f"{form.n_head} heads are {size} wide each, and positions rotate pairs.",
            "Give the number of heads: --set n_head=N.",
        )
    rows = roles.kv_rows or (fused_rows - roles.q_rows) // 2
    if rows % size or not rows or form.n_head % (rows // size):
        raise ArchitectureError(
            f"{form.n_head} heads of {size} do not fit {rows} rows of K and V.",
            "Give the number of heads: --set n_head=N.",
        )
    return rows // size


def fused_rows(tensors: dict[str, Tensor], roles: Roles) -> int:
    """Rows of the fused matrix; 0 where Q, K and V are apart."""
    attention = roles.layers[0].attention
    if not attention.fused:
        return 0
    return tensors[attention.parts[0][0].weight].shape[int(roles.conv)]
