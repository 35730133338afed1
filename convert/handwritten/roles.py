"""The parts of a hand-written model, by the names of their tensors."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Pair:
    """Names of a weight and its bias."""

    weight: str
    bias: str | None = None


@dataclass(frozen=True)
class Attention:
    """Q, K and V apart, or fused in one matrix."""

    parts: tuple[tuple[Pair, ...], ...]
    """One fused pair; or Q, K and V, each of one pair or of one for each head."""
    out: Pair | None
    """The output matrix; some models have none."""
    q_norm: Pair | None = None
    k_norm: Pair | None = None

    @property
    def fused(self) -> bool:
        """Whether Q, K and V are one matrix."""
        return len(self.parts) == 1


@dataclass(frozen=True)
class Mlp:
    """Two matrices, or three where one gates."""

    up: tuple[Pair, ...]
    """One; two where the MLP is gated; one of both halves where `fused`."""
    down: Pair
    fused: bool = False

    @property
    def gated(self) -> bool:
        """Whether one half goes through the activation and multiplies the other."""
        return self.fused or len(self.up) == 2


@dataclass(frozen=True)
class Layer:
    """One layer."""

    norm_1: Pair
    norm_2: Pair | None
    """None: attention and MLP share one."""
    attention: Attention
    mlp: Mlp


@dataclass(frozen=True)
class Roles:
    """A whole model."""

    tokens: str
    positions: str | None
    layers: tuple[Layer, ...]
    norm: Pair | None
    head: Pair | None
    prefix: str
    """What stands before a layer's number."""
    conv: bool
    """Matrices are [in, out], as Conv1D keeps them; else [out, in]."""
    head_conv: bool
    """The same of the output matrix."""
    n_vocab: int
    n_embd: int
    n_positions: int | None
    """Rows of the table of positions, or of a mask."""
    n_ff: int
    q_rows: int
    kv_rows: int
    """Of K; 0 where a fused matrix leaves it to the number of heads."""

    @property
    def n_per_head(self) -> int:
        """Heads that have matrices of their own; 0 where they are together."""
        parts = self.layers[0].attention.parts[0]
        return len(parts) if len(parts) > 1 else 0

    def norms(self) -> list[Pair]:
        """Every norm over the width."""
        found = [norm for layer in self.layers for norm in (layer.norm_1, layer.norm_2)]
        return [norm for norm in (*found, self.norm) if norm is not None]
