"""T5 and its kin (FLAN-T5, T5 1.1, mT5, UMT5): an encoder reads, a decoder says.

Positions are a bias by distance, in buckets, which the first layer has for all (in UMT5 each has
its own). Where the output is tied, T5 divides what goes into it by the root of the width, and
llama.cpp does not: the last norm's weights are divided instead, which is the same function.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from convert.architectures.family import Family
from convert.architectures.model import HParam, Model
from convert.architectures.settings import Settings
from convert.architectures.taking import Taker
from convert.checkpoints.checkpoint import Checkpoint
from convert.checkpoints.operations import affine
from convert.checkpoints.tensor import Tensor
from convert.errors import ArchitectureError

_TITLES = {"t5": "a T5", "mt5": "an mT5", "umt5": "a UMT5"}
_MAX_DISTANCE = 128  # llama_relative_position_bucket has no other
_TABLES = ("shared", "encoder.embed_tokens", "decoder.embed_tokens")
_DEFAULT_N_CTX = 512  # T5's; later configurations name none

_SCALED = "What goes into the output is divided by the root of the width: the last norm has that."
_ONE_TEXT = "It answers a text with a text, and keeps no conversation: it reads a message alone."


@dataclass(frozen=True)
class _Shape:
    n_vocab: int
    n_embd: int
    n_inner: int
    """Numbers in all heads together."""
    n_head: int
    n_ff: int
    n_buckets: int
    is_gated: bool


def recognise(checkpoint: Checkpoint) -> bool:
    """Whether the config.json of `checkpoint` names this family."""
    kind = checkpoint.config.get("model_type")
    return isinstance(kind, str) and kind in _TITLES


def read(checkpoint: Checkpoint) -> Model:
    """The model in `checkpoint`. Raises `ArchitectureError`."""
    return _Reader(checkpoint).model()


class _Reader:
    def __init__(self, checkpoint: Checkpoint) -> None:
        kind = str(checkpoint.config.get("model_type", "t5"))
        self._kind = kind if kind in _TITLES else "t5"
        self._taker = Taker(checkpoint, _TITLES[self._kind])
        self._settings = Settings(checkpoint)

    def model(self) -> Model:
        """The model that the checkpoint holds. Raises `ArchitectureError`."""
        taker = self._taker
        n_enc = taker.count_layers(r"encoder\.block\.(\d+)\.")
        n_dec = taker.count_layers(r"decoder\.block\.(\d+)\.")
        if n_dec > n_enc:
            raise ArchitectureError(
                f"The decoder has {n_dec} layers and the encoder {n_enc}: llama.cpp has room for "
                "keys and values of as many as the encoder has.",
            )
        table = self._table()
        shape = self._shape(*table.shape)
        is_scaled = self._scales_output()
        output = self._output(table)
        ends = self._ends(shape, is_scaled=is_scaled)
        tensors = [table, *output, *ends]
        for layer in range(n_enc):
            tensors += self._layer(f"encoder.block.{layer}", f"enc.blk.{layer}", shape)
        for layer in range(n_dec):
            tensors += self._layer(
                f"decoder.block.{layer}", f"dec.blk.{layer}", shape, crosses=True
            )
        taker.ignore(
            r"decoder\.block\.0\.layer\.1\.EncDecAttention\.relative_attention_bias\.weight",
            "never used: what is read has no distance from what is said",
        )
        return Model(
            arch="t5",
            layout="encoder-decoder",
            hparams=self._hparams(shape, n_enc, n_dec),
            tensors=tuple(tensors),
            ignored=taker.finish(),
            evidence=(
                f"config.json says {self._kind!r}, and the tensor names agree.",
                f"{n_enc} layers read and {n_dec} say, {shape.n_embd} wide, {shape.n_head} heads.",
                f"The MLP is {'gated GELU' if shape.is_gated else 'ReLU'}.",
            ),
            notes=((_SCALED,) if is_scaled else ()) + (_ONE_TEXT,),
        )

    def _hparams(self, shape: _Shape, n_enc: int, n_dec: int) -> dict[str, HParam]:
        settings = self._settings
        epsilon = settings.number("layer_norm_epsilon")
        start = settings.number("decoder_start_token_id", "pad_token_id", default=0)
        if not 0 <= start < shape.n_vocab or start != int(start):
            raise ArchitectureError(f"decoder_start_token_id is {start:g}, which is no token.")
        return {
            "context_length": settings.integer("n_positions", default=_DEFAULT_N_CTX),
            "embedding_length": shape.n_embd,
            "feed_forward_length": shape.n_ff,
            "block_count": n_enc,
            "decoder_block_count": n_dec,
            "attention.head_count": shape.n_head,
            "attention.key_length": shape.n_inner // shape.n_head,
            "attention.value_length": shape.n_inner // shape.n_head,
            "attention.layer_norm_epsilon": epsilon,
            "attention.layer_norm_rms_epsilon": epsilon,
            "attention.relative_buckets_count": shape.n_buckets,
            "decoder_start_token_id": int(start),
        }

    def _shape(self, n_vocab: int, n_embd: int) -> _Shape:
        taker, settings = self._taker, self._settings
        is_gated = self._is_gated()
        wide = "wi_0" if is_gated else "wi"
        n_head = settings.integer("num_heads")
        n_inner, _ = taker.shape("encoder.block.0.layer.0.SelfAttention.q.weight")
        n_ff, _ = taker.shape(f"encoder.block.0.layer.1.DenseReluDense.{wide}.weight")
        n_buckets, _ = taker.shape(
            "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight"
        )
        if n_inner % n_head:
            raise ArchitectureError(f"{n_head} heads do not divide {n_inner} numbers.")
        distance = settings.integer("relative_attention_max_distance", default=_MAX_DISTANCE)
        if distance != _MAX_DISTANCE:
            raise ArchitectureError(
                f"relative_attention_max_distance is {distance}; llama.cpp has {_MAX_DISTANCE} "
                "and no other."
            )
        return _Shape(n_vocab, n_embd, n_inner, n_head, n_ff, n_buckets, is_gated)

    def _is_gated(self) -> bool:
        """Whether the MLP is gated GELU; else it is ReLU. llama.cpp has no other."""
        default = "relu" if self._kind == "t5" else "gated-gelu"
        said = self._settings.text("feed_forward_proj", default=default)
        if said not in ("relu", "gated-gelu"):
            raise ArchitectureError(
                f"feed_forward_proj is {said!r:.40}; llama.cpp's T5 has 'relu' and 'gated-gelu'."
            )
        return said == "gated-gelu"

    def _scales_output(self) -> bool:
        """Whether what goes into the output is divided by the root of the width: where it was
        trained with a tied one. transformers 5 writes that down under a name of its own, and says
        of every model that its output is tied."""
        if self._kind == "mt5":
            return False
        tied = self._settings.flag("tie_word_embeddings", default=True)
        return self._settings.flag("scale_decoder_outputs", default=tied)

    def _table(self) -> Tensor:
        """The embedding, which may be saved once, twice or three times."""
        names = [f"{name}.weight" for name in _TABLES if f"{name}.weight" in self._taker]
        if not names:
            names = [f"{_TABLES[0]}.weight"]
        first = names[0]
        table = self._taker.take(first, self._taker.shape(first)).rename("token_embd.weight")
        for other in names[1:]:
            if not self._taker.ignore_tied(other, first):
                raise ArchitectureError(
                    f"{other} and {first} differ; llama.cpp's T5 has one embedding."
                )
        return table

    def _output(self, table: Tensor) -> list[Tensor]:
        """The output's own matrix, or none where it is the embedding."""
        taker = self._taker
        if "lm_head.weight" not in taker or taker.ignore_tied("lm_head.weight", table.origin):
            return []
        return [taker.take("lm_head.weight", table.shape).rename("output.weight")]

    def _ends(self, shape: _Shape, *, is_scaled: bool) -> Iterator[Tensor]:
        for theirs, ours in (("encoder", "enc"), ("decoder", "dec")):
            norm = self._taker.take(f"{theirs}.final_layer_norm.weight", (shape.n_embd,))
            norm = norm.rename(f"{ours}.output_norm.weight")
            yield affine(norm, scale=shape.n_embd**-0.5) if is_scaled and ours == "dec" else norm

    def _layer(
        self, source: str, name: str, shape: _Shape, *, crosses: bool = False
    ) -> Iterator[Tensor]:
        yield from self._attention(f"{source}.layer.0", "SelfAttention", f"{name}.attn", shape)
        own = self._taker.take_if_there(
            f"{source}.layer.0.SelfAttention.relative_attention_bias.weight",
            (shape.n_buckets, shape.n_head),
        )
        if own is not None:
            yield own.rename(f"{name}.attn_rel_b.weight")
        if crosses:
            cross = f"{name}.cross_attn"
            yield from self._attention(f"{source}.layer.1", "EncDecAttention", cross, shape)
        yield from self._mlp(f"{source}.layer.{2 if crosses else 1}", name, shape)

    def _attention(self, source: str, kind: str, name: str, shape: _Shape) -> Iterator[Tensor]:
        taker, into = self._taker, (shape.n_inner, shape.n_embd)
        norm = taker.take(f"{source}.layer_norm.weight", (shape.n_embd,))
        yield norm.rename(f"{name}_norm.weight")
        for part in ("q", "k", "v"):
            yield taker.take(f"{source}.{kind}.{part}.weight", into).rename(f"{name}_{part}.weight")
        back = (shape.n_embd, shape.n_inner)
        yield taker.take(f"{source}.{kind}.o.weight", back).rename(f"{name}_o.weight")

    def _mlp(self, source: str, name: str, shape: _Shape) -> Iterator[Tensor]:
        taker, into = self._taker, (shape.n_ff, shape.n_embd)
        norm = taker.take(f"{source}.layer_norm.weight", (shape.n_embd,))
        yield norm.rename(f"{name}.ffn_norm.weight")
        parts = {"wi_0": "ffn_gate", "wi_1": "ffn_up"} if shape.is_gated else {"wi": "ffn_up"}
        for theirs, ours in parts.items():
            found = taker.take(f"{source}.DenseReluDense.{theirs}.weight", into)
            yield found.rename(f"{name}.{ours}.weight")
        down = taker.take(f"{source}.DenseReluDense.wo.weight", (shape.n_embd, shape.n_ff))
        yield down.rename(f"{name}.ffn_down.weight")


FAMILY = Family("t5", "T5 and its kin (FLAN-T5, mT5, UMT5: text to text)", recognise, read)
