"""The tensors of one layer of a decoder: norms, attention, and an MLP or a choice among experts.

Rows of Q and K are reordered where llama.cpp rotates neighbouring pairs; experts become one stack
for each matrix, whether the checkpoint keeps them one by one or fused.
"""

from __future__ import annotations

from convert.architectures.decoder_form import Decoder, Shape
from convert.architectures.rope import interleave
from convert.architectures.settings import Settings
from convert.architectures.taking import Taker
from convert.checkpoints.operations import affine, concat, cut, reshape, stack
from convert.checkpoints.tensor import Tensor
from convert.errors import ArchitectureError

MAX_EXPERTS = 512  # llama.cpp's LLAMA_MAX_EXPERTS, which was this before it was 1024


class LayerReader:
    """Takes layers out of a checkpoint in Hugging Face's names."""

    def __init__(self, taker: Taker, settings: Settings, decoder: Decoder, shape: Shape) -> None:
        self.taker = taker
        self.settings = settings
        self._decoder = decoder
        self.shape = shape
        self._with_bias: dict[str, bool] = {}
        self._needed = {
            key
            for switch, keys in bias_switches(decoder).items()
            if decoder.always_biased or settings.raw(switch) is True
            for key in keys
        }

    def norm(self, source: str, name: str, width: int) -> list[Tensor]:
        """The weight of a norm, and the bias of a LayerNorm that has one."""
        tensor = self.taker.take(f"{source}.weight", (width,))
        if self._decoder.norm_shift:
            tensor = affine(tensor, shift=self._decoder.norm_shift)
        found = [tensor.rename(f"{name}.weight")]
        if self._decoder.norm == "layer":
            found.append(self.taker.take(f"{source}.bias", (width,)).rename(f"{name}.bias"))
        return found

    def linear(self, source: str, name: str, shape: tuple[int, int], key: str = "") -> list[Tensor]:
        """The matrix `source`, and its bias where `key` (q k v o gate up down) may have one."""
        found = [self.taker.take(f"{source}.weight", shape).rename(f"{name}.weight")]
        if key in self._decoder.biases:
            take = self.taker.take if key in self._needed else self.taker.take_if_there
            bias = take(f"{source}.bias", shape[:1])
            found += [bias.rename(f"{name}.bias")] if bias else []
            if self._with_bias.setdefault(key, bias is not None) != (bias is not None):
                raise ArchitectureError(
                    f"{source}.bias is {'' if bias else 'not '}there, unlike in the layers before.",
                    "The checkpoint is incomplete.",
                )
        return found

    def layer(self, layer: int) -> list[Tensor]:
        """All tensors of a layer, in file order. Raises `ArchitectureError`."""
        source, name, decoder = f"model.layers.{layer}", f"blk.{layer}", self._decoder
        found: list[Tensor] = []
        for theirs, ours in decoder.norms.items():
            found += self.norm(f"{source}.{theirs}", f"{name}.{ours}", self.shape.n_embd)
        mixed = decoder.mixer(self, layer) if decoder.mixer else None
        found += self.attention(f"{source}.self_attn", name) if mixed is None else mixed
        fed = decoder.feed_forward(self, layer) if decoder.feed_forward else None
        if fed is not None:
            return found + fed
        if decoder.experts:
            return found + self.experts(source, name)
        return found + self.mlp(f"{source}.mlp", name)

    def attention(self, source: str, name: str) -> list[Tensor]:
        """Projections of a layer's attention, and the norms of its queries and keys."""
        s, decoder = self.shape, self._decoder
        q_rows, kv_rows = s.n_head * s.head_dim, s.n_head_kv * s.head_dim
        output = self.linear(f"{source}.o_proj", f"{name}.attn_output", (s.n_embd, q_rows), "o")
        if decoder.fused:
            rows = q_rows + 2 * kv_rows
            return (
                self.linear(f"{source}.qkv_proj", f"{name}.attn_qkv", (rows, s.n_embd), "q")
                + output
            )
        gated = q_rows * (1 + decoder.query_gate)
        q = self.linear(f"{source}.q_proj", f"{name}.attn_q", (gated, s.n_embd), "q")
        k = self.linear(f"{source}.k_proj", f"{name}.attn_k", (kv_rows, s.n_embd), "k")
        v = self.linear(f"{source}.v_proj", f"{name}.attn_v", (kv_rows, s.n_embd), "v")
        if decoder.pairs:
            q = [interleave(tensor, s.n_head) for tensor in q]
            k = [interleave(tensor, s.n_head_kv) for tensor in k]
        norms = self._qk_norms(source, name, (q_rows, kv_rows))
        scale = decoder.q_scale(self.settings, s) if decoder.q_scale else 1.0
        if scale != 1.0:
            if norms:
                norms[0] = affine(norms[0], scale=scale)
            else:
                q = [affine(tensor, scale=scale) for tensor in q]
        return [*q, *k, *v, *norms, *output]

    def _qk_norms(self, source: str, name: str, rows: tuple[int, int]) -> list[Tensor]:
        if not self._decoder.qk_norm:
            return []
        head = self.shape.head_dim
        if self._decoder.qk_norm == "heads":
            return [
                self._norm_of_heads(f"{source}.{letter}_norm", n_rows // head).rename(
                    f"{name}.attn_{letter}_norm.weight"
                )
                for letter, n_rows in zip("qk", rows, strict=True)
            ]
        widths = rows if self._decoder.qk_norm == "width" else (head, head)
        return [
            tensor
            for letter, width in zip("qk", widths, strict=True)
            for tensor in self.norm(f"{source}.{letter}_norm", f"{name}.attn_{letter}_norm", width)
        ]

    def _norm_of_heads(self, source: str, n_head: int) -> Tensor:
        """A norm with weights for every head, [n_head, head_dim]: in one tensor (Cohere) or in one
        for each (StableLM)."""
        head = self.shape.head_dim
        if f"{source}.weight" in self.taker:
            return self.taker.take(f"{source}.weight", (n_head, head))
        names = [f"{source}.norms.{i}.weight" for i in range(n_head)]
        parts = [reshape(self.taker.take(name, (head,)), (1, head)) for name in names]
        return concat(source, parts)

    def mlp(self, source: str, name: str, n_ff: int = 0, suffix: str = "") -> list[Tensor]:
        """An MLP `n_ff` wide, as the model is for 0; `suffix` is of its names: "_shexp"."""
        n_embd, n_ff = self.shape.n_embd, n_ff or self.shape.n_ff
        kind, up, stem = self._decoder.mlp, (n_ff, n_embd), f"{name}.ffn_"
        if kind == "fused":
            found = self.linear(
                f"{source}.gate_up_proj", f"{stem}up{suffix}", (2 * n_ff, n_embd), "up"
            )
        else:
            found = self.linear(f"{source}.up_proj", f"{stem}up{suffix}", up, "up")
        if kind == "gated":
            found = self.linear(f"{source}.gate_proj", f"{stem}gate{suffix}", up, "gate") + found
        return found + self.linear(
            f"{source}.down_proj", f"{stem}down{suffix}", (n_embd, n_ff), "down"
        )

    def experts(self, source: str, name: str) -> list[Tensor]:
        """The router and the experts of the layer `source`, in stacks."""
        s, n = self.shape, count_experts(self.settings)
        fused = f"{source}.mlp.experts.gate_up_proj"
        stem = f"{source}.mlp" if fused in self.taker else f"{source}.{self._decoder.experts}"
        router = self.taker.take(f"{stem}.gate.weight", (n, s.n_embd), "the number of experts")
        found = [router.rename(f"{name}.ffn_gate_inp.weight")]
        found += self._shared_expert(stem, name) if self._decoder.shared_expert else []
        if fused in self.taker:
            return found + self._fused_experts(stem, name, n)
        mixtral = self._decoder.experts == "block_sparse_moe"
        words = ("w1", "w3", "w2") if mixtral else ("gate_proj", "up_proj", "down_proj")
        up, down = (s.n_ff, s.n_embd), (s.n_embd, s.n_ff)
        for word, ours, shape in zip(words, ("gate", "up", "down"), (up, up, down), strict=True):
            parts = [self.taker.take(f"{stem}.experts.{i}.{word}.weight", shape) for i in range(n)]
            found.append(stack(f"{name}.ffn_{ours}_exps.weight", parts))
        return found

    def _shared_expert(self, stem: str, name: str) -> list[Tensor]:
        """The expert that is always on, and the vector that says how much of it."""
        n_embd = self.shape.n_embd
        gate = self.taker.take(f"{stem}.shared_expert_gate.weight", (1, n_embd))
        n_ff = self.settings.integer("shared_expert_intermediate_size")
        return [
            reshape(gate, (n_embd,)).rename(f"{name}.ffn_gate_inp_shexp.weight"),
            *self.mlp(f"{stem}.shared_expert", name, n_ff, "_shexp"),
        ]

    def _fused_experts(self, stem: str, name: str, n: int) -> list[Tensor]:
        """As transformers 5 has them in memory: one tensor for all gates and ups."""
        s = self.shape
        fused = self.taker.take(f"{stem}.experts.gate_up_proj", (n, 2 * s.n_ff, s.n_embd))
        down = self.taker.take(f"{stem}.experts.down_proj", (n, s.n_embd, s.n_ff))
        return [*self.split_experts(fused, name), down.rename(f"{name}.ffn_down_exps.weight")]

    def split_experts(self, fused: Tensor, name: str) -> list[Tensor]:
        """Gates and ups of all experts as two stacks, from `fused` [n, 2 * n_ff, n_embd]."""
        n, rows, n_cols = fused.shape
        both = [reshape(cut(fused, i, i + 1), (rows, n_cols)) for i in range(n)]
        return [
            stack(f"{name}.ffn_gate_exps.weight", [cut(part, 0, rows // 2) for part in both]),
            stack(f"{name}.ffn_up_exps.weight", [cut(part, rows // 2, rows) for part in both]),
        ]


def bias_switches(decoder: Decoder) -> dict[str, tuple[str, ...]]:
    """Keys of config.json, and the projections to which each gives a bias."""
    output = ("o",) if "o" in decoder.biases else ()
    gate = () if decoder.mlp == "plain" else ("gate",)
    return {decoder.bias_switch: ("q", "k", "v", *output), "mlp_bias": (*gate, "up", "down")}


def count_experts(settings: Settings) -> int:
    """Experts in a layer. Raises `ArchitectureError`."""
    n = settings.integer("num_local_experts", "num_experts", "n_routed_experts")
    used = settings.integer("num_experts_per_tok", "top_k_experts")
    if n > MAX_EXPERTS:
        raise ArchitectureError(f"{n} experts are more than llama.cpp has ({MAX_EXPERTS}).")
    if used > n:
        raise ArchitectureError(f"num_experts_per_tok is {used}, but there are {n} experts.")
    return n
