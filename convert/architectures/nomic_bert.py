"""nomic-embed: a BERT with rope and a gated MLP, in its authors' names or in transformers'."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from convert.architectures.family import Family
from convert.architectures.layer_norm import LayerNormReader
from convert.architectures.model import Model
from convert.architectures.pooling import MEAN, find_pooling, note_length
from convert.architectures.taking import by_new_name
from convert.checkpoints.checkpoint import Checkpoint
from convert.checkpoints.operations import concat
from convert.checkpoints.tensor import Tensor
from convert.errors import ArchitectureError

_HEADS = r"(?:cls|pooler|lm_head|classifier)\..*"
_PARTS = ("q_proj", "k_proj", "v_proj")
# transformers' names to their authors'
_NAMES = {
    "self_attn.o_proj": "attn.out_proj",
    "mlp.up_proj": "mlp.fc11",
    "mlp.gate_proj": "mlp.fc12",
    "mlp.down_proj": "mlp.fc2",
    "post_attention_layernorm": "norm1",
    "post_mlp_layernorm": "norm2",
}


def recognise(checkpoint: Checkpoint) -> bool:
    """Whether the config.json of `checkpoint` names this family."""
    return checkpoint.config.get("model_type") == "nomic_bert"


def read(checkpoint: Checkpoint) -> Model:
    """The model in `checkpoint`. Raises `ArchitectureError`."""
    return _Reader(checkpoint).model()


def _spell(name: str) -> str:
    """The authors' name of a tensor."""
    name = name.removeprefix("model.").removeprefix("bert.").removeprefix("nomic_bert.")
    name = name.replace("embeddings.LayerNorm.", "emb_ln.")
    if name.startswith("layers."):
        name = f"encoder.{name}"
    for theirs, ours in _NAMES.items():
        name = name.replace(f".{theirs}.", f".{ours}.")
    return name


class _Reader(LayerNormReader):
    def __init__(self, checkpoint: Checkpoint) -> None:
        tensors = by_new_name((_spell(name), t) for name, t in checkpoint.tensors.items())
        super().__init__(replace(checkpoint, tensors=tensors), "a nomic-embed")
        self._folder = checkpoint.folder

    def model(self) -> Model:
        """The model that the checkpoint holds. Raises `ArchitectureError`."""
        taker, settings = self.taker, self.settings
        self._check()
        n_vocab, n_embd = taker.shape("embeddings.word_embeddings.weight")
        n_types, _ = taker.shape("embeddings.token_type_embeddings.weight")
        n_ff, _ = taker.shape("encoder.layers.0.mlp.fc11.weight")
        n_layer = taker.count_layers(r"encoder\.layers\.(\d+)\.")
        n_head = settings.integer("num_attention_heads", "n_head")
        n_ctx = settings.integer("max_position_embeddings", "max_trained_positions", "n_positions")
        if n_embd % n_head:
            raise ArchitectureError(f"{n_head} heads do not divide the width {n_embd}.")
        tensors = [
            self._take("embeddings.word_embeddings", "token_embd", (n_vocab, n_embd)),
            self._take("embeddings.token_type_embeddings", "token_types", (n_types, n_embd)),
            *self.pair("emb_ln", "token_embd_norm", (n_embd,)),
        ]
        for layer in range(n_layer):
            tensors += self._layer(layer, n_embd, n_ff)
        taker.ignore(_HEADS, "a head for training: the file makes embeddings")
        epsilon = settings.number("layer_norm_eps", "layer_norm_epsilon", default=1e-12)
        return Model(
            arch="nomic-bert",
            layout="hf",
            hparams={
                "context_length": n_ctx,
                "embedding_length": n_embd,
                "block_count": n_layer,
                "feed_forward_length": n_ff,
                "attention.head_count": n_head,
                "attention.layer_norm_epsilon": epsilon,
                "attention.causal": False,
                "rope.freq_base": self._base(),
                "pooling_type": find_pooling(self._folder) or MEAN,
            },
            tensors=tuple(tensors),
            ignored=taker.finish(),
            evidence=(
                "config.json says 'nomic_bert', and the tensor names agree.",
                f"{n_layer} layers, {n_embd} wide, {n_head} heads.",
            ),
            notes=(
                "Makes embeddings (`chatapp embed`): not a model to chat with.",
                "Texts begin with what they are for: `search_query: `, `search_document: ` …",
                *note_length(self._folder, n_ctx),
            ),
            embeddings=True,
        )

    def _check(self) -> None:
        settings = self.settings
        one = "llama.cpp's nomic-embed has SwiGLU and no other"
        settings.require("activation_function", ("swiglu", "silu"), one)
        settings.require("hidden_act", ("silu", "swish"), one)
        settings.require("prenorm", (False,), "llama.cpp's nomic-embed has its norms behind")
        settings.require("causal", (False,), "llama.cpp's nomic-embed looks both ways")
        settings.require("rotary_emb_fraction", (1, 1.0), "llama.cpp turns the whole head")
        settings.require("rotary_emb_interleaved", (False,), "llama.cpp turns halves")
        settings.require("rotary_emb_scale_base", (), "llama.cpp has no scaled rope here")
        settings.require("moe_every_n_layers", (0, -1), "experts are another architecture")

    def _base(self) -> float:
        said = self.settings.raw("rope_parameters")
        said = said if isinstance(said, dict) else {}
        if said.get("rope_type", "default") != "default":
            raise ArchitectureError("Rope is scaled, which is not converted for nomic-embed.")
        base = said.get("rope_theta", self.settings.number("rotary_emb_base", default=1000.0))
        if isinstance(base, bool) or not isinstance(base, int | float) or not base > 0:
            raise ArchitectureError(f"rope_theta is {base!r:.40}, not a number > 0.")
        return float(base)

    def _take(self, source: str, name: str, shape: tuple[int, ...]) -> Tensor:
        return self.taker.take(f"{source}.weight", shape).rename(f"{name}.weight")

    def _layer(self, layer: int, n_embd: int, n_ff: int) -> Iterator[Tensor]:
        source, name = f"encoder.layers.{layer}", f"blk.{layer}"
        yield self._qkv(source, f"{name}.attn_qkv", n_embd)
        yield self._take(f"{source}.attn.out_proj", f"{name}.attn_output", (n_embd, n_embd))
        yield from self.pair(f"{source}.norm1", f"{name}.attn_output_norm", (n_embd,))
        yield self._take(f"{source}.mlp.fc11", f"{name}.ffn_up", (n_ff, n_embd))
        yield self._take(f"{source}.mlp.fc12", f"{name}.ffn_gate", (n_ff, n_embd))
        yield self._take(f"{source}.mlp.fc2", f"{name}.ffn_down", (n_embd, n_ff))
        yield from self.pair(f"{source}.norm2", f"{name}.layer_output_norm", (n_embd,))

    def _qkv(self, source: str, name: str, n_embd: int) -> Tensor:
        if f"{source}.attn.Wqkv.weight" in self.taker:
            return self._take(f"{source}.attn.Wqkv", name, (3 * n_embd, n_embd))
        parts = [
            self.taker.take(f"{source}.self_attn.{part}.weight", (n_embd, n_embd))
            for part in _PARTS
        ]
        return concat(f"{name}.weight", parts)


FAMILY = Family("nomic-bert", "nomic-embed (embeddings)", recognise, read, embeddings=True)
