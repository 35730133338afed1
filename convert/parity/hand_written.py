"""A hand-written model in PyTorch, in any form that `convert.handwritten.form` knows.

The roles and the form are shared with the mapping, the arithmetic is not: matrices are used as they
lie in the checkpoint, and what llama.cpp cannot compute is computed here all the same, so that a
trained model can tell which form it has.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F  # noqa: N812

from convert.architectures.model import Model
from convert.checkpoints.checkpoint import Checkpoint
from convert.checkpoints.tensor import FLOATS
from convert.errors import ArchitectureError
from convert.handwritten.choices import fused_rows, kv_heads
from convert.handwritten.finding import find_roles
from convert.handwritten.form import Form
from convert.handwritten.roles import Attention, Layer, Mlp, Pair, Roles
from convert.parity.references import name_reading
from convert.witness import READING


def _tanh_gelu(x: torch.Tensor) -> torch.Tensor:
    return F.gelu(x, approximate="tanh")


def _relu_squared(x: torch.Tensor) -> torch.Tensor:
    return F.relu(x).square()


_WORST = 1e3  # nats of a token in a form that computes no number
_ACTIVATIONS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "gelu": F.gelu,
    "gelu_new": _tanh_gelu,
    "relu": F.relu,
    "silu": F.silu,
    "relu2": _relu_squared,
}


def load(checkpoint: Checkpoint, model: Model) -> HandWritten:
    """The reference for `checkpoint`, in the form that it was read in."""
    assert model.form is not None
    return HandWritten(checkpoint, find_roles(checkpoint), model.form, name_reading(model))


class HandWritten:
    """Attention and MLP by roles, in a form that may change from call to call."""

    against, notes = READING, ()

    def __init__(self, checkpoint: Checkpoint, roles: Roles, form: Form, name: str) -> None:
        self.name = name
        self._roles = roles
        self.form = form
        self._fused_rows = fused_rows(checkpoint.tensors, roles)
        self._weights = {
            name: torch.from_numpy(tensor.float32())
            for name, tensor in checkpoint.tensors.items()
            if tensor.dtype in FLOATS and name in used_by(roles)
        }

    @torch.inference_mode()
    def logits(self, ids: Sequence[int]) -> NDArray[np.float32]:
        """Logits [len(ids), n_rows]."""
        result: NDArray[np.float32] = self._logits(torch.tensor([list(ids)]))[0].numpy()
        return result

    @torch.inference_mode()
    def losses(self, windows: NDArray[np.int64], form: Form) -> NDArray[np.float64]:
        """Nats of every token but the first of each of `windows` [n, length], in `form`; flat."""
        self.form = form
        try:
            kv_heads(self._roles, form, self._fused_rows)
        except ArchitectureError:  # heads that do not fit
            return np.full((windows.shape[1] - 1) * len(windows), _WORST)
        ids = torch.from_numpy(windows)
        found = []
        at_once = max(1, (1 << 24) // (ids.shape[1] * self._roles.n_vocab))
        for window in torch.split(ids, at_once):
            logits = self._logits(window)[:, :-1].flatten(0, 1)
            found.append(F.cross_entropy(logits, window[:, 1:].flatten(), reduction="none"))
        result: NDArray[np.float64] = torch.cat(found).double().numpy()
        return np.nan_to_num(result, nan=_WORST, posinf=_WORST)

    @torch.inference_mode()
    def distances(
        self, windows: NDArray[np.int64], form: Form, expected: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """KL divergence in nats of every token's distribution from `expected`, flat.

        `expected`: log-probabilities [n, length, n_rows] for `windows` [n, length].
        """
        self.form = form
        try:
            kv_heads(self._roles, form, self._fused_rows)
        except ArchitectureError:  # heads that do not fit
            return np.full(windows.size, _WORST)
        found = []
        at_once = max(1, (1 << 22) // (windows.shape[1] * self._roles.n_vocab))
        wholes = torch.from_numpy(expected)
        for window, source in zip(
            torch.split(torch.from_numpy(windows), at_once),
            torch.split(wholes, at_once),
            strict=True,
        ):
            ours = self._logits(window).double().log_softmax(-1)
            gap = torch.where(source.isneginf(), 0.0, source - ours)
            found.append((source.exp() * gap).sum(-1).flatten())
        result: NDArray[np.float64] = torch.cat(found).numpy()
        return np.nan_to_num(result, nan=_WORST, posinf=_WORST)

    def _logits(self, ids: torch.Tensor) -> torch.Tensor:
        """[batch, n, n_rows] of ids [batch, n]."""
        roles, form = self._roles, self.form
        x = self._weights[roles.tokens][ids]
        if form.embeddings == "sqrt":
            x = x * roles.n_embd**0.5
        x = self._placed(_times(x, form.times("tokens", "embeddings")))
        for number in form.run(len(roles.layers)):
            x = self._layer(roles.layers[number], x)
        if roles.norm is not None and form.last_norm == "used":
            x = self._norm(x, roles.norm)
        if roles.head is None:
            return _times(F.linear(x, self._weights[roles.tokens]), form.logits_factor)
        bias = self._weights[roles.head.bias] if roles.head.bias else None
        weight = self._weights[roles.head.weight]
        logits = F.linear(x, weight.T if roles.head_conv else weight, bias)
        return _times(logits, form.logits_factor)

    def _placed(self, x: torch.Tensor) -> torch.Tensor:
        n, width = x.shape[1:]
        factor = self.form.times("positions", "embeddings")
        if self.form.positions in ("table", "offset") and self._roles.positions is not None:
            first = int(self.form.positions == "offset")
            table = self._weights[self._roles.positions].reshape(-1, width)
            return x + _times(table[first : first + n], factor)
        if self.form.positions == "sines":
            return x + _times(sines(n, width), factor)
        return x

    def _layer(self, layer: Layer, x: torch.Tensor) -> torch.Tensor:
        form = self.form
        second = layer.norm_2 or layer.norm_1
        if form.blocks == "parallel":
            if form.norms in ("before", "through"):
                mixed = self._attention(layer.attention, self._norm(x, layer.norm_1))
                return x + mixed + self._mlp(layer.mlp, self._norm(x, second))
            mixed, hidden = self._attention(layer.attention, x), self._mlp(layer.mlp, x)
            if form.norms == "output":
                return x + self._norm(mixed, layer.norm_1) + self._norm(hidden, second)
            return self._norm(x + mixed + hidden, layer.norm_1)
        x = self._around(x, layer.norm_1, lambda y: self._attention(layer.attention, y))
        return self._around(x, second, lambda y: self._mlp(layer.mlp, y))

    def _around(
        self, x: torch.Tensor, norm: Pair, part: Callable[[torch.Tensor], torch.Tensor]
    ) -> torch.Tensor:
        """One half of a layer with its norm where the form has it."""
        kind = self.form.norms
        if kind == "behind":
            return self._norm(x + part(x), norm)
        if kind == "output":
            return x + self._norm(part(x), norm)
        normed = self._norm(x, norm)
        return (normed if kind == "through" else x) + part(normed)

    def _norm(self, x: torch.Tensor, pair: Pair) -> torch.Tensor:
        weight = self._weights[pair.weight]
        if self.form.norm_weights == "one-more":
            weight = 1 + weight
        if self.form.norm == "rmsnorm":
            return F.rms_norm(x, x.shape[-1:], weight, self.form.eps)
        bias = self._weights[pair.bias] if pair.bias else None
        return F.layer_norm(x, x.shape[-1:], weight, bias, self.form.eps)

    def _linear(self, x: torch.Tensor, pair: Pair) -> torch.Tensor:
        weight = self._weights[pair.weight]
        bias = self._weights[pair.bias] if pair.bias else None
        return F.linear(x, weight.T if self._roles.conv else weight, bias)

    def _mlp(self, mlp: Mlp, x: torch.Tensor) -> torch.Tensor:
        activate = _ACTIVATIONS[self.form.activation]
        factor = self.form.times("mlp", "residual")
        if not mlp.gated:
            hidden = activate(self._linear(x, mlp.up[0]))
            return _times(self._linear(hidden, mlp.down), factor)
        if mlp.fused:
            gate, up = self._linear(x, mlp.up[0]).chunk(2, dim=-1)
        else:
            gate, up = (self._linear(x, pair) for pair in mlp.up)
        if self.form.gate == "second":
            gate, up = up, gate
        return _times(self._linear(activate(gate) * up, mlp.down), factor)

    def _attention(self, attention: Attention, x: torch.Tensor) -> torch.Tensor:
        form, roles = self.form, self._roles
        n_kv = kv_heads(roles, form, self._fused_rows)
        q, k, v = self._qkv(attention, x, n_kv)
        if form.qk_norm == "before":
            q, k = self._normed(q, attention.q_norm), self._normed(k, attention.k_norm)
        if form.qk_norm == "weightless":
            q, k = (F.rms_norm(part, part.shape[-1:], None, form.eps) for part in (q, k))
        if form.rotates():
            q, k = self._rotate(q), self._rotate(k)
        if form.qk_norm == "after":
            q, k = self._normed(q, attention.q_norm), self._normed(k, attention.k_norm)
        each = form.n_head // n_kv
        k, v = k.repeat_interleave(each, dim=2), v.repeat_interleave(each, dim=2)
        size = q.shape[-1]
        scale = {"head": size**-0.5, "width": roles.n_embd**-0.5, "none": 1.0, "size": 1 / size}[
            form.scale
        ]
        q = _times(q, form.scores_factor)
        q, k, v = (part.transpose(1, 2) for part in (q, k, v))
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True, scale=scale)
        mixed = mixed.transpose(1, 2).flatten(2)
        mixed = mixed if attention.out is None else self._linear(mixed, attention.out)
        return _times(mixed, form.times("attention", "residual"))

    def _qkv(
        self, attention: Attention, x: torch.Tensor, n_kv: int
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Each [batch, n, heads, size]."""
        n_head = self.form.n_head
        letters, _, kind = self.form.order.partition("-")
        heads = {"q": n_head, "k": n_kv, "v": n_kv}
        shape = x.shape[:2]
        if not attention.fused:
            parts = dict(zip(letters, attention.parts, strict=True))
            found = {
                letter: torch.cat([self._linear(x, pair) for pair in part], dim=-1)
                for letter, part in parts.items()
            }
            q, k, v = (found[letter].view(*shape, heads[letter], -1) for letter in "qkv")
            return q, k, v
        whole = self._linear(x, attention.parts[0][0])
        size = whole.shape[-1] // (n_head + 2 * n_kv)
        if kind == "heads":
            each = n_head // n_kv
            grouped = whole.view(*shape, n_kv, each + 2, size)
            widths = [each if letter == "q" else 1 for letter in letters]
            pieces = torch.split(grouped, widths, dim=3)
            found = {a: b.reshape(*shape, -1, size) for a, b in zip(letters, pieces, strict=True)}
        elif kind == "each":
            alternating = whole.view(*shape, n_head, size, 3)
            found = {letter: alternating[..., i] for i, letter in enumerate(letters)}
        else:
            pieces = torch.split(whole, [heads[letter] * size for letter in letters], dim=-1)
            found = {
                letter: piece.view(*shape, heads[letter], size)
                for letter, piece in zip(letters, pieces, strict=True)
            }
        return found["q"], found["k"], found["v"]

    def _normed(self, x: torch.Tensor, pair: Pair | None) -> torch.Tensor:
        """Q or K [batch, n, heads, size] after their norm: over a head, or over all of them."""
        if pair is None:
            return x
        if self._weights[pair.weight].shape[0] == x.shape[-1]:
            return self._norm(x, pair)
        return self._norm(x.flatten(2), pair).view(x.shape)

    def _rotate(self, x: torch.Tensor) -> torch.Tensor:
        """[batch, n, heads, size], turned by position."""
        size = x.shape[-1]
        exponents = torch.arange(0, size, 2, dtype=torch.float64) / size
        angles = torch.outer(
            torch.arange(x.shape[1], dtype=torch.float64), self.form.rope_theta**-exponents
        )
        cos, sin = angles.cos().float()[:, None], angles.sin().float()[:, None]
        if self.form.positions == "halves":
            a, b = x.chunk(2, dim=-1)
            return torch.cat([a * cos - b * sin, a * sin + b * cos], dim=-1)
        a, b = x[..., ::2], x[..., 1::2]
        return torch.stack([a * cos - b * sin, a * sin + b * cos], dim=-1).flatten(-2)


def _times(x: torch.Tensor, factor: float) -> torch.Tensor:
    return x if factor == 1.0 else x * factor


def sines(n: int, width: int) -> torch.Tensor:
    """Sines at even and cosines at odd columns [n, width], as in "Attention is all you need"."""
    exponents = torch.arange(0, width, 2, dtype=torch.float64) / width
    angles = torch.outer(torch.arange(n, dtype=torch.float64), 10000.0**-exponents)
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)[:, :width].float()


def used_by(roles: Roles) -> set[str]:
    """Names of every tensor that has a role."""
    pairs = [*roles.norms(), *([roles.head] if roles.head else [])]
    for layer in roles.layers:
        attention = layer.attention
        pairs += [pair for part in attention.parts for pair in part]
        pairs += [p for p in (attention.out, attention.q_norm, attention.k_norm) if p is not None]
        pairs += [*layer.mlp.up, layer.mlp.down]
    names = {roles.tokens, *([roles.positions] if roles.positions else [])}
    for pair in pairs:
        names |= {pair.weight, *([pair.bias] if pair.bias else [])}
    return names
