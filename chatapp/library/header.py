"""What a GGUF file says of itself, read without llama.cpp: architecture, size, quantisation, ...

Promises: any file at all gives a `ModelInfo` or a `ModelError` with the file and the reason; only
the header is read (the weights are neither read nor mapped), and the file's length is compared with
what its tensors need, so that a download cut short is noticed before llama.cpp sees it. Whether
llama.cpp can run the model is not decided here.

Format: docs/gguf.md of ggml, versions 2 and 3 (1 is not read by llama.cpp any more).
"""

import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from chatapp.errors import ModelError
from chatapp.library.ggml_types import FILE_TYPES, tensor_type_name
from chatapp.library.hparams import (
    makes_embeddings,
    read_head_width,
    read_kv_width,
    read_n_ff,
    read_state_width,
)
from chatapp.library.reader import KnownTexts, Malformed, Reader
from chatapp.library.sections import Metadata, TensorTable, read_start


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelInfo:
    """A model file's description of itself. Numbers it does not give are 0, texts empty."""

    path: Path
    size_bytes: int
    gguf_version: int
    arch: str
    name: str
    """`general.name`, else the file's name."""
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
    shards: int = 1

    @property
    def use(self) -> str:
        """What it is for: `embeddings`, `chat`, or `completion` where it has no chat template."""
        if self.embeds:
            return "embeddings"
        return "chat" if self.chat_template else "completion"


def read_header(path: Path, known: KnownTexts | None = None) -> ModelInfo:
    """Read a model file's header; `ModelError` when it is missing, damaged or no GGUF.

    `known` makes the next header with the same vocabulary cheap.
    """
    try:
        status = path.stat()
        _refuse_irregular(status.st_mode)
        with path.open("rb") as file:
            return _read(path, file, status.st_size, known)
    except FileNotFoundError:
        raise ModelError(f"There is no model file {path}.", "Check the path.") from None
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}.") from error
    except Malformed as reason:
        raise ModelError(
            f"{path} is not a usable model file: {reason}.",
            "Download or convert it again, or choose another file.",
        ) from None


def _refuse_irregular(mode: int) -> None:
    if stat.S_ISDIR(mode):
        raise Malformed("it is a folder")
    if not stat.S_ISREG(mode):  # opening a pipe would wait for its other end
        raise Malformed("it is not a regular file")


def _read(path: Path, file: BinaryIO, size: int, known: KnownTexts | None = None) -> ModelInfo:
    reader = Reader(file, size, known)
    version, n_tensors, n_keys = read_start(reader)
    metadata = Metadata(reader, n_keys)
    tensors = TensorTable(reader, n_tensors)
    alignment = metadata.number("general.alignment") or 32
    if alignment < 1 or alignment & (alignment - 1):
        raise Malformed(f"its alignment is {alignment}, which is no power of two")
    start = -(-reader.position // alignment) * alignment
    if n_tensors and start + tensors.end > size:
        raise Malformed(
            f"it has {size:,} bytes and needs {start + tensors.end:,}: it was cut short"
        )
    return _describe(path, size, version, metadata, tensors)


def _describe(
    path: Path, size: int, version: int, metadata: Metadata, tensors: TensorTable
) -> ModelInfo:
    arch = metadata.text("general.architecture")
    vocab = metadata.lengths.get("tokenizer.ggml.tokens", 0)
    types = {tensor_type_name(kind): n for kind, n in tensors.types.most_common()}
    return ModelInfo(
        path=path,
        size_bytes=size,
        gguf_version=version,
        arch=arch,
        name=metadata.text("general.name") or path.stem,
        size_label=metadata.text("general.size_label") or name_size(tensors.n_params),
        says_size=bool(metadata.text("general.size_label")),
        quantisation=_name_quantisation(metadata, types),
        n_params=tensors.n_params,
        n_ctx_train=metadata.number(f"{arch}.context_length"),
        n_layers=metadata.number(f"{arch}.block_count"),
        n_embd=metadata.number(f"{arch}.embedding_length"),
        n_heads=metadata.number(f"{arch}.attention.head_count"),
        n_vocab=vocab or metadata.number(f"{arch}.vocab_size"),
        n_tensors=tensors.count,
        tensor_types=types,
        layer_bytes=[tensors.layers[layer] for layer in range(max(tensors.layers, default=-1) + 1)],
        other_bytes=dict(tensors.others),
        kv_width=read_kv_width(metadata, arch),
        head_width=list(read_head_width(metadata, arch)),
        state_width=read_state_width(metadata, arch),
        n_ff=read_n_ff(metadata, arch),
        embeds=makes_embeddings(metadata, arch),
        tokenizer=metadata.text("tokenizer.ggml.model"),
        chat_template=bool(metadata.text("tokenizer.chat_template")),
        license=metadata.text("general.license"),
        shards=max(1, metadata.number("split.count")),
    )


def _name_quantisation(metadata: Metadata, types: dict[str, int]) -> str:
    if "general.file_type" in metadata.values:
        number = metadata.number("general.file_type")
        return FILE_TYPES.get(number, f"type {number}")
    weights = [name for name in types if name != "F32"]  # norms and biases are F32 everywhere
    return weights[0] if weights else next(iter(types), "")


def name_size(n_params: int) -> str:
    """`124M`, `7.2B`: parameters in short."""
    for unit, scale in (("T", 1e12), ("B", 1e9), ("M", 1e6), ("K", 1e3)):
        if n_params >= scale:
            value = n_params / scale
            return f"{value:.1f}{unit}" if value < 10 else f"{value:.0f}{unit}"
    return str(n_params)
