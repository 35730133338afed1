"""StarCoder2: rope and grouped attention as in a Llama, LayerNorm and a plain MLP as in a GPT-2."""

from __future__ import annotations

from collections.abc import Iterator

from convert.architectures.family import Family
from convert.architectures.layer_norm import LayerNormReader
from convert.architectures.model import Model
from convert.architectures.rope import read_rope
from convert.checkpoints.checkpoint import Checkpoint
from convert.checkpoints.tensor import Tensor


def recognise(checkpoint: Checkpoint) -> bool:
    """Whether the config.json of `checkpoint` names this family."""
    return checkpoint.config.get("model_type") == "starcoder2"


def read(checkpoint: Checkpoint) -> Model:
    """The model in `checkpoint`. Raises `ArchitectureError`."""
    return _Reader(checkpoint, "a StarCoder2", "model.").model()


class _Reader(LayerNormReader):
    def model(self) -> Model:
        """The model that the checkpoint holds. Raises `ArchitectureError`."""
        taker, settings = self.taker, self.settings
        settings.require("norm_type", ("layer_norm",), "llama.cpp's StarCoder2 has LayerNorm")
        settings.require("mlp_type", ("default",), "llama.cpp's StarCoder2 has a plain MLP")
        embedding, head = "model.embed_tokens.weight", "lm_head.weight"
        n_vocab, n_embd = taker.shape(embedding)
        n_layer = taker.count_layers(r"model\.layers\.(\d+)\.")
        n_ff, _ = taker.shape("model.layers.0.mlp.c_fc.weight")
        n_head = settings.integer("num_attention_heads")
        n_kv = settings.integer("num_key_value_heads", default=n_head)
        head_dim = n_embd // n_head
        n_ctx = settings.integer("max_position_embeddings")
        window = settings.raw("sliding_window")
        rope = read_rope(settings, head_dim, n_ctx)
        notes = self.check_gelu("hidden_act")
        if isinstance(window, int) and 0 < window < n_ctx:
            notes += (f"Attention slides over {window} positions: the file is limited to them.",)
            n_ctx = window
        tensors = [taker.take(embedding, (n_vocab, n_embd)).rename("token_embd.weight")]
        for layer in range(n_layer):
            tensors += self._layer(layer, n_embd, n_ff, n_kv * head_dim)
        tensors += self.pair("model.norm", "output_norm", (n_embd,))
        if not taker.ignore_tied(head, embedding) and head in taker:
            tensors.append(taker.take(head, (n_vocab, n_embd)).rename("output.weight"))
        return Model(
            arch="starcoder2",
            layout="hf",
            hparams={
                "context_length": min(n_ctx, rope.n_ctx or n_ctx),
                "embedding_length": n_embd,
                "block_count": n_layer,
                "feed_forward_length": n_ff,
                "attention.head_count": n_head,
                "attention.head_count_kv": n_kv,
                "attention.layer_norm_epsilon": settings.number("norm_epsilon"),
                **rope.hparams,
            },
            tensors=tuple(tensors),
            ignored=taker.finish(),
            evidence=(
                "config.json says 'starcoder2', and the tensor names agree.",
                f"{n_layer} layers, {n_embd} wide, {n_head} heads over {n_kv} key-value heads.",
            ),
            notes=(*rope.notes, *notes),
        )

    def _layer(self, layer: int, n_embd: int, n_ff: int, n_kv: int) -> Iterator[Tensor]:
        source, name = f"model.layers.{layer}", f"blk.{layer}"
        yield from self.pair(f"{source}.input_layernorm", f"{name}.attn_norm", (n_embd,))
        for letter, rows in (("q", n_embd), ("k", n_kv), ("v", n_kv)):
            yield from self.pair(
                f"{source}.self_attn.{letter}_proj", f"{name}.attn_{letter}", (rows, n_embd)
            )
        yield from self.pair(f"{source}.self_attn.o_proj", f"{name}.attn_output", (n_embd, n_embd))
        yield from self.pair(f"{source}.post_attention_layernorm", f"{name}.ffn_norm", (n_embd,))
        yield from self.pair(f"{source}.mlp.c_fc", f"{name}.ffn_up", (n_ff, n_embd))
        yield from self.pair(f"{source}.mlp.c_proj", f"{name}.ffn_down", (n_embd, n_ff))


FAMILY = Family("starcoder2", "StarCoder2", recognise, read)
