"""Which of llama.cpp's graphs computes a form, or the first thing that none of them has."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from convert.errors import ArchitectureError
from convert.handwritten.form import Form, meaning
from convert.handwritten.roles import Pair, Roles

_MATRICES = frozenset(["q", "k", "v", "o", "gate", "up", "down"])


@dataclass(frozen=True)
class Graph:
    """What one architecture of llama.cpp computes."""

    arch: str
    norm: str
    gated: bool
    rotation: str
    """"pairs", "halves", or "": positions are a table."""
    activations: frozenset[str]
    biases: frozenset[str] = _MATRICES
    """Of matrices: those that it can have."""
    zeros: bool = False
    """It wants every bias of `biases`: a model without gets zeros."""
    fused: bool = False
    parallel: bool = False
    qk_norm: bool = False
    output_required: bool = False
    wide_heads: bool = False
    """Heads may be wider or narrower together than the model."""


_GELUS = frozenset({"gelu", "gelu_new", "relu"})  # ReLU is had from GELU
_SILU = frozenset({"silu"})
_QKV = frozenset("qkv")
GRAPHS: tuple[Graph, ...] = (
    Graph("gpt2", "layernorm", False, "", _GELUS, zeros=True, fused=True),
    Graph("starcoder2", "layernorm", False, "halves", _GELUS, zeros=True),
    Graph("gptneox", "layernorm", False, "halves", _GELUS, zeros=True, fused=True, parallel=True),
    Graph("stablelm", "layernorm", True, "halves", _SILU, _QKV, output_required=True),
    Graph("llama", "rmsnorm", True, "pairs", _SILU, wide_heads=True),
    Graph("qwen3", "rmsnorm", True, "halves", _SILU, _QKV, qk_norm=True, wide_heads=True),
    Graph("arcee", "rmsnorm", False, "pairs", frozenset({"relu2"}), _QKV, wide_heads=True),
)


def find_graph(roles: Roles, form: Form) -> Graph:
    """The graph for `form`. Raises `ArchitectureError` naming the first thing that none has."""
    _refuse(roles, form)
    reasons = [(graph, list(_lacks(graph, roles, form))) for graph in GRAPHS]
    graph, missing = min(reasons, key=lambda pair: len(pair[1]))
    if missing:
        raise ArchitectureError(
            f"No graph of llama.cpp computes this model: {missing[0]}, which {graph.arch} does not "
            "have.",
            f"Nearest is {graph.arch}; a model trained without that converts.",
        )
    return graph


def _refuse(roles: Roles, form: Form) -> None:
    """What no graph has at all."""
    if form.norms != "before":
        raise ArchitectureError(
            f"Not to be run by llama.cpp: {meaning('norms', form.norms)}, and its graphs for such "
            "models have them in front (norms=before).",
            "If that is wrong: --set norms=before. Else train with norms in front.",
        )
    if form.last_norm == "unused" or roles.norm is None:
        what = (
            "there is no norm after the last layer"
            if roles.norm is None
            else (meaning("last_norm", "unused"))
        )
        raise ArchitectureError(
            f"Not to be run by llama.cpp: {what}, and all of its graphs apply one.",
            "If that is wrong: --set last_norm=used." if roles.norm else "Train with a last norm.",
        )


def _lacks(graph: Graph, roles: Roles, form: Form) -> Iterator[str]:
    """What `graph` does not have of a model, the weightiest first."""
    layer = roles.layers[0]
    rotation = form.positions if form.rotates() else ""
    if bool(rotation) != bool(graph.rotation):
        yield meaning("positions", form.positions)
    if form.norm != graph.norm:
        yield meaning("norm", form.norm)
    if layer.mlp.gated != graph.gated:
        yield "its MLP is gated" if layer.mlp.gated else "its MLP has no gate"
    if (form.blocks == "parallel") != graph.parallel:
        yield meaning("blocks", form.blocks)
    if form.activation not in graph.activations:
        yield meaning("activation", form.activation)
    normed = layer.attention.q_norm is not None or form.qk_norm == "weightless"
    if normed != graph.qk_norm:
        yield "Q and K have norms" if normed else "Q and K have no norms"
    if normed and form.qk_norm == "after":
        yield meaning("qk_norm", "after")
    if not graph.wide_heads and roles.q_rows != roles.n_embd:
        yield f"heads are {roles.q_rows} wide together and the model {roles.n_embd}"
    extra = sorted(_biases(roles) - graph.biases)
    if extra:
        yield f"there are biases on {', '.join(extra)}"
    if graph.norm == "rmsnorm" and roles.head is not None and roles.head.bias:
        yield "its output has a bias"


def _biases(roles: Roles) -> set[str]:
    """Matrices that have one."""
    found: set[str] = set()
    for layer in roles.layers:
        attention = layer.attention
        letters = ("q",) if attention.fused else ("q", "k", "v")
        for letter, part in zip(letters, attention.parts, strict=True):
            found |= {letter} if any(pair.bias for pair in part) else set()
        named: dict[str, Pair | None] = {"o": attention.out, "down": layer.mlp.down}
        ups = ("gate", "up") if len(layer.mlp.up) == 2 else ("up",)
        named |= dict(zip(ups, layer.mlp.up, strict=True))
        found |= {key for key, pair in named.items() if pair is not None and pair.bias}
    return found
