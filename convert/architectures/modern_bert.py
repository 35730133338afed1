"""ModernBERT: an encoder with rope, norms before its blocks, gated GELU, and a window in two layers
of three."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from convert.architectures.family import Family
from convert.architectures.layer_norm import LayerNormReader
from convert.architectures.model import Model
from convert.architectures.pooling import MEAN, find_pooling, note_length
from convert.architectures.taking import by_new_name
from convert.checkpoints.checkpoint import Checkpoint
from convert.checkpoints.tensor import Tensor
from convert.errors import ArchitectureError

_EVERY = 3  # llama.cpp's default of the layers that see everything
_GLOBAL, _LOCAL = 160_000.0, 10_000.0
_HEADS = r"(?:head|decoder|classifier)\..*"


def recognise(checkpoint: Checkpoint) -> bool:
    """Whether the config.json of `checkpoint` names this family."""
    return checkpoint.config.get("model_type") == "modernbert"


def read(checkpoint: Checkpoint) -> Model:
    """The model in `checkpoint`. Raises `ArchitectureError`."""
    return _Reader(checkpoint).model()


class _Reader(LayerNormReader):
    def __init__(self, checkpoint: Checkpoint) -> None:
        tensors = by_new_name(
            (name.removeprefix("model."), tensor) for name, tensor in checkpoint.tensors.items()
        )
        super().__init__(replace(checkpoint, tensors=tensors), "a ModernBERT")
        self._folder = checkpoint.folder

    def model(self) -> Model:
        """The model that the checkpoint holds. Raises `ArchitectureError`."""
        taker, settings = self.taker, self.settings
        for name in ("attention_bias", "mlp_bias", "norm_bias"):
            settings.require(name, (False,), "llama.cpp's ModernBERT has no biases")
        n_vocab, n_embd = taker.shape("embeddings.tok_embeddings.weight")
        _, n_ff = taker.shape("layers.0.mlp.Wo.weight")
        n_layer = taker.count_layers(r"layers\.(\d+)\.")
        n_head, n_ctx = (
            settings.integer("num_attention_heads"),
            settings.integer("max_position_embeddings"),
        )
        if n_embd % n_head:
            raise ArchitectureError(f"{n_head} heads do not divide the width {n_embd}.")
        notes = self.check_gelu("hidden_activation")
        bases = self._rope()
        every = self._check_layers(n_layer)
        tensors = [
            self._take("embeddings.tok_embeddings", "token_embd", (n_vocab, n_embd)),
            self._take("embeddings.norm", "token_embd_norm", (n_embd,)),
        ]
        for layer in range(n_layer):
            tensors += self._layer(layer, n_embd, n_ff)
        tensors.append(self._take("final_norm", "output_norm", (n_embd,)))
        taker.ignore(_HEADS, "a head for training: the file makes embeddings")
        return Model(
            arch="modern-bert",
            layout="hf",
            hparams={
                "context_length": n_ctx,
                "embedding_length": n_embd,
                "block_count": n_layer,
                "feed_forward_length": n_ff,
                "attention.head_count": n_head,
                "attention.layer_norm_epsilon": settings.number("norm_eps", default=1e-5),
                "attention.causal": False,
                "attention.sliding_window": settings.integer("local_attention"),
                "attention.sliding_window_pattern": every,
                "rope.freq_base": bases[0],
                "rope.freq_base_swa": bases[1],
                "pooling_type": find_pooling(self._folder) or MEAN,
            },
            tensors=tuple(tensors),
            ignored=taker.finish(),
            evidence=(
                "config.json says 'modernbert', and the tensor names agree.",
                f"{n_layer} layers, {n_embd} wide, {n_head} heads, one of {every} sees everything.",
            ),
            notes=(
                "Makes embeddings (`chatapp embed`): not a model to chat with.",
                *notes,
                *note_length(self._folder, n_ctx),
            ),
            embeddings=True,
        )

    def _take(self, source: str, name: str, shape: tuple[int, ...]) -> Tensor:
        return self.taker.take(f"{source}.weight", shape).rename(f"{name}.weight")

    def _layer(self, layer: int, n_embd: int, n_ff: int) -> Iterator[Tensor]:
        source, name = f"layers.{layer}", f"blk.{layer}"
        if layer:  # the first has the norm of the embedding
            yield self._take(f"{source}.attn_norm", f"{name}.attn_norm", (n_embd,))
        yield self._take(f"{source}.attn.Wqkv", f"{name}.attn_qkv", (3 * n_embd, n_embd))
        yield self._take(f"{source}.attn.Wo", f"{name}.attn_output", (n_embd, n_embd))
        yield self._take(f"{source}.mlp_norm", f"{name}.ffn_norm", (n_embd,))
        yield self._take(f"{source}.mlp.Wi", f"{name}.ffn_up", (2 * n_ff, n_embd))
        yield self._take(f"{source}.mlp.Wo", f"{name}.ffn_down", (n_embd, n_ff))

    def _rope(self) -> tuple[float, float]:
        """The bases of rope where everything is seen, and in a window."""
        said: Any = self.settings.raw("rope_parameters")
        found: list[float] = []
        for kind, older, usual in (
            ("full_attention", "global_rope_theta", _GLOBAL),
            ("sliding_attention", "local_rope_theta", _LOCAL),
        ):
            own = said.get(kind) if isinstance(said, dict) else None
            own = own if isinstance(own, dict) else {}
            if own.get("rope_type", "default") != "default" or self.settings.has("rope_scaling"):
                raise ArchitectureError("Rope is scaled, which llama.cpp's ModernBERT is not.")
            base = own.get("rope_theta", self.settings.number(older, default=usual))
            if isinstance(base, bool) or not isinstance(base, int | float) or not base > 0:
                raise ArchitectureError(f"rope_theta is {base!r:.40}, not a number > 0.")
            found.append(float(base))
        return found[0], found[1]

    def _check_layers(self, n_layer: int) -> int:
        """Every how many layers one sees everything, from the first on."""
        every = self.settings.integer("global_attn_every_n_layers", default=_EVERY)
        layers = self.settings.raw("layer_types")
        if layers is None:
            return every
        for guess in range(1, n_layer + 2):
            usual = ["sliding_attention" if i % guess else "full_attention" for i in range(n_layer)]
            if layers == usual:
                return guess
        raise ArchitectureError(
            "layer_types has no pattern that llama.cpp's ModernBERT knows: one layer of so many "
            "sees everything, the first among them."
        )


FAMILY = Family("modernbert", "ModernBERT (embeddings)", recognise, read, embeddings=True)
