"""GPT-NeoX and Pythia: rotary positions on a part of each head, LayerNorm, Q, K and V fused.

Hugging Face fuses them head by head [head, 3, d/head]; llama.cpp wants all of Q, then K, then V.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from convert.architectures import litgpt
from convert.architectures.family import Family
from convert.architectures.layer_norm import LayerNormReader
from convert.architectures.model import Model
from convert.architectures.rope import read_rope
from convert.checkpoints.checkpoint import Checkpoint
from convert.checkpoints.operations import gather
from convert.checkpoints.tensor import Tensor
from convert.errors import ArchitectureError


def recognise(checkpoint: Checkpoint) -> bool:
    """Whether config.json names this family, or the names are litgpt's with its MLP."""
    return checkpoint.config.get("model_type") == "gpt_neox" or litgpt.is_neox(checkpoint)


def read(checkpoint: Checkpoint) -> Model:
    """The model in `checkpoint`. Raises `ArchitectureError`."""
    if litgpt.is_neox(checkpoint):
        return _Reader(litgpt.as_neox(checkpoint), "litgpt-neox").model()
    return _Reader(checkpoint, "hf").model()


class _Reader(LayerNormReader):
    def __init__(self, checkpoint: Checkpoint, layout: str) -> None:
        super().__init__(checkpoint, "a GPT-NeoX", "gpt_neox.")
        self._layout = layout

    def model(self) -> Model:
        """The model that the checkpoint holds. Raises `ArchitectureError`."""
        taker, settings = self.taker, self.settings
        n_vocab, n_embd = taker.shape("gpt_neox.embed_in.weight")
        n_layer = taker.count_layers(r"gpt_neox\.layers\.(\d+)\.")
        n_ff, _ = taker.shape("gpt_neox.layers.0.mlp.dense_h_to_4h.weight")
        n_head = settings.integer("num_attention_heads")
        if n_embd % n_head:
            raise ArchitectureError(f"{n_head} heads do not divide the width {n_embd}.")
        share = settings.raw("rotary_pct", "partial_rotary_factor")
        if share is None:
            parameters = settings.raw("rope_parameters")
            share = parameters.get("partial_rotary_factor") if isinstance(parameters, dict) else 1
        n_rot = int(n_embd // n_head * float(share or 1))
        n_ctx = settings.integer("max_position_embeddings")
        rope = read_rope(settings, n_rot, n_ctx)
        notes = self.check_gelu("hidden_act")
        tensors = [
            taker.take("gpt_neox.embed_in.weight", (n_vocab, n_embd)).rename("token_embd.weight")
        ]
        for layer in range(n_layer):
            tensors += self._layer(layer, n_embd, n_ff, n_head)
        tensors += self.pair("gpt_neox.final_layer_norm", "output_norm", (n_embd,))
        head = taker.take("embed_out.weight", (n_vocab, n_embd))
        tensors.append(head.rename("output.weight"))
        taker.ignore(r".*attention\.(?:bias|masked_bias)", "causal mask: llama.cpp makes its own")
        taker.ignore(r".*rotary_emb\.inv_freq", "computed from the rope base")
        return Model(
            arch="gptneox",
            layout=self._layout,
            hparams={
                "context_length": min(n_ctx, rope.n_ctx or n_ctx),
                "embedding_length": n_embd,
                "block_count": n_layer,
                "feed_forward_length": n_ff,
                "attention.head_count": n_head,
                "attention.layer_norm_epsilon": settings.number("layer_norm_eps"),
                "use_parallel_residual": settings.flag("use_parallel_residual", default=True),
                **rope.hparams,
            },
            tensors=tuple(tensors),
            ignored=taker.finish(),
            evidence=(
                f"Tensor names are those of {self._layout} for GPT-NeoX.",
                f"{n_layer} layers, {n_embd} wide, {n_head} heads, {n_rot} rotary dimensions.",
            ),
            notes=(*rope.notes, *notes),
        )

    def _layer(self, layer: int, n_embd: int, n_ff: int, n_head: int) -> Iterator[Tensor]:
        source, name = f"gpt_neox.layers.{layer}", f"blk.{layer}"
        yield from self.pair(f"{source}.input_layernorm", f"{name}.attn_norm", (n_embd,))
        qkv = self.pair(
            f"{source}.attention.query_key_value", f"{name}.attn_qkv", (3 * n_embd, n_embd)
        )
        in_a_row = self.settings.flag("qkv_in_a_row", default=False)
        order = np.arange(3 * n_embd).reshape(n_head, 3, -1).swapaxes(0, 1).reshape(-1)
        for tensor in qkv:
            yield tensor if in_a_row else gather(tensor, order, key=("qkv", n_head))
        yield from self.pair(f"{source}.attention.dense", f"{name}.attn_output", (n_embd, n_embd))
        yield from self.pair(f"{source}.post_attention_layernorm", f"{name}.ffn_norm", (n_embd,))
        yield from self.pair(f"{source}.mlp.dense_h_to_4h", f"{name}.ffn_up", (n_ff, n_embd))
        yield from self.pair(f"{source}.mlp.dense_4h_to_h", f"{name}.ffn_down", (n_embd, n_ff))


FAMILY = Family("gptneox", "GPT-NeoX and Pythia (Hugging Face, litgpt)", recognise, read)
