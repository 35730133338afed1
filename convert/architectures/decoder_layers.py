"""The tensors of one layer of a decoder: norms, attention, and an MLP or a choice among experts.

Rows of Q and K are reordered where llama.cpp rotates neighbouring pairs; experts become one stack
for each matrix, whether the checkpoint keeps them one by one or fused.
"""

from __future__ import annotations

from convert.architectures.decoder_form import Decoder, Shape
from convert.architectures.rope import interleave
from convert.architectures.settings import Settings
from convert.architectures.taking import Taker
from convert.checkpoints.operations import affine, cut, reshape, stack
from convert.checkpoints.tensor import Tensor
from convert.errors import ArchitectureError

MAX_EXPERTS = 512  # llama.cpp's LLAMA_MAX_EXPERTS, which was this before it was 1024


class LayerReader:
    """Takes layers out of a checkpoint in Hugging Face's names."""

    def __init__(self, taker: Taker, settings: Settings, decoder: Decoder, shape: Shape) -> None:
        self._taker = taker
        self._settings = settings
        self._decoder = decoder
        self._shape = shape

    def norm(self, source: str, name: str, width: int) -> Tensor:
        """The weight of a norm."""
        tensor = self._taker.take(f"{source}.weight", (width,))
        if self._decoder.norm_shift:
            tensor = affine(tensor, shift=self._decoder.norm_shift)
        return tensor.rename(f"{name}.weight")

    def _linear(self, source: str, name: str, key: str, shape: tuple[int, int]) -> list[Tensor]:
        found = [self._taker.take(f"{source}.weight", shape).rename(f"{name}.weight")]
        if key in self._decoder.biases:
            bias = self._taker.take_if_there(f"{source}.bias", shape[:1])
            found += [bias.rename(f"{name}.bias")] if bias else []
        return found

    def layer(self, layer: int) -> list[Tensor]:
        """All tensors of a layer, in file order. Raises `ArchitectureError`."""
        source, name, decoder = f"model.layers.{layer}", f"blk.{layer}", self._decoder
        n_embd = self._shape.n_embd
        found = [
            self.norm(f"{source}.{theirs}", f"{name}.{ours}", n_embd)
            for theirs, ours in decoder.norms.items()
        ]
        found += self._attention(f"{source}.self_attn", name)
        if decoder.experts:
            return found + self._experts(source, name)
        return found + self._mlp(f"{source}.mlp", name)

    def _attention(self, source: str, name: str) -> list[Tensor]:
        s, decoder = self._shape, self._decoder
        q_rows, kv_rows = s.n_head * s.head_dim, s.n_head_kv * s.head_dim
        output = self._linear(f"{source}.o_proj", f"{name}.attn_output", "o", (s.n_embd, q_rows))
        if decoder.fused:
            rows = q_rows + 2 * kv_rows
            return (
                self._linear(f"{source}.qkv_proj", f"{name}.attn_qkv", "q", (rows, s.n_embd))
                + output
            )
        q = self._linear(f"{source}.q_proj", f"{name}.attn_q", "q", (q_rows, s.n_embd))
        k = self._linear(f"{source}.k_proj", f"{name}.attn_k", "k", (kv_rows, s.n_embd))
        v = self._linear(f"{source}.v_proj", f"{name}.attn_v", "v", (kv_rows, s.n_embd))
        if decoder.pairs:
            q = [interleave(tensor, s.n_head) for tensor in q]
            k = [interleave(tensor, s.n_head_kv) for tensor in k]
        norms = self._qk_norms(source, name, (q_rows, kv_rows))
        scale = decoder.q_scale(self._settings, s) if decoder.q_scale else 1.0
        if scale != 1.0:
            if norms:
                norms[0] = affine(norms[0], scale=scale)
            else:
                q = [affine(tensor, scale=scale) for tensor in q]
        return [*q, *k, *v, *norms, *output]

    def _qk_norms(self, source: str, name: str, rows: tuple[int, int]) -> list[Tensor]:
        if not self._decoder.qk_norm:
            return []
        head = self._shape.head_dim
        widths = rows if self._decoder.qk_norm == "width" else (head, head)
        return [
            self.norm(f"{source}.{letter}_norm", f"{name}.attn_{letter}_norm", width)
            for letter, width in zip("qk", widths, strict=True)
        ]

    def _mlp(self, source: str, name: str) -> list[Tensor]:
        s = self._shape
        if self._decoder.fused:
            found = self._linear(
                f"{source}.gate_up_proj", f"{name}.ffn_up", "up", (2 * s.n_ff, s.n_embd)
            )
        else:
            up = (s.n_ff, s.n_embd)
            found = self._linear(f"{source}.gate_proj", f"{name}.ffn_gate", "gate", up)
            found += self._linear(f"{source}.up_proj", f"{name}.ffn_up", "up", up)
        down = self._linear(f"{source}.down_proj", f"{name}.ffn_down", "down", (s.n_embd, s.n_ff))
        return found + down

    def _experts(self, source: str, name: str) -> list[Tensor]:
        s, n = self._shape, count_experts(self._settings)
        fused = f"{source}.mlp.experts.gate_up_proj"
        stem = f"{source}.mlp" if fused in self._taker else f"{source}.{self._decoder.experts}"
        router = self._taker.take(f"{stem}.gate.weight", (n, s.n_embd), "the number of experts")
        found = [router.rename(f"{name}.ffn_gate_inp.weight")]
        if fused in self._taker:
            return found + self._fused_experts(stem, name, n)
        mixtral = self._decoder.experts == "block_sparse_moe"
        words = ("w1", "w3", "w2") if mixtral else ("gate_proj", "up_proj", "down_proj")
        up, down = (s.n_ff, s.n_embd), (s.n_embd, s.n_ff)
        for word, ours, shape in zip(words, ("gate", "up", "down"), (up, up, down), strict=True):
            parts = [self._taker.take(f"{stem}.experts.{i}.{word}.weight", shape) for i in range(n)]
            found.append(stack(f"{name}.ffn_{ours}_exps.weight", parts))
        return found

    def _fused_experts(self, stem: str, name: str, n: int) -> list[Tensor]:
        """As transformers 5 has them in memory: one tensor for all gates and ups."""
        s = self._shape
        fused = self._taker.take(f"{stem}.experts.gate_up_proj", (n, 2 * s.n_ff, s.n_embd))
        down = self._taker.take(f"{stem}.experts.down_proj", (n, s.n_embd, s.n_ff))
        both = [reshape(cut(fused, i, i + 1), (2 * s.n_ff, s.n_embd)) for i in range(n)]
        return [
            stack(f"{name}.ffn_gate_exps.weight", [cut(part, 0, s.n_ff) for part in both]),
            stack(f"{name}.ffn_up_exps.weight", [cut(part, s.n_ff, 2 * s.n_ff) for part in both]),
            down.rename(f"{name}.ffn_down_exps.weight"),
        ]


def count_experts(settings: Settings) -> int:
    """Experts in a layer. Raises `ArchitectureError`."""
    n = settings.integer("num_local_experts", "num_experts")
    used = settings.integer("num_experts_per_tok")
    if n > MAX_EXPERTS:
        raise ArchitectureError(f"{n} experts are more than llama.cpp has ({MAX_EXPERTS}).")
    if used > n:
        raise ArchitectureError(f"num_experts_per_tok is {used}, but there are {n} experts.")
    return n
