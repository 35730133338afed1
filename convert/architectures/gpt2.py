"""The GPT-2 family: learned positions, LayerNorm before attention and MLP, fused QKV, GELU.

Now read: nanoGPT's spelling. Its `Linear` weights are [out, in] as GGUF wants them and are not
transposed (Hugging Face's `Conv1D` ones would be). llama.cpp insists on every bias, so a model
trained with bias=False gets zeros: the same function, a few kilobytes more. llama.cpp computes GELU
by its tanh form and nanoGPT by erf: the logits differ by about 1e-3, measured KL 3e-9.
"""

from __future__ import annotations

from collections.abc import Iterator

from convert.architectures.family import Family
from convert.architectures.model import Model
from convert.architectures.settings import Settings
from convert.architectures.taking import Taker
from convert.checkpoints.checkpoint import Checkpoint
from convert.checkpoints.operations import zeros
from convert.checkpoints.tensor import Tensor
from convert.errors import ArchitectureError

_LAYER_NORM_EPSILON = 1e-5  # nanoGPT's LayerNorm gives no other
_TOKENS = "transformer.wte.weight"
_POSITIONS = "transformer.wpe.weight"
_HEAD = "lm_head.weight"


def recognise(checkpoint: Checkpoint) -> bool:
    """Whether the tensor names are nanoGPT's."""
    return {_TOKENS, "transformer.h.0.attn.c_attn.weight"} <= checkpoint.tensors.keys()


def read(checkpoint: Checkpoint) -> Model:
    """The model in `checkpoint`. Raises `ArchitectureError` naming the first thing amiss."""
    return _Reader(checkpoint).model()


class _Reader:
    def __init__(self, checkpoint: Checkpoint) -> None:
        self._config = Settings(checkpoint)
        self._taker = Taker(checkpoint, "a GPT-2")
        self._zeros = 0

    def model(self) -> Model:
        taker = self._taker
        n_vocab, n_embd = taker.shape(_TOKENS)
        n_ctx, _ = taker.shape(_POSITIONS)
        n_layer = taker.count_layers(r"transformer\.h\.(\d+)\.")
        n_ff, _ = taker.shape("transformer.h.0.mlp.c_fc.weight")
        n_head = self._config.integer("n_head")
        if n_embd % n_head:
            raise ArchitectureError(
                f"n_head is {n_head}, which does not divide the width {n_embd}."
            )
        self._compare(n_layer=n_layer, n_embd=n_embd, block_size=n_ctx, vocab_size=n_vocab)
        tensors = [
            taker.take(_TOKENS, (n_vocab, n_embd)).rename("token_embd.weight"),
            taker.take(_POSITIONS, (n_ctx, n_embd)).rename("position_embd.weight"),
        ]
        for layer in range(n_layer):
            tensors += self._block(layer, n_embd, n_ff)
        tensors += self._pair("transformer.ln_f", "output_norm", (n_embd,))
        if not taker.ignore_tied(_HEAD, _TOKENS) and _HEAD in taker:
            tensors.append(taker.take(_HEAD, (n_vocab, n_embd)).rename("output.weight"))
        taker.ignore(
            r"transformer\.h\.\d+\.attn\.(?:bias|masked_bias)",
            "causal mask: llama.cpp makes its own",
        )
        return Model(
            arch="gpt2",
            layout="nanogpt",
            hparams={
                "context_length": n_ctx,
                "embedding_length": n_embd,
                "block_count": n_layer,
                "feed_forward_length": n_ff,
                "attention.head_count": n_head,
                "attention.layer_norm_epsilon": _LAYER_NORM_EPSILON,
            },
            tensors=tuple(tensors),
            ignored=taker.finish(),
            evidence=self._evidence(n_layer, n_head, n_embd, n_ctx),
        )

    def _evidence(self, n_layer: int, n_head: int, n_embd: int, n_ctx: int) -> tuple[str, ...]:
        lines = [
            "Tensor names are nanoGPT's (transformer.h.N.attn.c_attn): a GPT-2 with Linear layers.",
            f"{n_layer} layers, {n_embd} wide, {n_ctx} positions by shape; {n_head} heads as said.",
        ]
        if self._zeros:
            lines.append(
                f"Trained without biases: {self._zeros} zero vectors are added, as llama.cpp "
                "asks for them."
            )
        return tuple(lines)

    def _compare(self, **seen: int) -> None:
        for key, value in seen.items():
            said = self._config.raw(key)
            if said is not None and said != value:
                raise ArchitectureError(
                    f"{key} is {said!r:.40} by the configuration, but the tensors have {value}.",
                    "The checkpoint and its configuration do not belong together.",
                )

    def _pair(self, source: str, name: str, shape: tuple[int, ...]) -> Iterator[Tensor]:
        yield self._taker.take(f"{source}.weight", shape).rename(f"{name}.weight")
        bias = self._taker.take_if_there(f"{source}.bias", shape[:1])
        self._zeros += bias is None
        yield bias.rename(f"{name}.bias") if bias else zeros(f"{name}.bias", shape[:1])

    def _block(self, layer: int, n_embd: int, n_ff: int) -> Iterator[Tensor]:
        source, name = f"transformer.h.{layer}", f"blk.{layer}"
        yield from self._pair(f"{source}.ln_1", f"{name}.attn_norm", (n_embd,))
        yield from self._pair(f"{source}.attn.c_attn", f"{name}.attn_qkv", (3 * n_embd, n_embd))
        yield from self._pair(f"{source}.attn.c_proj", f"{name}.attn_output", (n_embd, n_embd))
        yield from self._pair(f"{source}.ln_2", f"{name}.ffn_norm", (n_embd,))
        yield from self._pair(f"{source}.mlp.c_fc", f"{name}.ffn_up", (n_ff, n_embd))
        yield from self._pair(f"{source}.mlp.c_proj", f"{name}.ffn_down", (n_embd, n_ff))


FAMILY = Family("gpt2", "GPT-2 shape as nanoGPT writes it, bias on or off", recognise, read)
