"""A hand-written model in one form, as the tensors of one of llama.cpp's graphs.

What the graph does otherwise than the model is folded into weights where that is exact: another
scale of attention into Q, embeddings times a number into their table, a missing output matrix into
an identity, an order of rows into another. llama.cpp computes GELU by its tanh form; ReLU is had
from it by a power of two, which no float loses.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from convert.architectures.model import HParam
from convert.architectures.rope import interleave
from convert.architectures.taking import Taker
from convert.checkpoints.operations import (
    affine,
    computed,
    concat,
    cut,
    gather,
    reshape,
    transpose,
    zeros,
)
from convert.checkpoints.tensor import Tensor
from convert.handwritten.form import Form
from convert.handwritten.graphs import Graph
from convert.handwritten.roles import Attention, Layer, Mlp, Pair, Roles

# gelu(s x) / s differs from relu(x) by at most 0.17 / s, near zero only. 256 leaves F16's range to
# activations up to 256.
RELU_SCALE = 256.0


class Mapping:
    """The tensors of one model, taken from its checkpoint."""

    def __init__(
        self, taker: Taker, roles: Roles, form: Form, graph: Graph, n_kv: int, n_ctx: int
    ) -> None:
        self._taker = taker
        self._roles = roles
        self._form = form
        self._graph = graph
        self._n_kv = n_kv
        self._n_ctx = n_ctx
        self._size = roles.q_rows // form.n_head
        self.n_zeros = 0
        self.query_scale: list[float] = [1.0] * len(roles.layers)
        """What Q is multiplied with beyond the form, by layer."""

    def tensors(self) -> tuple[list[Tensor], Tensor | None]:
        """All tensors in file order, and a bias on the logits that the graph has no place for."""
        taker, roles, form = self._taker, self._roles, self._form
        tokens = taker.take(roles.tokens, (roles.n_vocab, roles.n_embd))
        scale = form.times("tokens", "embeddings")
        scale *= sqrt(roles.n_embd) if form.embeddings == "sqrt" else 1.0
        found = [_times(tokens, scale).rename("token_embd.weight"), *self._positions()]
        layers = [list(self._layer(number, layer)) for number, layer in enumerate(roles.layers)]
        for place, number in enumerate(form.run(len(layers))):
            found += [_moved(tensor, number, place) for tensor in layers[number]]
        assert roles.norm is not None
        last = form.logits_factor  # of what the output matrix, without a bias, is applied to
        found += [_times(tensor, last) for tensor in self._norm(roles.norm, "output_norm")]
        head, bias = self._head(tokens, untie=scale != 1.0 or self._graph.output_required)
        return found + head, bias and _times(bias, last)

    def hparams(self) -> dict[str, HParam]:
        """Its numbers, under GGUF keys without the architecture's prefix."""
        roles, form, graph = self._roles, self._form, self._graph
        kind = "layer_norm_rms_epsilon" if form.norm == "rmsnorm" else "layer_norm_epsilon"
        found: dict[str, HParam] = {
            "context_length": self._n_ctx,
            "embedding_length": roles.n_embd,
            "block_count": len(form.run(len(roles.layers))),
            "feed_forward_length": roles.n_ff,
            "attention.head_count": form.n_head,
            f"attention.{kind}": form.eps,
        }
        if self._n_kv != form.n_head:
            found["attention.head_count_kv"] = self._n_kv
        if graph.rotation:
            found |= {"rope.dimension_count": self._size, "rope.freq_base": form.rope_theta}
        if self._size * form.n_head != roles.n_embd:
            found |= {
                "attention.key_length": self._size,
                "attention.value_length": self._size,
            }
        if graph.parallel:
            found["use_parallel_residual"] = True
        return found

    def _positions(self) -> Iterator[Tensor]:
        if self._graph.rotation:
            return
        name, shape = "position_embd.weight", (self._n_ctx, self._roles.n_embd)
        source, factor = self._roles.positions, self._form.times("positions", "embeddings")
        if source is not None:
            rows = self._n_ctx + (self._form.positions == "offset")
            table = self._taker.take(source, self._taker.raw_shape(source))
            table = reshape(table, (rows, self._roles.n_embd))
            yield _times(cut(table, rows - self._n_ctx, rows), factor).rename(name)
        elif self._form.positions == "sines":
            yield computed(name, factor * sine_table(*shape), "sines and cosines")
        else:
            yield zeros(name, shape, "no positions")

    def _take(self, pair: Pair, rows: int, columns: int) -> tuple[Tensor, Tensor | None]:
        """Weight [rows, columns] and bias."""
        conv = self._roles.conv
        shape = (columns, rows) if conv else (rows, columns)
        weight = self._taker.take(pair.weight, shape)
        bias = None if pair.bias is None else self._taker.take(pair.bias, (rows,))
        return (transpose(weight) if conv else weight), bias

    def _norm(self, pair: Pair, name: str, *, again: bool = False) -> Iterator[Tensor]:
        """A norm over the width; `again` takes one that another norm has taken."""
        shape = (self._roles.n_embd,)

        def take(source: str) -> Tensor:
            return self._taker.again(source) if again else self._taker.take(source, shape)

        yield self._norm_weight(take(pair.weight)).rename(f"{name}.weight")
        if self._graph.norm == "rmsnorm":
            return
        if pair.bias is not None:
            yield take(pair.bias).rename(f"{name}.bias")
        else:
            self.n_zeros += 1
            yield zeros(f"{name}.bias", shape)

    def _norm_weight(self, weight: Tensor) -> Tensor:
        more = self._form.norm_weights == "one-more"
        return affine(weight, shift=1.0) if more else weight

    def _named(self, name: str, weight: Tensor, bias: Tensor | None) -> Iterator[Tensor]:
        yield weight.rename(f"{name}.weight")
        if bias is not None:
            yield bias.rename(f"{name}.bias")
        elif self._graph.zeros:
            self.n_zeros += 1
            yield zeros(f"{name}.bias", weight.shape[:1])

    def _layer(self, number: int, layer: Layer) -> Iterator[Tensor]:
        name = f"blk.{number}"
        yield from self._norm(layer.norm_1, f"{name}.attn_norm")
        yield from self._attention(number, layer.attention, name)
        second = layer.norm_2 or layer.norm_1
        yield from self._norm(second, f"{name}.ffn_norm", again=layer.norm_2 is None)
        yield from self._mlp(layer.mlp, name)

    def _attention(self, number: int, attention: Attention, name: str) -> Iterator[Tensor]:
        roles, graph = self._roles, self._graph
        parts = self._qkv(attention)
        scale = self._scale(number)
        norms = list(self._qk_norms(attention, name, scale))
        if not norms and scale != 1.0:
            weight, bias = parts["q"]
            parts["q"] = _both_times((weight, bias), scale)
        if graph.rotation:
            for letter, heads in (("q", self._form.n_head), ("k", self._n_kv)):
                weight, bias = parts[letter]
                parts[letter] = self._turned(weight, heads), bias and self._turned(bias, heads)
        if graph.fused:
            weights = [weight for weight, _ in parts.values()]
            yield from self._named(
                f"{name}.attn_qkv", concat("qkv", weights), self._fused_bias(parts)
            )
        else:
            for letter, (weight, bias) in parts.items():
                yield from self._named(f"{name}.attn_{letter}", weight, bias)
        yield from norms
        width, rows = roles.n_embd, roles.q_rows
        if attention.out is None:
            eye = computed(name, np.eye(width, rows, dtype=np.float32), "identity")
            out: tuple[Tensor, Tensor | None] = eye, None
        else:
            out = self._take(attention.out, width, rows)
        factor = self._form.times("attention", "residual")
        yield from self._named(f"{name}.attn_output", *_both_times(out, factor))

    def _fused_bias(self, parts: dict[str, tuple[Tensor, Tensor | None]]) -> Tensor | None:
        if all(bias is None for _, bias in parts.values()):
            return None
        return concat(
            "qkv", [b if b is not None else zeros("bias", w.shape[:1]) for w, b in parts.values()]
        )

    def _qkv(self, attention: Attention) -> dict[str, tuple[Tensor, Tensor | None]]:
        """Weight and bias of Q, K and V, rows head by head."""
        roles, form = self._roles, self._form
        width, kv_rows = roles.n_embd, self._n_kv * self._size
        rows = {"q": roles.q_rows, "k": kv_rows, "v": kv_rows}
        found: dict[str, tuple[Tensor, Tensor | None]] = {}
        if attention.fused:
            whole, bias = self._take(attention.parts[0][0], sum(rows.values()), width)
            for letter in "qkv":
                order = fused_order(form.order, letter, form.n_head, self._n_kv, self._size)
                key = (form.order, letter, form.n_head, self._n_kv)
                found[letter] = (
                    gather(whole, order, key=key),
                    None if bias is None else gather(bias, order, key=key),
                )
            return found
        for letter, part in zip(form.order[:3], attention.parts, strict=True):
            each = rows[letter] // len(part)
            taken = [self._take(pair, each, width) for pair in part]
            if len(taken) == 1:
                found[letter] = taken[0]
                continue
            biases = [bias for _, bias in taken if bias is not None]
            found[letter] = (
                concat(letter, [weight for weight, _ in taken]),
                concat(letter, biases) if len(biases) == len(taken) else None,
            )
        return {letter: found[letter] for letter in "qkv"}

    def _scale(self, number: int) -> float:
        """What Q is multiplied with, for the graph divides by the root of a head's width."""
        factors = {
            "head": 1.0,
            "width": sqrt(self._size / self._roles.n_embd),
            "none": sqrt(self._size),
            "size": 1 / sqrt(self._size),
        }
        return factors[self._form.scale] * self._form.scores_factor * self.query_scale[number]

    def _qk_norms(self, attention: Attention, name: str, scale: float) -> Iterator[Tensor]:
        for letter, pair in (("q", attention.q_norm), ("k", attention.k_norm)):
            if self._form.qk_norm == "weightless":
                norm = computed(name, np.ones(self._size, np.float32), "a norm without weights")
            elif pair is None:
                continue
            else:
                norm = self._taker.take(pair.weight, (self._size,), "the width of a head")
                norm = self._turned(self._norm_weight(norm), 1)
            factor = scale if letter == "q" else 1.0
            yield _times(norm, factor).rename(f"{name}.attn_{letter}_norm.weight")

    def _turned(self, tensor: Tensor, heads: int) -> Tensor:
        """Rows of Q or K in the order in which the graph rotates them."""
        if self._form.positions == self._graph.rotation:
            return tensor
        if self._graph.rotation == "pairs":
            return interleave(tensor, heads)
        order = np.arange(tensor.n_rows).reshape(heads, -1, 2).swapaxes(1, 2).reshape(-1)
        return gather(tensor, order, key=("halves", heads))

    def _mlp(self, mlp: Mlp, name: str) -> Iterator[Tensor]:
        width, n_ff = self._roles.n_embd, self._roles.n_ff
        down = self._take(mlp.down, width, n_ff)
        down = _both_times(down, self._form.times("mlp", "residual"))
        if not mlp.gated:
            up = self._take(mlp.up[0], n_ff, width)
            if self._form.activation == "relu":
                up = _both_times(up, RELU_SCALE)
                down = _times(down[0], 1 / RELU_SCALE), down[1]
            yield from self._named(f"{name}.ffn_up", *up)
            yield from self._named(f"{name}.ffn_down", *down)
            return
        if mlp.fused:
            weight, bias = self._take(mlp.up[0], 2 * n_ff, width)
            halves = [
                (cut(weight, at, at + n_ff), None if bias is None else cut(bias, at, at + n_ff))
                for at in (0, n_ff)
            ]
        else:
            halves = [self._take(pair, n_ff, width) for pair in mlp.up]
        gate, up = halves if self._form.gate == "first" else halves[::-1]
        yield from self._named(f"{name}.ffn_gate", *gate)
        yield from self._named(f"{name}.ffn_up", *up)
        yield from self._named(f"{name}.ffn_down", *down)

    def _head(self, tokens: Tensor, *, untie: bool) -> tuple[list[Tensor], Tensor | None]:
        """The output matrix where it is one of its own, and its bias, if it has one."""
        roles, taker = self._roles, self._taker
        shape = (roles.n_vocab, roles.n_embd)
        own = [tokens.rename("output.weight")] if untie else []
        if roles.head is None:
            return own, None
        bias = None if roles.head.bias is None else taker.take(roles.head.bias, shape[:1])
        if roles.head.weight == roles.tokens:
            return own, bias
        if not roles.head_conv and taker.ignore_tied(roles.head.weight, roles.tokens):
            return own, bias
        if roles.head_conv:
            weight = transpose(taker.take(roles.head.weight, shape[::-1]))
        else:
            weight = taker.take(roles.head.weight, shape)
        return [weight.rename("output.weight")], bias


def _times(tensor: Tensor, factor: float) -> Tensor:
    return tensor if factor == 1.0 else affine(tensor, scale=factor)


def _both_times(pair: tuple[Tensor, Tensor | None], factor: float) -> tuple[Tensor, Tensor | None]:
    """A weight and its bias."""
    weight, bias = pair
    return _times(weight, factor), bias and _times(bias, factor)


def _moved(tensor: Tensor, number: int, place: int) -> Tensor:
    """A tensor of layer `number` as that of layer `place`."""
    return tensor.rename(tensor.name.replace(f"blk.{number}.", f"blk.{place}.", 1))


def fused_order(order: str, letter: str, n_head: int, n_kv: int, size: int) -> NDArray[np.intp]:
    """Which rows of a fused matrix are those of Q, K or V, head by head."""
    letters, _, kind = order.partition("-")
    heads = {"q": n_head, "k": n_kv, "v": n_kv}
    if kind == "heads":
        shares = {"q": n_head // n_kv, "k": 1, "v": 1}
        rows = np.arange(sum(heads.values()) * size).reshape(n_kv, -1, size)
        at = sum(shares[before] for before in letters[: letters.index(letter)])
        return rows[:, at : at + shares[letter]].reshape(-1)
    if kind == "each":
        return np.arange(letters.index(letter), 3 * n_head * size, 3)
    first = sum(heads[before] for before in letters[: letters.index(letter)]) * size
    return np.arange(first, first + heads[letter] * size)


def sine_table(n: int, width: int) -> NDArray[np.float32]:
    """Sines and cosines by turns [n, width]."""
    angles = np.outer(np.arange(n), 10000.0 ** -(np.arange(0, width, 2) / width))
    table = np.stack([np.sin(angles), np.cos(angles)], axis=-1)
    return table.reshape(n, -1)[:, :width].astype(np.float32)
