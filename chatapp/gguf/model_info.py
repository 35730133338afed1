"""What a model file is: architecture, size, quantisation, bytes by layer; read from its header."""

import math
import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from chatapp.gguf.errors import GgufError
from chatapp.gguf.ggml_types import file_type_name
from chatapp.gguf.header import Array, Header, Value, read_header
from chatapp.gguf.hparams import (
    makes_embeddings,
    read_head_width,
    read_kv_width,
    read_n_ff,
    read_state_width,
)
from chatapp.gguf.naming import name_model
from chatapp.gguf.reader import KnownTexts

_LAYER = re.compile(r"blk\.(\d{1,4})\.")
_SAMPLING = "general.sampling."
_MAX_SAMPLING_TEXT = 512
"""Characters; llama.cpp reads as many of `general.sampling.sequence`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelInfo:
    """A model file's description of itself. Numbers it does not give are 0, texts empty."""

    path: Path
    size_bytes: int
    gguf_version: int
    arch: str
    name: str
    """As `chatapp.gguf.naming` has it: `general.name`, else the file's name; the quantisation."""
    size_label: str
    """As in `7B`; computed from `n_params` when the file does not say."""
    says_size: bool = False
    """`size_label` is the file's own word."""
    quantisation: str
    """As in `Q4_K_M`."""
    n_params: int
    """Of this file; a split model has more in its other shards."""
    n_ctx_train: int
    """Tokens."""
    n_layers: int
    n_embd: int
    n_heads: int
    n_vocab: int
    n_tensors: int
    tensor_types: dict[str, int] = field(default_factory=dict)
    """Type name to number of tensors."""
    layer_bytes: list[int] = field(default_factory=list)
    """Weights of each layer."""
    other_bytes: dict[str, int] = field(default_factory=dict)
    """Weights beside the layers: `token_embd`, `output`, ..."""
    kv_width: list[int] = field(default_factory=list)
    """Numbers in keys and values of one token, for each layer."""
    head_width: list[int] = field(default_factory=list)
    """Numbers in one head's key and in its value."""
    state_width: int = 0
    """Numbers in the recurrent state of one sequence, all layers together."""
    n_ff: int = 0
    """Width of the MLP; of a mixture of experts, of all experts that are used at once."""
    embeds: bool = False
    """It makes embeddings, and no text."""
    tokenizer: str = ""
    chat_template: bool = False
    license: str = ""
    sampling: dict[str, bool | int | float | str] = field(default_factory=dict)
    """`general.sampling.*` as the file has it, unchecked: names behind the prefix; a list or a
    number that is not finite as text."""
    shards: int = 1

    @property
    def use(self) -> str:
        """What it is for: `embeddings`, `chat`, `text to text`, or `completion` where it has no
        chat template."""
        if self.embeds:
            return "embeddings"
        if self.arch == "t5":
            return "text to text"
        return "chat" if self.chat_template else "completion"


def read_model_info(path: Path, known: KnownTexts | None = None) -> ModelInfo:
    """A model file's description; `GgufError` when it is missing, damaged or no GGUF.

    `known` makes the next file with the same vocabulary cheap.
    """
    header = read_header(path, known)
    try:
        return _describe(header)
    except OSError as error:  # a list of one number for each layer is read here
        raise GgufError(f"{path} cannot be read: {error.strerror or error}.") from error


def _describe(header: Header) -> ModelInfo:
    arch = header.arch
    tokens = header.array("tokenizer.ggml.tokens")
    types = dict(Counter(tensor.kind for tensor in header.tensors).most_common())
    quantisation = _name_quantisation(header, types)
    n_params = sum(tensor.n_weights for tensor in header.tensors)
    layers: Counter[int] = Counter()
    others: Counter[str] = Counter()
    for tensor in header.tensors:
        layer = _LAYER.match(tensor.name)
        if layer:
            layers[int(layer.group(1))] += tensor.n_bytes
        else:
            others[tensor.name.partition(".")[0]] += tensor.n_bytes
    return ModelInfo(
        path=header.path,
        size_bytes=header.n_bytes,
        gguf_version=header.version,
        arch=arch,
        name=name_model(header.text, header.path, arch, quantisation),
        size_label=header.text("general.size_label") or name_size(n_params),
        says_size=bool(header.text("general.size_label")),
        quantisation=quantisation,
        n_params=n_params,
        n_ctx_train=header.number(f"{arch}.context_length"),
        n_layers=header.number(f"{arch}.block_count"),
        n_embd=header.number(f"{arch}.embedding_length"),
        n_heads=header.number(f"{arch}.attention.head_count"),
        n_vocab=(tokens.length if tokens else 0) or header.number(f"{arch}.vocab_size"),
        n_tensors=len(header.tensors),
        tensor_types=types,
        layer_bytes=[layers[layer] for layer in range(max(layers, default=-1) + 1)],
        other_bytes=dict(others),
        kv_width=read_kv_width(header),
        head_width=list(read_head_width(header)),
        state_width=read_state_width(header),
        n_ff=read_n_ff(header),
        embeds=makes_embeddings(header),
        tokenizer=header.text("tokenizer.ggml.model"),
        chat_template=any(
            header.text(key) for key in header.values if key.startswith("tokenizer.chat_template")
        ),
        license=header.text("general.license"),
        sampling={
            key.removeprefix(_SAMPLING): _plain(value)
            for key, value in header.values.items()
            if key.startswith(_SAMPLING)
        },
        shards=max(1, header.number("split.count")),
    )


def _plain(value: Value) -> bool | int | float | str:
    """A value that JSON holds too. A float of 32 bits has seven digits that mean something."""
    if isinstance(value, Array):
        return f"a list of {value.length:,}"
    if isinstance(value, float):
        return float(f"{value:.7g}") if math.isfinite(value) else str(value)
    return value[:_MAX_SAMPLING_TEXT] if isinstance(value, str) else value


def _name_quantisation(header: Header, types: dict[str, int]) -> str:
    if "general.file_type" in header.values:
        return file_type_name(header.number("general.file_type"))
    weights = [name for name in types if name != "F32"]  # norms and biases are F32 everywhere
    return weights[0] if weights else next(iter(types), "")


def name_size(n_params: int) -> str:
    """`124M`, `7.2B`: parameters in short."""
    for unit, scale in (("T", 1e12), ("B", 1e9), ("M", 1e6), ("K", 1e3)):
        if n_params >= scale:
            value = n_params / scale
            return f"{value:.1f}{unit}" if value < 10 else f"{value:.0f}{unit}"
    return str(n_params)
