"""One of two models that are compared: a GGUF or a checkpoint, under llama.cpp's names.

It promises lazy tensors whatever the file: a GGUF's rows are decoded as they are read, so memory
follows a block of rows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from gguf import GGMLQuantizationType
from numpy.typing import NDArray

from convert.architectures import read_model
from convert.checkpoints.tensor import Tensor
from convert.description import list_values, read_stored_vocab
from convert.errors import CheckpointError, VocabError
from convert.header import Header, TensorEntry, is_gguf, read_header
from convert.options import Options
from convert.pipeline import make_plan, open_source
from convert.vocab.vocabulary import Vocab

_UNCODED = {"F64": "<f8", "I8": "<i1", "I16": "<i2", "I32": "<i4", "I64": "<i8"}


@dataclass(frozen=True)
class Side:
    """A model, opened for comparing."""

    path: Path
    format: str
    arch: str
    values: dict[str, Any]
    """What it says of itself: hyper-parameters and tokenizer, under GGUF keys."""
    tensors: dict[str, Tensor]
    gguf: bool
    note: str = ""
    """What could not be read of it."""


def open_side(path: Path) -> Side:
    """The model in `path`. Raises `ConvertError`."""
    if is_gguf(path):
        return _open_gguf(read_header(path))
    try:
        plan = make_plan(Options(path))
    except VocabError as error:
        return _open_weights(path, error)
    return Side(
        path=path,
        format=plan.checkpoint.format,
        arch=plan.model.arch,
        values=dict(plan.model.hparams) | _tokenizer(plan.vocab),
        tensors={tensor.name: tensor for tensor in plan.model.tensors},
        gguf=False,
    )


def _open_weights(path: Path, error: VocabError) -> Side:
    """A checkpoint whose tokenizer is missing or refused: its weights compare all the same."""
    checkpoint = open_source(Options(path))
    model = read_model(checkpoint)
    return Side(
        path=path,
        format=checkpoint.format,
        arch=model.arch,
        values=dict(model.hparams),
        tensors={tensor.name: tensor for tensor in model.tensors},
        gguf=False,
        note=error.message,
    )


def _open_gguf(header: Header) -> Side:
    if (header.integer("split.count") or 1) > 1:
        raise CheckpointError(
            f"{header.path.name} is one shard of several.",
            "Join them with llama.cpp's llama-gguf-split --merge, or compare the checkpoints.",
        )
    vocab = read_stored_vocab(header)
    return Side(
        path=header.path,
        format=f"GGUF version {header.version}",
        arch=header.arch,
        values=list_values(header) | ({} if vocab is None else _tokenizer(vocab)),
        tensors={entry.name: _stored(header.path, entry) for entry in header.tensors},
        gguf=True,
    )


def _tokenizer(vocab: Vocab) -> dict[str, Any]:
    digest = sha256("\0".join(vocab.tokens).encode("utf-8", "replace")).hexdigest()[:16]
    template = sha256((vocab.chat_template or "").encode("utf-8", "replace")).hexdigest()[:16]
    return {
        "tokenizer.model": vocab.model,
        "tokenizer.pre": vocab.pre,
        "tokenizer.tokens": f"{len(vocab.tokens)} tokens, hash {digest}",
        "tokenizer.special_ids": dict(sorted(vocab.special_ids.items())),
        "tokenizer.add_bos": vocab.add_bos,
        "tokenizer.add_eos": vocab.add_eos,
        "tokenizer.chat_template": f"hash {template}" if vocab.chat_template else "none",
    }


def _stored(path: Path, entry: TensorEntry) -> Tensor:
    if not entry.n_bytes:
        raise CheckpointError(f"{entry.name[:100]} is of {entry.kind}, which cannot be decoded.")
    # all of a vector is one row to its type
    n_rows = 1 if len(entry.shape) < 2 else entry.n_weights // entry.shape[-1]
    decode = _decoder(entry)

    def read(start: int, stop: int) -> NDArray[np.float32]:
        data = np.memmap(path, np.uint8, "r", entry.offset, (n_rows, entry.n_bytes // n_rows))
        if len(entry.shape) < 2:
            return np.ascontiguousarray(decode(data).reshape(-1, 1)[start:stop])
        return np.ascontiguousarray(decode(data[start:stop]).reshape(stop - start, -1))

    return Tensor(entry.name, entry.shape, entry.kind, read, (str(path), entry.offset))


def _decoder(entry: TensorEntry) -> Callable[[NDArray[Any]], NDArray[np.float32]]:
    if entry.kind in _UNCODED:
        return partial(_cast, dtype=_UNCODED[entry.kind])
    kind = GGMLQuantizationType[entry.kind]

    def decode(data: NDArray[Any]) -> NDArray[np.float32]:
        try:
            rows: NDArray[np.float32] = gguf.quants.dequantize(np.asarray(data), kind)
        except NotImplementedError:
            raise CheckpointError(
                f"{entry.name[:100]} is of {entry.kind}, which cannot be decoded."
            ) from None
        return rows

    return decode


def _cast(data: NDArray[Any], dtype: str) -> NDArray[np.float32]:
    return np.ascontiguousarray(data).view(dtype).astype(np.float32)
