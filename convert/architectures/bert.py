"""BERT, RoBERTa and DistilBERT: encoders that make embeddings, not text.

Attention looks both ways, and norms come after. Pooler and language-model heads have no place in
llama.cpp's BERT. RoBERTa's positions begin behind its padding token's: those rows are cut.
DistilBERT is a BERT in other names, without token types.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from convert.architectures.family import Family
from convert.architectures.layer_norm import LayerNormReader
from convert.architectures.model import Model
from convert.architectures.pooling import MEAN, find_pooling, note_length
from convert.architectures.taking import by_new_name
from convert.checkpoints.checkpoint import Checkpoint
from convert.checkpoints.operations import cut
from convert.checkpoints.tensor import Tensor
from convert.errors import ArchitectureError
from convert.questions import Choice, Question

_TYPES = {
    "bert": "BERT",
    "roberta": "RoBERTa",
    "xlm-roberta": "XLM-RoBERTa",
    "distilbert": "DistilBERT",
}
_KIND = Question(
    "kind",
    "BERT or RoBERTa: their tensors are named alike, and RoBERTa's first positions are not used.",
    (
        Choice("bert", "BERT, MiniLM and most models for embeddings"),
        Choice("roberta", "positions begin behind the padding token's"),
        Choice("xlm-roberta", "the same for many languages"),
    ),
)
_HEADS = r"(?:.*\.)?(?:pooler|cls|lm_head|classifier|qa_outputs|pre_classifier|vocab_\w+)\..*"
_LINEARS = (
    ("attention.self.query", "attn_q"),
    ("attention.self.key", "attn_k"),
    ("attention.self.value", "attn_v"),
    ("attention.output.dense", "attn_output"),
)


_DISTILLED = re.compile(r"transformer\.layer\.(\d+)\.(.+)\.(weight|bias)")
_NAMES = {
    "attention.q_lin": "attention.self.query",
    "attention.k_lin": "attention.self.key",
    "attention.v_lin": "attention.self.value",
    "attention.out_lin": "attention.output.dense",
    "sa_layer_norm": "attention.output.LayerNorm",
    "ffn.lin1": "intermediate.dense",
    "ffn.lin2": "output.dense",
    "output_layer_norm": "output.LayerNorm",
}
_DISTILLED_EPSILON = 1e-12  # in its code, not in its configuration


def recognise(checkpoint: Checkpoint) -> bool:
    """Whether the config.json of `checkpoint` names this family."""
    kind = checkpoint.config.get("model_type")
    return isinstance(kind, str) and kind in _TYPES


def read(checkpoint: Checkpoint) -> Model:
    """The model in `checkpoint`. Raises `ArchitectureError`."""
    return _Reader(checkpoint).model()


class _Reader(LayerNormReader):
    def __init__(self, checkpoint: Checkpoint) -> None:
        kind = checkpoint.config.get("model_type")
        if kind not in tuple(_TYPES):  # the user names the family, and the checkpoint none
            distilled = any(".attention.q_lin." in name for name in checkpoint.tensors)
            kind = "distilbert" if distilled else checkpoint.ask(_KIND)
        self._kind = str(kind)
        prefixes = ("bert.", "roberta.", "distilbert.")
        tensors = by_new_name(
            (self._spell(name.removeprefix(next(filter(name.startswith, prefixes), ""))), tensor)
            for name, tensor in checkpoint.tensors.items()
        )
        super().__init__(replace(checkpoint, tensors=tensors), f"a {_TYPES[self._kind]}")
        self._folder = checkpoint.folder

    def _spell(self, name: str) -> str:
        """BERT's name of a tensor."""
        found = _DISTILLED.fullmatch(name) if self._kind == "distilbert" else None
        if found is None or found[2] not in _NAMES:
            return name
        return f"encoder.layer.{found[1]}.{_NAMES[found[2]]}.{found[3]}"

    def model(self) -> Model:
        """The model that the checkpoint holds. Raises `ArchitectureError`."""
        taker, settings = self.taker, self.settings
        because = "llama.cpp's BERT adds learned positions once"
        settings.require("position_embedding_type", ("absolute",), because)
        settings.require("is_decoder", (False,), "llama.cpp's BERT looks both ways")
        settings.require("add_cross_attention", (False,), "llama.cpp's BERT has one input")
        n_vocab, n_embd = taker.shape("embeddings.word_embeddings.weight")
        n_layer = taker.count_layers(r"encoder\.layer\.(\d+)\.")
        n_ff, _ = taker.shape("encoder.layer.0.intermediate.dense.weight")
        n_head = settings.integer("num_attention_heads", "n_heads")
        if n_embd % n_head:
            raise ArchitectureError(f"{n_head} heads do not divide the width {n_embd}.")
        distilled = self._kind == "distilbert"
        notes = self.check_gelu("activation" if distilled else "hidden_act")
        epsilon = settings.number(
            "layer_norm_eps", default=_DISTILLED_EPSILON if distilled else None
        )
        positions = self._positions(n_embd)
        tensors = [
            self._table("word_embeddings", "token_embd", (n_vocab, n_embd)),
            *self._token_types(n_embd),
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
                "attention.layer_norm_epsilon": epsilon,
                "attention.causal": False,
                "pooling_type": find_pooling(self._folder) or MEAN,
            },
            tensors=tuple(tensors),
            ignored=taker.finish(),
            evidence=(
                f"config.json says {self._kind!r}, and the tensor names agree.",
                f"{n_layer} layers, {n_embd} wide, {n_head} heads, {positions.shape[0]} positions.",
            ),
            notes=(
                "Makes embeddings (`chatapp embed`): not a model to chat with.",
                *notes,
                *note_length(self._folder, positions.shape[0]),
            ),
            embeddings=True,
        )

    def _table(self, source: str, name: str, shape: tuple[int, int]) -> Tensor:
        return self.taker.take(f"embeddings.{source}.weight", shape).rename(f"{name}.weight")

    def _token_types(self, n_embd: int) -> list[Tensor]:
        if self._kind == "distilbert":
            return []
        n_types, _ = self.taker.shape("embeddings.token_type_embeddings.weight")
        return [self._table("token_type_embeddings", "token_types", (n_types, n_embd))]

    def _positions(self, n_embd: int) -> Tensor:
        n_rows, _ = self.taker.shape("embeddings.position_embeddings.weight")
        table = self._table("position_embeddings", "position_embd", (n_rows, n_embd))
        if self._kind in ("bert", "distilbert"):
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


FAMILY = Family(
    "bert", "BERT and RoBERTa, DistilBERT (embeddings)", recognise, read, embeddings=True
)
