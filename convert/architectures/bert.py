"""BERT and RoBERTa: encoders that make embeddings, not text.

Attention looks both ways, and norms come after. Pooler and language-model heads have no place in
llama.cpp's BERT. RoBERTa's positions begin behind its padding token's: those rows are cut.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from convert.architectures.family import Family
from convert.architectures.layer_norm import LayerNormReader
from convert.architectures.model import Model
from convert.checkpoints.checkpoint import Checkpoint
from convert.checkpoints.operations import cut
from convert.checkpoints.tensor import Tensor
from convert.errors import ArchitectureError
from convert.questions import Choice, Question

_TYPES = {"bert": "BERT", "roberta": "RoBERTa", "xlm-roberta": "XLM-RoBERTa"}
_KIND = Question(
    "kind",
    "BERT or RoBERTa: their tensors are named alike, and RoBERTa's first positions are not used.",
    (
        Choice("bert", "BERT, MiniLM and most models for embeddings"),
        Choice("roberta", "positions begin behind the padding token's"),
        Choice("xlm-roberta", "the same for many languages"),
    ),
)
_HEADS = r"(?:.*\.)?(?:pooler|cls|lm_head|classifier|qa_outputs)\..*"
# llama.cpp's enum llama_pooling_type, by sentence-transformers' switches.
_POOLING = {"pooling_mode_mean_tokens": 1, "pooling_mode_cls_token": 2}
_MEAN = 1
_LINEARS = (
    ("attention.self.query", "attn_q"),
    ("attention.self.key", "attn_k"),
    ("attention.self.value", "attn_v"),
    ("attention.output.dense", "attn_output"),
)


def recognise(checkpoint: Checkpoint) -> bool:
    """Whether config.json names this family."""
    kind = checkpoint.config.get("model_type")
    return isinstance(kind, str) and kind in _TYPES


def read(checkpoint: Checkpoint) -> Model:
    """The model in `checkpoint`. Raises `ArchitectureError`."""
    return _Reader(checkpoint).model()


class _Reader(LayerNormReader):
    def __init__(self, checkpoint: Checkpoint) -> None:
        kind = checkpoint.config.get("model_type")
        if kind not in tuple(_TYPES):  # the user names the family, and the checkpoint none
            kind = checkpoint.ask(_KIND)
        prefixes = ("bert.", "roberta.")
        tensors = {
            name.removeprefix(next((p for p in prefixes if name.startswith(p)), "")): tensor
            for name, tensor in checkpoint.tensors.items()
        }
        self._kind = str(kind)
        super().__init__(replace(checkpoint, tensors=tensors), f"a {_TYPES[self._kind]}")
        self._folder = checkpoint.folder

    def model(self) -> Model:
        """The model."""
        taker, settings = self.taker, self.settings
        because = "llama.cpp's BERT adds learned positions once"
        settings.require("position_embedding_type", ("absolute",), because)
        settings.require("is_decoder", (False,), "llama.cpp's BERT looks both ways")
        settings.require("add_cross_attention", (False,), "llama.cpp's BERT has one input")
        n_vocab, n_embd = taker.shape("embeddings.word_embeddings.weight")
        n_types, _ = taker.shape("embeddings.token_type_embeddings.weight")
        n_layer = taker.count_layers(r"encoder\.layer\.(\d+)\.")
        n_ff, _ = taker.shape("encoder.layer.0.intermediate.dense.weight")
        n_head = settings.integer("num_attention_heads")
        if n_embd % n_head:
            raise ArchitectureError(f"{n_head} heads do not divide the width {n_embd}.")
        notes = self.check_gelu("hidden_act")
        positions = self._positions(n_embd)
        tensors = [
            self._table("word_embeddings", "token_embd", (n_vocab, n_embd)),
            self._table("token_type_embeddings", "token_types", (n_types, n_embd)),
            positions,
            *self.pair("embeddings.LayerNorm", "token_embd_norm", (n_embd,)),
        ]
        for layer in range(n_layer):
            tensors += self._layer(layer, n_embd, n_ff)
        taker.ignore(r"embeddings\.position_ids", "positions are counted")
        taker.ignore(_HEADS, "a head for training: the file makes embeddings")
        return Model(
            arch="bert",
            layout="hf",
            hparams={
                "context_length": positions.shape[0],
                "embedding_length": n_embd,
                "block_count": n_layer,
                "feed_forward_length": n_ff,
                "attention.head_count": n_head,
                "attention.layer_norm_epsilon": settings.number("layer_norm_eps"),
                "attention.causal": False,
                "pooling_type": self._pooling(),
            },
            tensors=tuple(tensors),
            ignored=taker.finish(),
            evidence=(
                f"config.json says {self._kind!r}, and the tensor names agree.",
                f"{n_layer} layers, {n_embd} wide, {n_head} heads, {positions.shape[0]} positions.",
            ),
            notes=("Makes embeddings (`chatapp embed`): not a model to chat with.", *notes),
            embeddings=True,
        )

    def _table(self, source: str, name: str, shape: tuple[int, int]) -> Tensor:
        return self.taker.take(f"embeddings.{source}.weight", shape).rename(f"{name}.weight")

    def _positions(self, n_embd: int) -> Tensor:
        n_rows, _ = self.taker.shape("embeddings.position_embeddings.weight")
        table = self._table("position_embeddings", "position_embd", (n_rows, n_embd))
        if self._kind == "bert":
            return table
        first = int(self.settings.number("pad_token_id", default=1)) + 1
        if not 0 < first < n_rows:
            raise ArchitectureError(f"pad_token_id leaves no positions of {n_rows}.")
        return cut(table, first, n_rows)

    def _layer(self, layer: int, n_embd: int, n_ff: int) -> Iterator[Tensor]:
        source, name = f"encoder.layer.{layer}", f"blk.{layer}"
        for theirs, ours in _LINEARS:
            yield from self.pair(f"{source}.{theirs}", f"{name}.{ours}", (n_embd, n_embd))
        norm = f"{source}.attention.output.LayerNorm"
        yield from self.pair(norm, f"{name}.attn_output_norm", (n_embd,))
        yield from self.pair(f"{source}.intermediate.dense", f"{name}.ffn_up", (n_ff, n_embd))
        yield from self.pair(f"{source}.output.dense", f"{name}.ffn_down", (n_embd, n_ff))
        yield from self.pair(f"{source}.output.LayerNorm", f"{name}.layer_output_norm", (n_embd,))

    def _pooling(self) -> int:
        """What sentence-transformers says beside the model; the mean where nothing is said."""
        path: Path = self._folder / "1_Pooling" / "config.json"
        try:
            said = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        except (OSError, ValueError, RecursionError):
            said = {}
        found = [n for key, n in _POOLING.items() if isinstance(said, dict) and said.get(key)]
        return found[0] if len(found) == 1 else _MEAN


FAMILY = Family("bert", "BERT and RoBERTa (embeddings)", recognise, read, embeddings=True)
