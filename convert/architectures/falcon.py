"""Falcon 7B, 40B and 180B: attention and MLP side by side, one key-value head or a few groups.

The fused Q, K and V lie group by group: the queries of a group, its key, its value. llama.cpp wants
all of Q, then K, then V.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from convert.architectures.family import Family
from convert.architectures.layer_norm import LayerNormReader
from convert.architectures.model import Model
from convert.architectures.rope import read_rope
from convert.checkpoints.checkpoint import Checkpoint
from convert.checkpoints.operations import gather
from convert.checkpoints.tensor import Tensor
from convert.errors import ArchitectureError


def recognise(checkpoint: Checkpoint) -> bool:
    """Whether the config.json of `checkpoint` names this family."""
    return checkpoint.config.get("model_type") in ("falcon", "RefinedWeb", "RefinedWebModel")


def read(checkpoint: Checkpoint) -> Model:
    """The model in `checkpoint`. Raises `ArchitectureError`."""
    return _Reader(checkpoint, "a Falcon", "transformer.").model()


class _Reader(LayerNormReader):
    def model(self) -> Model:
        """The model that the checkpoint holds. Raises `ArchitectureError`."""
        taker, settings = self.taker, self.settings
        settings.require("alibi", (False,), "llama.cpp's Falcon has rotary positions")
        settings.require("bias", (False,), "llama.cpp's Falcon has no biases")
        wide = settings.flag("new_decoder_architecture", default=False)
        if not wide:
            settings.require("parallel_attn", (True,), "llama.cpp runs attention beside the MLP")
        settings.require("num_ln_in_parallel_attn", (2,) if wide else (), "llama.cpp wants two")
        embedding, head = "transformer.word_embeddings.weight", "lm_head.weight"
        n_vocab, n_embd = taker.shape(embedding)
        n_layer = taker.count_layers(r"transformer\.h\.(\d+)\.")
        n_ff, _ = taker.shape("transformer.h.0.mlp.dense_h_to_4h.weight")
        n_head = settings.integer("num_attention_heads", "n_head")
        n_kv = self._count_kv(wide, n_head)
        n_ctx = settings.integer("max_position_embeddings", default=2048)
        if settings.raw("rope_theta", "rope_parameters") is None:
            raise ArchitectureError(
                "The configuration names no rope_theta.", "--set rope_theta=10000"
            )
        rope = read_rope(settings, n_embd // n_head, n_ctx)
        notes = self.check_gelu("activation")
        tensors = [taker.take(embedding, (n_vocab, n_embd)).rename("token_embd.weight")]
        for layer in range(n_layer):
            tensors += self._layer(layer, n_embd, n_ff, n_head, n_kv, wide)
        tensors += self.pair("transformer.ln_f", "output_norm", (n_embd,))
        if not taker.ignore_tied(head, embedding) and head in taker:
            tensors.append(taker.take(head, (n_vocab, n_embd)).rename("output.weight"))
        return Model(
            arch="falcon",
            layout="hf",
            hparams={
                "context_length": min(n_ctx, rope.n_ctx or n_ctx),
                "embedding_length": n_embd,
                "block_count": n_layer,
                "feed_forward_length": n_ff,
                "attention.head_count": n_head,
                "attention.head_count_kv": n_kv,
                "attention.layer_norm_epsilon": settings.number("layer_norm_epsilon"),
                **rope.hparams,
            },
            tensors=tuple(tensors),
            ignored=taker.finish(),
            evidence=(
                "config.json says Falcon, and the tensor names agree.",
                f"{n_layer} layers, {n_embd} wide, {n_head} heads over {n_kv} key-value heads.",
            ),
            notes=(*rope.notes, *notes),
        )

    def _count_kv(self, wide: bool, n_head: int) -> int:
        if wide:
            return self.settings.integer("num_kv_heads", "n_head_kv", default=n_head)
        return 1 if self.settings.flag("multi_query", default=True) else n_head

    def _layer(
        self, layer: int, n_embd: int, n_ff: int, n_head: int, n_kv: int, wide: bool
    ) -> Iterator[Tensor]:
        source, name = f"transformer.h.{layer}", f"blk.{layer}"
        if wide:  # llama.cpp's attn_norm feeds the MLP, attn_norm_2 the attention
            yield from self.pair(f"{source}.ln_mlp", f"{name}.attn_norm", (n_embd,))
            yield from self.pair(f"{source}.ln_attn", f"{name}.attn_norm_2", (n_embd,))
        else:
            yield from self.pair(f"{source}.input_layernorm", f"{name}.attn_norm", (n_embd,))
        rows = n_embd // n_head * (n_head + 2 * n_kv)
        fused = self.taker.take(
            f"{source}.self_attention.query_key_value.weight", (rows, n_embd)
        ).rename(f"{name}.attn_qkv.weight")
        parts = np.arange(rows).reshape(n_kv, n_head // n_kv + 2, -1)
        pieces = (parts[:, :-2], parts[:, -2], parts[:, -1])
        order = np.concatenate([piece.reshape(-1) for piece in pieces])
        yield gather(fused, order, key=("qkv", n_kv))
        for theirs, ours, shape in (
            ("self_attention.dense", "attn_output", (n_embd, n_embd)),
            ("mlp.dense_h_to_4h", "ffn_up", (n_ff, n_embd)),
            ("mlp.dense_4h_to_h", "ffn_down", (n_embd, n_ff)),
        ):
            yield from self.pair(f"{source}.{theirs}", f"{name}.{ours}", shape, bias=False)


FAMILY = Family("falcon", "Falcon", recognise, read)
