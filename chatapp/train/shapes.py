"""The shapes of models there are, and their sizes by name or by a number of parameters."""

import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from chatapp.errors import ChatAppError, UsageError
from chatapp.train.language_model import LanguageModel
from chatapp.train.llama import Llama, LlamaArgs, write_config
from chatapp.train.model import GPT, ModelArgs

Args = ModelArgs | LlamaArgs
SHAPES: dict[str, type[ModelArgs] | type[LlamaArgs]] = {"gpt2": ModelArgs, "llama": LlamaArgs}

SIZES = {
    "tiny": (4, 4, 128),
    "mini": (4, 4, 256),
    "small": (6, 6, 384),
    "medium": (8, 8, 512),
    "gpt2": (12, 12, 768),
    "gpt2-medium": (24, 16, 1024),
    "gpt2-large": (36, 20, 1280),
    "gpt2-xl": (48, 25, 1600),
}
"""Layers, heads and width. `tiny` and `small` are nanoGPT's of characters on a CPU and a GPU."""

_NUMBER = re.compile(r"(\d+(?:\.\d+)?)([kKmMbB]?)")
_UNITS = {"": 1, "k": 10**3, "m": 10**6, "b": 10**9}
_LARGEST = ("largest", 96, 128)
"""Layers and heads."""
_ASPECT = 48
"""Width for each layer, about that of GPT-2's smaller ones; others this near are as good."""


def make_model(args: Args) -> LanguageModel:
    """A new model; raises `ChatAppError` when memory is too small for it."""
    try:
        return GPT(args) if isinstance(args, ModelArgs) else Llama(args)
    except (RuntimeError, MemoryError) as error:  # RuntimeError is what PyTorch's allocator raises
        raise ChatAppError(
            "There is not enough memory for a model of this size.",
            "Lower n_layer, n_embd or vocab_size.",
        ) from error


def class_of(table: dict[str, Any]) -> type[ModelArgs] | type[LlamaArgs]:
    """The class of the shape that `table` names, GPT-2's without one; raises `UsageError`."""
    name = table.get("shape", "gpt2")
    if not isinstance(name, str) or name not in SHAPES:
        raise UsageError(f"The shape {name!r} is unknown.", "Use gpt2 or llama.")
    return SHAPES[name]


def describe_shape(args: Args, folder: Path) -> None:
    """Write what the weights need to be understood: `config.json` for a Llama."""
    if isinstance(args, LlamaArgs):
        write_config(args, folder)


def count(args: Args) -> int:
    """Trained numbers of a model of this shape, without making one."""
    d, layers = args.n_embd, args.n_layer
    if isinstance(args, ModelArgs):
        bias = args.bias
        layer = 12 * d * d + 2 * d + bias * (9 * d + 2 * d)
        return (args.vocab_size + args.block_size) * d + layers * layer + d + bias * d
    narrow = d * args.kv_heads // args.n_head
    layer = 2 * d * d + 2 * d * narrow + 3 * d * args.feed_forward + 2 * d
    return args.vocab_size * d + layers * layer + d


def resize(args: Args, size: str) -> Args:
    """`args` in the size of a name or of about so many parameters (`10M`); raises `UsageError`."""
    if size in SIZES:
        return _fit(args, *SIZES[size])
    found = _NUMBER.fullmatch(size)
    if not found:
        raise UsageError(
            f"The size {size!r} is unknown.",
            f"Use {', '.join(SIZES)}, or a number of parameters, as in 10M.",
        )
    return size_for(args, float(found[1]) * _UNITS[found[2].lower()])


def size_for(args: Args, parameters: float) -> Args:
    """`args` with layers and width for about so many parameters; raises `UsageError`."""
    best, least = None, math.inf
    parameters = max(parameters, 1.0)
    for layers in range(1, _LARGEST[1] + 1):
        for heads in range(1, _LARGEST[2] + 1):
            made = _fit(args, layers, heads, _width(heads))
            miss = abs(math.log(count(made) / parameters))
            odd = abs(math.log2(made.n_embd / layers / _ASPECT))
            if miss + 0.1 * odd < least:
                best, least = made, miss + 0.1 * odd
    if best is None or not 0.5 < count(best) / parameters < 2:
        end, layers, heads = ("smallest", 1, 1) if count(best or args) > parameters else _LARGEST
        raise UsageError(
            f"There is no model of {parameters:,.0f} parameters for {args.vocab_size:,} tokens.",
            f"The {end} has {count(_fit(args, layers, heads, _width(heads))):,}.",
        )
    return best


def _width(heads: int) -> int:
    return heads * (32 if heads <= 8 else 64)


def _fit(args: Args, layers: int, heads: int, width: int) -> Args:
    if isinstance(args, LlamaArgs):
        groups = 2 if heads % 2 == 0 and heads > 2 else 1
        kv = 0 if groups == 1 else heads // groups
        return replace(args, n_layer=layers, n_head=heads, n_kv_head=kv, n_embd=width, n_ff=0)
    return replace(args, n_layer=layers, n_head=heads, n_embd=width)
