"""The GPT-2 family: learned positions, LayerNorm before attention and MLP, fused QKV, GELU.

Now read: nanoGPT's spelling. Its `Linear` weights are [out, in] as GGUF wants them and are not
transposed (Hugging Face's `Conv1D` ones would be). llama.cpp insists on every bias, so a model
trained with bias=False gets zeros: the same function, a few kilobytes more. llama.cpp computes GELU
by its tanh form and nanoGPT by erf: the logits differ by about 1e-3, measured KL 3e-9.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np

from convert.architectures.model import Model, expect_shape
from convert.checkpoints.checkpoint import Checkpoint
from convert.checkpoints.tensor import FLOATS, Tensor, zeros
from convert.errors import ArchitectureError

NAME = "gpt2"
DESCRIPTION = "GPT-2 shape as nanoGPT writes it, bias on or off"

_LAYER_NORM_EPSILON = 1e-5  # nanoGPT's LayerNorm gives no other
_MAX_LAYERS = 512  # llama.cpp's LLAMA_MAX_LAYERS
_TOKENS = "transformer.wte.weight"
_POSITIONS = "transformer.wpe.weight"
_HEAD = "lm_head.weight"
_MASK = re.compile(r"transformer\.h\.\d+\.attn\.(?:bias|masked_bias)")
_LAYER = re.compile(r"transformer\.h\.(\d+)\.")


def recognise(checkpoint: Checkpoint) -> bool:
    """Whether the tensor names are nanoGPT's."""
    return {_TOKENS, "transformer.h.0.attn.c_attn.weight"} <= checkpoint.tensors.keys()


def read(checkpoint: Checkpoint) -> Model:
    """The model in `checkpoint`. Raises `ArchitectureError` naming the first thing amiss."""
    return _Reader(checkpoint).model()


class _Reader:
    def __init__(self, checkpoint: Checkpoint) -> None:
        self._checkpoint = checkpoint
        self._left = dict(checkpoint.tensors)
        self._ignored: list[tuple[str, str]] = []
        self._zeros = 0

    def model(self) -> Model:
        n_vocab, n_embd = self._matrix(_TOKENS)
        n_ctx, _ = self._matrix(_POSITIONS)
        n_layer = self._count_layers()
        n_ff, _ = self._matrix("transformer.h.0.mlp.c_fc.weight")
        n_head = self._count_heads(n_embd)
        self._compare_args(n_layer=n_layer, n_embd=n_embd, block_size=n_ctx, vocab_size=n_vocab)
        tensors = [
            self._take(_TOKENS, "token_embd.weight", (n_vocab, n_embd)),
            self._take(_POSITIONS, "position_embd.weight", (n_ctx, n_embd)),
        ]
        for layer in range(n_layer):
            tensors += self._block(layer, n_embd, n_ff)
        tensors += self._pair("transformer.ln_f", "output_norm", (n_embd,))
        tensors += self._head(n_vocab, n_embd)
        self._refuse_leftovers()
        return Model(
            arch=NAME,
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
            ignored=tuple(self._ignored),
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

    def _matrix(self, name: str) -> tuple[int, int]:
        tensor = self._checkpoint.tensors.get(name)
        if tensor is None:
            raise ArchitectureError(
                f"{self._checkpoint.path.name} has no tensor {name}.",
                "The checkpoint is incomplete, or the model is no GPT-2.",
            )
        if len(tensor.shape) != 2 or 0 in tensor.shape:
            raise ArchitectureError(f"{name} has shape {tensor.shape}, not that of a matrix.")
        return tensor.shape[0], tensor.shape[1]

    def _count_layers(self) -> int:
        layers = {int(m[1]) for name in self._left if (m := _LAYER.match(name)) and len(m[1]) < 9}
        if layers != set(range(len(layers))) or len(layers) > _MAX_LAYERS:
            raise ArchitectureError(
                f"The layers in {self._checkpoint.path.name} are not numbered 0 to n "
                f"(n at most {_MAX_LAYERS - 1}): {len(layers)} found, up to {max(layers)}.",
                "The checkpoint is incomplete.",
            )
        return len(layers)

    def _count_heads(self, n_embd: int) -> int:
        n_head = self._checkpoint.fact("model_args", "n_head")
        if n_head is None:
            n_head = self._checkpoint.fact("config", "n_head")
        if n_head is None:
            raise ArchitectureError(
                f"{self._checkpoint.path.name} does not say how many attention heads the model "
                "has, and shapes cannot tell.",
                "Save model_args={'n_head': ...} beside the weights, as nanoGPT does.",
            )
        if isinstance(n_head, bool) or not isinstance(n_head, int) or n_head < 1:
            raise ArchitectureError(f"model_args.n_head is {n_head!r:.40}, not a number of heads.")
        if n_embd % n_head:
            raise ArchitectureError(
                f"model_args.n_head is {n_head}, which does not divide the width {n_embd}."
            )
        return n_head

    def _compare_args(self, **seen: int) -> None:
        for key, value in seen.items():
            said = self._checkpoint.fact("model_args", key)
            if said is not None and said != value:
                raise ArchitectureError(
                    f"model_args.{key} is {said!r:.40}, but the tensors have {value}.",
                    "The checkpoint and its model_args do not belong together.",
                )

    def _take(self, source: str, name: str, shape: tuple[int, ...]) -> Tensor:
        tensor = self._left.pop(source, None)
        if tensor is None:
            raise ArchitectureError(
                f"{self._checkpoint.path.name} has no tensor {source}.",
                "The checkpoint is incomplete, or the model is no GPT-2.",
            )
        expect_shape(tensor, shape, "the model's width")
        if tensor.dtype not in FLOATS:
            raise ArchitectureError(
                f"{source} holds {tensor.dtype} integers: another tool quantised the weights.",
                "Convert the original checkpoint, before quantisation.",
            )
        return tensor.derive(name)

    def _pair(self, source: str, name: str, shape: tuple[int, ...]) -> Iterator[Tensor]:
        yield self._take(f"{source}.weight", f"{name}.weight", shape)
        if f"{source}.bias" in self._left:
            yield self._take(f"{source}.bias", f"{name}.bias", shape[:1])
        else:
            self._zeros += 1
            yield zeros(f"{name}.bias", shape[:1], "zeros")

    def _block(self, layer: int, n_embd: int, n_ff: int) -> Iterator[Tensor]:
        source, name = f"transformer.h.{layer}", f"blk.{layer}"
        yield from self._pair(f"{source}.ln_1", f"{name}.attn_norm", (n_embd,))
        yield from self._pair(f"{source}.attn.c_attn", f"{name}.attn_qkv", (3 * n_embd, n_embd))
        yield from self._pair(f"{source}.attn.c_proj", f"{name}.attn_output", (n_embd, n_embd))
        yield from self._pair(f"{source}.ln_2", f"{name}.ffn_norm", (n_embd,))
        yield from self._pair(f"{source}.mlp.c_fc", f"{name}.ffn_up", (n_ff, n_embd))
        yield from self._pair(f"{source}.mlp.c_proj", f"{name}.ffn_down", (n_embd, n_ff))

    def _head(self, n_vocab: int, n_embd: int) -> Iterator[Tensor]:
        head = self._left.get(_HEAD)
        if head is None:
            return
        tokens = self._checkpoint.tensors[_TOKENS]
        same = head.identity == tokens.identity or (
            head.shape == tokens.shape and np.array_equal(head.float32(), tokens.float32())
        )
        if same:
            self._ignored.append((_HEAD, "tied: the same weights as the token embedding"))
            del self._left[_HEAD]
            return
        yield self._take(_HEAD, "output.weight", (n_vocab, n_embd))

    def _refuse_leftovers(self) -> None:
        masks = [name for name in self._left if _MASK.fullmatch(name)]
        for name in masks:
            del self._left[name]
            self._ignored.append((name, "causal mask: llama.cpp makes its own"))
        if self._left:
            names = ", ".join(sorted(self._left)[:6])
            raise ArchitectureError(
                f"{len(self._left)} tensors have no place in a GPT-2: {names[:400]}.",
                "The model is a variant that llama.cpp cannot run as GPT-2.",
            )
