"""The GPT-2 family in all its spellings: learned positions, LayerNorm before attention and MLP.

`gpt2_roles` says which tensor is which, this module what llama.cpp wants of them: Q, K and V as one
matrix, [out, in] as PyTorch's Linear has it (Hugging Face's Conv1D is turned), and every bias: a
model trained without gets zeros, the same function. llama.cpp computes GELU by its tanh form; ReLU
is had from it by a power of two, which no float loses.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from math import sqrt

from convert.architectures.asking import head_choices
from convert.architectures.family import Family
from convert.architectures.gpt2_roles import MASK, Layer, Pair, Roles, find_roles, looks_like_gpt
from convert.architectures.gpt2_spellings import Spelling, find_spelling
from convert.architectures.layer_norm import ERF_GELU, ERF_NOTE, TANH_GELU
from convert.architectures.model import HParam, Model
from convert.architectures.output_bias import fold_output_bias
from convert.architectures.settings import Settings
from convert.architectures.taking import Taker
from convert.checkpoints.checkpoint import Checkpoint
from convert.checkpoints.operations import affine, concat, cut, reshape, transpose, zeros
from convert.checkpoints.tensor import Tensor
from convert.errors import ArchitectureError
from convert.questions import Choice, Question

_HEADS = ("n_head", "n_heads", "num_heads", "num_attention_heads", "heads", "nhead")
_ACTIVATIONS = ("activation_function", "activation", "hidden_act", "act", "nonlinearity")
_ACTIVATION = Question(
    "activation",
    "What the MLP has between its two matrices; weights cannot tell.",
    (
        Choice("gelu", "by erf, as nn.GELU() and F.gelu have it"),
        Choice("gelu_new", "by tanh, as GPT-2 and nn.GELU(approximate='tanh') have it"),
        Choice("relu", "nn.ReLU()"),
    ),
)
_NORM_FIRST = Question(
    "norm_first",
    "Whether the layers were made with norm_first=True. PyTorch's own default is false, which "
    "llama.cpp does not run; tensors cannot tell.",
    (Choice(True, "norms before attention and MLP"), Choice(False, "behind them: refused")),
)
_NORM = Question(
    "norm",
    "The norms have no bias: LayerNorm or RMSNorm, and names cannot tell.",
    (
        Choice("layernorm", "less the mean, by the deviation"),
        Choice("rmsnorm", "by the root mean square: refused, with learned positions"),
    ),
)
# gelu(s x) / s differs from relu(x) by at most 0.17 / s, near zero only. 256 leaves F16's range to
# activations up to 256.
_RELU_SCALE = 256.0


def recognise(checkpoint: Checkpoint) -> bool:
    """Whether config.json says GPT-2, or names and shapes look like one."""
    kind = checkpoint.config.get("model_type")
    return kind == "gpt2" or (kind in (None, "gpt") and looks_like_gpt(checkpoint))


def read(checkpoint: Checkpoint) -> Model:
    """The model in `checkpoint`. Raises `ArchitectureError` naming the first thing amiss."""
    return _Reader(checkpoint).model()


class _Reader:
    def __init__(self, checkpoint: Checkpoint) -> None:
        self._settings = Settings(checkpoint)
        self._trained_with = checkpoint.fact("config", "activation")  # as our own trainer says it
        self._taker = Taker(checkpoint, "a GPT-2")
        self._roles: Roles = find_roles(checkpoint)
        self._spelling: Spelling = find_spelling(checkpoint)
        self._zeros = 0
        self._notes: list[str] = []

    def model(self) -> Model:
        taker, roles = self._taker, self._roles
        n_vocab, n_embd = taker.shape(roles.tokens)
        self._n_embd = n_embd
        self._refuse_variants()
        positions = taker.take(roles.positions, taker.raw_shape(roles.positions))
        n_ctx = positions.n_weights // n_embd
        self._n_head = self._count_heads()
        self._relu = self._check_activation()
        n_ff = self._mlp_width()
        self._compare(n_embd, n_ctx, n_vocab, n_ff)
        tensors = [
            taker.take(roles.tokens, (n_vocab, n_embd)).rename("token_embd.weight"),
            reshape(positions, (n_ctx, n_embd)).rename("position_embd.weight"),
        ]
        for number, layer in enumerate(roles.layers):
            tensors += self._block(number, layer, n_ff)
        tensors += self._norm(roles.norm, "output_norm")
        bias = self._head(tensors, n_vocab)
        taker.ignore(MASK.pattern, "causal mask: llama.cpp makes its own")
        hparams: dict[str, HParam] = {
            "context_length": n_ctx,
            "embedding_length": n_embd,
            "block_count": len(roles.layers),
            "feed_forward_length": n_ff,
            "attention.head_count": self._n_head,
            "attention.layer_norm_epsilon": self._epsilon(),
        }
        model = Model(
            arch="gpt2",
            layout=self._spelling.layout,
            hparams=hparams,
            tensors=tuple(tensors),
            ignored=taker.finish(),
            evidence=self._evidence(n_ctx),
            notes=tuple(dict.fromkeys(self._notes)),
        )
        return model if bias is None else fold_output_bias(model, bias)

    def _evidence(self, n_ctx: int) -> tuple[str, ...]:
        layer = self._roles.layers[0]
        lines = [
            self._spelling.evidence,
            f"{len(self._roles.layers)} layers, {self._n_embd} wide, {n_ctx} positions by shape; "
            f"{self._n_head} heads " + ("by count." if self._roles.n_per_head else "as said."),
        ]
        if self._spelling.show_roles:
            parts = [part[0].weight for part in layer.qkv]
            lines.append(
                f"Roles: tokens {self._roles.tokens}, positions {self._roles.positions}, norms "
                f"{layer.norm_1.weight} and {layer.norm_2.weight}, Q K V {' '.join(parts)}, "
                f"projection {layer.proj.weight}, MLP {layer.up.weight} and {layer.down.weight}, "
                f"last norm {self._roles.norm.weight}."
            )
        if self._zeros:
            lines.append(
                f"Trained without biases: {self._zeros} zero vectors are added, as llama.cpp "
                "asks for them."
            )
        return tuple(lines)

    def _refuse_variants(self) -> None:
        settings = self._settings
        settings.require("add_cross_attention", (False,), "llama.cpp's GPT-2 has no encoder")
        settings.require("norm_first", (True,), "llama.cpp's GPT-2 has its norms in front")
        settings.require("norm", ("layernorm", "LayerNorm"), "llama.cpp's GPT-2 has LayerNorm")
        if self._spelling.needs_norm_first:
            settings.ask(_NORM_FIRST)
        if self._roles.norm.bias is None and not self._spelling.plain_norms:
            settings.ask(_NORM)

    def _count_heads(self) -> int:
        n_head = self._roles.n_per_head or self._settings.integer(
            *_HEADS,
            choices=head_choices(self._n_embd),
            why=f"Attention heads: any number that divides the width {self._n_embd}.",
            flag="--n-head",
        )
        if self._n_embd % n_head:
            raise ArchitectureError(
                f"n_head is {n_head}, which does not divide the width {self._n_embd}."
            )
        return n_head

    def _check_activation(self) -> bool:
        """Whether it is ReLU; raises when llama.cpp has no such activation, or nobody says."""
        said = self._settings.raw(*_ACTIVATIONS) or self._trained_with
        said = said if said is None else str(said)
        name = self._spelling.activation if said is None else said
        if name is None:
            name = str(self._settings.ask(_ACTIVATION))
        if name == "relu":
            self._notes.append(
                "llama.cpp has no ReLU here: it is had from GELU, whose input is scaled by "
                f"{_RELU_SCALE:g} and its output back. They differ by less than 0.001."
            )
            return True
        if name in ERF_GELU:
            self._notes.append(ERF_NOTE)
        elif name not in TANH_GELU:
            raise ArchitectureError(
                f"The activation is {name!r:.40}; llama.cpp's GPT-2 has GELU.",
                "No family of llama.cpp has learned positions with this activation.",
            )
        return False

    def _epsilon(self) -> float:
        return self._settings.number(
            "layer_norm_epsilon", "layer_norm_eps", "norm_eps", "eps", default=1e-5
        )

    def _mlp_width(self) -> int:
        shape = self._taker.shape(self._roles.layers[0].up.weight)
        return shape[1] if self._is_conv() else shape[0]

    def _is_conv(self) -> bool:
        """Whether matrices are [in, out]. c_proj is square: it follows the fused Q, K and V."""
        fused = self._roles.layers[0].qkv
        if len(fused) != 1:
            return False
        return self._taker.shape(fused[0][0].weight) == (self._n_embd, 3 * self._n_embd)

    def _compare(self, n_embd: int, n_ctx: int, n_vocab: int, n_ff: int) -> None:
        seen = {
            "n_embd": n_embd,
            "block_size": n_ctx,
            "n_positions": n_ctx,
            "vocab_size": n_vocab,
            "n_layer": len(self._roles.layers),
            "n_inner": n_ff,
        }
        for key, value in seen.items():
            said = self._settings.raw(key)
            if said is not None and said != value:
                raise ArchitectureError(
                    f"{key} is {said!r:.40} by the configuration, but the tensors have {value}.",
                    "The checkpoint and its configuration do not belong together.",
                )

    def _take(self, pair: Pair, shape: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Weight [out, in] and bias [out]."""
        conv = self._is_conv()
        weight = self._taker.take(pair.weight, shape[::-1] if conv else shape)
        if pair.bias is None:
            self._zeros += 1
            bias = zeros(f"{pair.weight} bias", shape[:1])
        else:
            bias = self._taker.take(pair.bias, shape[:1])
        return (transpose(weight) if conv else weight), bias

    def _norm(self, pair: Pair, name: str) -> Iterator[Tensor]:
        shape = (self._n_embd,)
        yield self._taker.take(pair.weight, shape).rename(f"{name}.weight")
        if pair.bias is None:
            self._zeros += 1
            yield zeros(f"{name}.bias", shape)
        else:
            yield self._taker.take(pair.bias, shape).rename(f"{name}.bias")

    def _block(self, number: int, layer: Layer, n_ff: int) -> Iterator[Tensor]:
        name, n_embd = f"blk.{number}", self._n_embd
        yield from self._norm(layer.norm_1, f"{name}.attn_norm")
        for tensor, ending in zip(self._qkv(number, layer), ("weight", "bias"), strict=True):
            yield tensor.rename(f"{name}.attn_qkv.{ending}")
        yield from self._named(self._take(layer.proj, (n_embd, n_embd)), f"{name}.attn_output")
        yield from self._norm(layer.norm_2, f"{name}.ffn_norm")
        up, down = self._take(layer.up, (n_ff, n_embd)), self._take(layer.down, (n_embd, n_ff))
        if self._relu:
            up = affine(up[0], scale=_RELU_SCALE), affine(up[1], scale=_RELU_SCALE)
            down = affine(down[0], scale=1 / _RELU_SCALE), down[1]
        yield from self._named(up, f"{name}.ffn_up")
        yield from self._named(down, f"{name}.ffn_down")

    def _named(self, pair: tuple[Tensor, Tensor], name: str) -> Iterator[Tensor]:
        yield pair[0].rename(f"{name}.weight")
        yield pair[1].rename(f"{name}.bias")

    def _qkv(self, number: int, layer: Layer) -> tuple[Tensor, Tensor]:
        n_embd = self._n_embd
        if len(layer.qkv) == 1:
            weight, bias = self._take(layer.qkv[0][0], (3 * n_embd, n_embd))
        else:
            rows = n_embd // len(layer.qkv[0])
            pairs = [self._take(pair, (rows, n_embd)) for part in layer.qkv for pair in part]
            weight = concat("qkv", [pair[0] for pair in pairs])
            bias = concat("qkv", [pair[1] for pair in pairs])
        scale = self._query_scale(number)
        if scale == 1.0:
            return weight, bias
        return _scale_queries(weight, n_embd, scale), _scale_queries(bias, n_embd, scale)

    def _query_scale(self, number: int) -> float:
        """What Q is multiplied with, for switches of GPT-2 that llama.cpp does not have."""
        scale = 1.0
        if not self._settings.flag("scale_attn_weights", default=True):
            scale *= sqrt(self._n_embd / self._n_head)
            self._notes.append("Attention is not scaled in the original: folded into Q.")
        if self._settings.flag("scale_attn_by_inverse_layer_idx", default=False):
            scale /= number + 1
            self._notes.append("Attention is scaled by the layer's number: folded into Q.")
        return scale

    def _head(self, tensors: list[Tensor], n_vocab: int) -> Tensor | None:
        """Adds the output matrix where it is one of its own; its bias, if it has one."""
        head = self._roles.head
        if head is None:
            return None
        bias = None if head.bias is None else self._taker.take(head.bias, (n_vocab,))
        if not self._taker.ignore_tied(head.weight, self._roles.tokens):
            weight = self._taker.take(head.weight, (n_vocab, self._n_embd))
            tensors.append(weight.rename("output.weight"))
        return bias


def _scale_queries(tensor: Tensor, n_embd: int, scale: float) -> Tensor:
    rest = cut(tensor, n_embd, 3 * n_embd)
    scaled = concat("qkv", [affine(cut(tensor, 0, n_embd), scale=scale), rest])
    return replace(scaled, origin=tensor.origin or tensor.name)


FAMILY = Family(
    "gpt2",
    "GPT-2 shape: nanoGPT, minGPT, Hugging Face, Karpathy's lecture, Raschka's book, hand-written",
    recognise,
    read,
)
